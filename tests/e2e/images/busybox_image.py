#!/usr/bin/env python3
"""Makes an OCI layout of Debian's static busybox with a few links.

usage: busybox_image.py --out DIR
"""

import argparse
import os
import sys

sys.dont_write_bytecode = True  # not into the source tree
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import nginx_image  # pylint: disable=wrong-import-position

APPLETS = ("sh", "sleep", "cat", "echo", "ls", "ps", "id", "httpd", "nc",
           "wget", "nslookup", "ping", "kill", "true", "false", "env", "mkdir",
           "touch", "rm", "mount", "hostname", "date", "head", "tail", "grep",
           "seq", "dd", "stat", "chmod", "chown", "tty", "stty", "printf")

CONFIG = {"Cmd": ["/bin/sh"], "Env": ["PATH=/bin"]}


def layer():
    """A nginx_image.Layer with all that the image holds."""
    made = nginx_image.Layer()
    made.copy("/bin/busybox")
    for applet in APPLETS:
        made.link("/bin/" + applet, "busybox")
    made.directory("tmp", 0o1777)
    made.data("/etc/passwd", b"root:x:0:0:root:/root:/bin/sh\n"
              b"app:x:1000:1000:app:/:/bin/sh\n")
    made.data("/etc/group", b"root:x:0:\napp:x:1000:\n")
    return made


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", required=True)
    args = parser.parse_args()
    nginx_image.write_layout(args.out, layer().bytes(), CONFIG)


if __name__ == "__main__":
    main()
