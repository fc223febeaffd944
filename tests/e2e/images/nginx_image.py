#!/usr/bin/env python3
"""Makes an OCI layout of nginx from the files of Debian's own package.

usage: nginx_image.py --out DIR --version TEXT [--port N] [--stop-signal S]

The server answers every request with its host name and TEXT, and puts the host
name into the header X-Backend. A port other than 80 makes an image that never
becomes ready for a service that expects port 80.
"""

import argparse
import gzip
import hashlib
import io
import json
import os
import subprocess
import tarfile

CONFIG = """\
daemon off;
worker_processes 2;
pid /run/nginx.pid;
error_log /dev/stderr warn;
events { worker_connections 8192; multi_accept on; }
http {
  access_log off;
  keepalive_timeout 75s;
  keepalive_requests 1000000;
  client_body_temp_path /tmp/body;
  proxy_temp_path /tmp/proxy;
  fastcgi_temp_path /tmp/fastcgi;
  uwsgi_temp_path /tmp/uwsgi;
  scgi_temp_path /tmp/scgi;
  server {
    listen %(port)d backlog=4096;
    default_type text/plain;
    location = /healthz { return 200 "ok\\n"; }
    location / {
      add_header X-Backend $hostname always;
      return 200 "$hostname %(version)s\\n";
    }
  }
}
"""


def libraries(binary):
    """The shared objects that `binary` loads, with its loader."""
    found = set()
    output = subprocess.run(["ldd", binary], check=True, capture_output=True,
                            text=True).stdout
    for line in output.splitlines():
        for word in line.split():
            if word.startswith("/") and os.path.exists(word):
                found.add(word)
    return sorted(found)


class Layer:
    """A tar with reproducible headers."""

    def __init__(self):
        self._buffer = io.BytesIO()
        self._tar = tarfile.open(fileobj=self._buffer, mode="w")
        self._directories = set()

    def _add(self, info, content=None):
        info.mtime = 0
        info.uid = info.gid = 0
        self._tar.addfile(info, content)

    def directory(self, path, mode=0o755):
        path = path.strip("/")
        if not path or path in self._directories:
            return
        self.directory(os.path.dirname(path))
        self._directories.add(path)
        info = tarfile.TarInfo(path)
        info.type = tarfile.DIRTYPE
        info.mode = mode
        self._add(info)

    def data(self, path, content, mode=0o644):
        self.directory(os.path.dirname(path))
        info = tarfile.TarInfo(path.strip("/"))
        info.size = len(content)
        info.mode = mode
        self._add(info, io.BytesIO(content))

    def link(self, path, target):
        self.directory(os.path.dirname(path))
        info = tarfile.TarInfo(path.strip("/"))
        info.type = tarfile.SYMTYPE
        info.linkname = target
        self._add(info)

    def copy(self, path, mode=0o755):
        with open(path, "rb") as f:
            self.data(path, f.read(), mode)

    def bytes(self):
        self._tar.close()
        return self._buffer.getvalue()


def nginx_layer(version, port):
    layer = Layer()
    binary = "/usr/sbin/nginx"
    layer.copy(binary)
    for library in libraries(binary):
        layer.copy(library)
    layer.directory("tmp", 0o1777)
    for directory in ("run", "var/log/nginx", "var/lib/nginx"):
        layer.directory(directory)
    layer.data("/etc/passwd", b"root:x:0:0:root:/root:/bin/sh\n"
               b"nobody:x:65534:65534:nobody:/:/bin/false\n")
    layer.data("/etc/group", b"root:x:0:\nnogroup:x:65534:\n")
    layer.data("/etc/nginx/nginx.conf",
               (CONFIG % {"port": port, "version": version}).replace(
                   "worker_processes", "user nobody nogroup;\nworker_processes",
                   1).encode())
    return layer.bytes()


def write_layout(out, layer, image_config):
    blobs = os.path.join(out, "blobs", "sha256")
    os.makedirs(blobs, exist_ok=True)

    def blob(content, media_type):
        digest = hashlib.sha256(content).hexdigest()
        with open(os.path.join(blobs, digest), "wb") as f:
            f.write(content)
        return {"mediaType": media_type, "digest": "sha256:" + digest,
                "size": len(content)}

    packed = blob(gzip.compress(layer, 6, mtime=0),
                  "application/vnd.oci.image.layer.v1.tar+gzip")
    config = blob(json.dumps({
        "architecture": "amd64", "os": "linux",
        "created": "1970-01-01T00:00:00Z", "config": image_config,
        "rootfs": {"type": "layers", "diff_ids": [
            "sha256:" + hashlib.sha256(layer).hexdigest()]},
        "history": [{"created_by": "nginx_image.py"}],
    }).encode(), "application/vnd.oci.image.config.v1+json")
    manifest = blob(json.dumps({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": config, "layers": [packed],
    }).encode(), "application/vnd.oci.image.manifest.v1+json")
    with open(os.path.join(out, "index.json"), "w", encoding="utf-8") as f:
        json.dump({"schemaVersion": 2, "manifests": [manifest]}, f)
    with open(os.path.join(out, "oci-layout"), "w", encoding="utf-8") as f:
        f.write('{"imageLayoutVersion": "1.0.0"}')


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", required=True)
    parser.add_argument("--version", required=True)
    parser.add_argument("--port", type=int, default=80)
    parser.add_argument("--stop-signal", default="SIGQUIT")
    args = parser.parse_args()
    write_layout(args.out, nginx_layer(args.version, args.port), {
        "Entrypoint": ["/usr/sbin/nginx", "-c", "/etc/nginx/nginx.conf"],
        "ExposedPorts": {"80/tcp": {}},
        "StopSignal": args.stop_signal,
    })


if __name__ == "__main__":
    main()
