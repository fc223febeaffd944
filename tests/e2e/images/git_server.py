#!/usr/bin/env python3
"""Serves repositories over smart HTTP on loopback, through git http-backend.

usage: git_server.py --root DIR --port PORT --user USER --password PASSWORD

/open/REPOSITORY is for everybody. /closed/REPOSITORY is for that user, and for
whoever gives the password as a token. /hang/… never answers, and /stall/…
answers, but sends no content.
"""

import argparse
import base64
import http.server
import os
import subprocess
import time

FOREVER = 1000


class Handler(http.server.BaseHTTPRequestHandler):
    """One connection."""

    def do_GET(self):  # pylint: disable=invalid-name
        self._serve()

    def do_POST(self):  # pylint: disable=invalid-name
        self._serve()

    def _allowed(self):
        users = (self.server.args.user, "x-access-token")
        good = ["Basic " + base64.b64encode(
            ("%s:%s" % (user, self.server.args.password)).encode()).decode()
                for user in users]
        return self.headers.get("Authorization") in good

    def _serve(self):
        _, kind, rest = self.path.split("/", 2)
        if kind == "hang":
            time.sleep(FOREVER)
        if kind == "stall":
            self.send_response(200)
            self.send_header("Content-Length", "1000")
            self.end_headers()
            time.sleep(FOREVER)
        if kind == "closed" and not self._allowed():
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="test"')
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        self._backend("/" + rest)

    def _backend(self, path):
        path, _, query = path.partition("?")
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        environment = {
            "PATH": os.environ["PATH"],
            "GIT_PROJECT_ROOT": self.server.args.root,
            "GIT_HTTP_EXPORT_ALL": "1",
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "REQUEST_METHOD": self.command,
            "REMOTE_ADDR": "127.0.0.1",
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "CONTENT_LENGTH": str(len(body)),
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
            "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
        }
        answer = subprocess.run(["git", "http-backend"], env=environment,
                                input=body, stdout=subprocess.PIPE,
                                check=False, timeout=60).stdout
        head, _, content = answer.partition(b"\r\n\r\n")
        fields = dict(line.split(": ", 1)
                      for line in head.decode().split("\r\n"))
        self.send_response(int(fields.pop("Status", "200").split()[0]))
        for name, value in fields.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


def main():
    parser = argparse.ArgumentParser()
    for name in ("--root", "--user", "--password"):
        parser.add_argument(name, required=True)
    parser.add_argument("--port", type=int, required=True)
    args = parser.parse_args()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", args.port), Handler)
    server.daemon_threads = True
    server.args = args
    server.serve_forever()


if __name__ == "__main__":
    main()
