#!/usr/bin/env python3
"""The token service of a registry, as Docker's v2 protocol has it.

usage: token_server.py --port N --certificate PATH

Makes a key and writes its certificate to PATH, for the registry's
`rootcertbundle`. Then GET /token?service=S&scope=repository:NAME:ACTIONS gives
the user "user" with password "secret" a token for what is asked, and everybody
one for pulling from repositories below "open/". GET /count says how many it
gave.
"""

import argparse
import base64
import http.server
import json
import os
import socketserver
import subprocess
import sys
import tempfile
import time
import urllib.parse

ISSUER = "token-server"
USER = "Basic " + base64.b64encode(b"user:secret").decode()


def encoded(content):
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


class Signer:
    """Signs with a key of its own, RS256."""

    def __init__(self, certificate):
        self._dir = tempfile.TemporaryDirectory()
        self._key = os.path.join(self._dir.name, "key.pem")
        made = certificate + ".new"
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes",
             "-days", "2", "-subj", "/CN=" + ISSUER, "-keyout", self._key,
             "-out", made], check=True, stderr=subprocess.DEVNULL)
        with open(made, encoding="ascii") as file:
            self._chain = ["".join(file.read().split("-----")[2].split())]
        os.rename(made, certificate)

    def token(self, service, subject, access):
        now = int(time.time())
        head = {"typ": "JWT", "alg": "RS256", "x5c": self._chain}
        claims = {"iss": ISSUER, "sub": subject, "aud": service,
                  "nbf": now - 10, "iat": now, "exp": now + 300,
                  "jti": str(time.monotonic_ns()), "access": access}
        text = ".".join(encoded(json.dumps(part).encode())
                        for part in (head, claims))
        signature = subprocess.run(
            ["openssl", "dgst", "-sha256", "-sign", self._key],
            input=text.encode(), capture_output=True, check=True).stdout
        return text + "." + encoded(signature)


class Handler(http.server.BaseHTTPRequestHandler):
    signer = None
    given = 0

    def log_message(self, *_):
        pass

    def answer(self, status, content):
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        url = urllib.parse.urlparse(self.path)
        if url.path == "/count":
            return self.answer(200, Handler.given)
        query = urllib.parse.parse_qs(url.query)
        who = self.headers.get("Authorization")
        if who not in (None, USER):
            return self.answer(401, {"details": "wrong password"})
        access = []
        for scope in query.get("scope", []):
            kind, name, actions = scope.split(":")
            allowed = actions.split(",")
            if who is None:
                allowed = ["pull"] if name.startswith("open/") else []
            access.append({"type": kind, "name": name, "actions": allowed})
        Handler.given += 1
        token = self.signer.token(query.get("service", [""])[0],
                                  "user" if who else "", access)
        return self.answer(200, {"token": token})


class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--certificate", required=True)
    options = parser.parse_args()
    Handler.signer = Signer(options.certificate)
    Server(("127.0.0.1", options.port), Handler).serve_forever()


if __name__ == "__main__":
    sys.exit(main())
