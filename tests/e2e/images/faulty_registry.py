#!/usr/bin/env python3
"""A registry that misbehaves. Every repository holds a busybox of its own.

usage: faulty_registry.py --port N

The repository's name says what goes wrong, and POST /mend/NAME makes it right:

  good            nothing
  lies            the layer's bytes are not those of its digest
  swaps           a manifest that is asked for by its digest is another one
  cuts            the layer's connection ends in the middle
  endless         the layer never ends
  endlessmanifest the manifest never ends
  fails           every manifest is answered with 500
  busy            every manifest is answered with 429
  foreign         the index lists another platform alone
  alien           the image is for another platform, and there is no index
  nonsense        the manifest is no JSON
  silent          the manifest's answer never begins
  fat             nothing, but there are 60 MiB that do not compress
  unknown         the repository does not exist
  missing         it has no tag `missing`
"""

import argparse
import gzip
import hashlib
import http.server
import json
import os
import re
import socketserver
import sys
import threading

sys.dont_write_bytecode = True  # not into the source tree
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import busybox_image  # pylint: disable=wrong-import-position

CHUNK = b"x" * 65536
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"


def digest_of(content):
    return "sha256:" + hashlib.sha256(content).hexdigest()


class Image:
    """The documents of one repository."""

    def __init__(self, repository, architecture):
        layer = busybox_image.layer()
        layer.data("/etc/repository", repository.encode())
        if repository == "fat":
            layer.data("/fat", os.urandom(60 << 20))
        plain = layer.bytes()
        packed = gzip.compress(plain, 1, mtime=0)
        config = json.dumps({
            "architecture": architecture, "os": "linux",
            "config": busybox_image.CONFIG,
            "rootfs": {"type": "layers", "diff_ids": [digest_of(plain)]},
        }).encode()
        self.blobs = {digest_of(packed): packed, digest_of(config): config}
        self.layer_digest = digest_of(packed)
        self.manifest = json.dumps({
            "schemaVersion": 2, "mediaType": MANIFEST,
            "config": {
                "mediaType": "application/vnd.oci.image.config.v1+json",
                "digest": digest_of(config), "size": len(config)},
            "layers": [{
                "mediaType": "application/vnd.oci.image.layer.v1.tar+gzip",
                "digest": digest_of(packed), "size": len(packed)}],
        }).encode()

    def foreign_index(self):
        return json.dumps({
            "schemaVersion": 2, "mediaType": INDEX,
            "manifests": [{
                "mediaType": MANIFEST, "digest": digest_of(self.manifest),
                "size": len(self.manifest),
                "platform": {"os": "linux", "architecture": "s390x"}}],
        }).encode()


class Images:
    """Those that were asked for so far."""

    def __init__(self):
        self._lock = threading.Lock()
        self._images = {}

    def get(self, repository, architecture):
        with self._lock:
            key = (repository, architecture)
            if key not in self._images:
                self._images[key] = Image(repository, architecture)
            return self._images[key]


class Handler(http.server.BaseHTTPRequestHandler):
    images = Images()
    mended = set()
    protocol_version = "HTTP/1.1"

    def log_message(self, format, *args):  # pylint: disable=redefined-builtin
        pass

    def answer(self, status, body, media_type="application/json", headers=()):
        self.send_response(status)
        self.send_header("Content-Type", media_type)
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers:
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def refuse(self, status, code, headers=()):
        self.answer(status, json.dumps({"errors": [{
            "code": code, "message": code.lower().replace("_", " ")}]})
            .encode(), headers=headers)

    def never_end(self, media_type):
        self.send_response(200)
        self.send_header("Content-Type", media_type)
        self.end_headers()
        self.close_connection = True
        while True:
            self.wfile.write(CHUNK)

    def do_POST(self):  # pylint: disable=invalid-name
        self.mended.add(self.path.rsplit("/", 1)[1])
        self.answer(200, b"{}")

    def do_GET(self):  # pylint: disable=invalid-name
        try:
            self.serve()
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    def serve(self):
        if self.path == "/v2/":
            self.answer(200, b"{}")
            return
        match = re.fullmatch(r"/v2/([a-z0-9]+)/(manifests|blobs)/([^/]+)",
                             self.path)
        if match is None:
            self.refuse(404, "NAME_UNKNOWN")
            return
        name, kind, version = match.groups()
        fault = "good" if name in self.mended else name
        image = self.images.get(name, "s390x" if fault == "alien" else "amd64")
        if kind == "blobs":
            self.serve_blob(fault, image, version)
        else:
            self.serve_manifest(fault, image, version)

    def serve_manifest(self, fault, image, version):
        if fault == "unknown":
            self.refuse(404, "NAME_UNKNOWN")
            return
        if fault == "missing" and version == "missing":
            self.refuse(404, "MANIFEST_UNKNOWN")
            return
        if fault == "fails":
            self.refuse(500, "UNKNOWN")
            return
        if fault == "busy":
            self.refuse(429, "TOOMANYREQUESTS", [("Retry-After", "1")])
            return
        if fault == "endlessmanifest":
            self.never_end(MANIFEST)
        if fault == "silent":
            threading.Event().wait(60)
        body, media_type = image.manifest, MANIFEST
        if fault == "nonsense":
            body, media_type = b"<html>please log in</html>", "text/html"
        if fault == "foreign":
            body, media_type = image.foreign_index(), INDEX
        if fault == "swaps" and version.startswith("sha256:"):
            body += b" "
        self.answer(200, body, media_type,
                    [("Docker-Content-Digest", digest_of(body))])

    def serve_blob(self, fault, image, digest):
        body = image.blobs.get(digest)
        if body is None:
            self.refuse(404, "BLOB_UNKNOWN")
            return
        media_type = "application/octet-stream"
        if digest == image.layer_digest:
            if fault == "endless":
                self.never_end(media_type)
            if fault == "lies":
                body = body[:-1] + bytes([body[-1] ^ 1])
            if fault == "cuts":
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body[:len(body) // 2])
                self.close_connection = True
                return
        self.answer(200, body, media_type)


class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True
    request_queue_size = 64


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    args = parser.parse_args()
    Server(("127.0.0.1", args.port), Handler).serve_forever()


if __name__ == "__main__":
    main()
