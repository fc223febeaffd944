#!/usr/bin/env python3
"""Fails if a folder includes what its layer may not (ARCHITECTURE.md).

The table says for each folder which others it may include, beside itself. A
longer path wins over a shorter one. Tests may include anything below them and
the fakes.
"""

import re
import sys

from source_files import source_files

_PORTS = [
    "engine/engine.h", "engine/container_access.h", "engine/container_files.h",
    "engine/images.h", "engine/image_build.h", "engine/image_commits.h",
    "engine/image_refusal.h",
    "engine/image_content.h", "engine/image_exchange.h",
    "engine/container_spec.h",
    "engine/program_error.h", "engine/command.h",
    "netmesh/network.h", "netmesh/ipam.h", "volumes/volume.h",
    "volumes/backup.h", "secrets/secrets.h", "secrets/delivery.h", "secrets/reads.h",
    "lb/proxy.h"
]
_DOMAIN = ["base/", "os/", "metrics/", "proto/bulwark/dataplane/"]

ALLOWED = {
    "base/": [],
    "os/": ["base/"],
    "store/": ["base/", "proto/"],
    "engine/child/": [],
    "engine/shim/": ["engine/child/"],
    "engine/": _DOMAIN,
    "netmesh/": _DOMAIN,
    "volumes/": _DOMAIN,
    "secrets/": _DOMAIN + ["proto/bulwark/secrets/"],
    "lb/": _DOMAIN,
    "metrics/": ["base/"],
    "manifest/": ["base/", "proto/"],
    "scheduler/": ["base/", "proto/", "store/", "metrics/"] + _PORTS,
    "api/": ["base/", "proto/", "store/"] + _PORTS,
    "dataplane/": ["base/", "os/", "proto/", "lb/", "netmesh/dns/", "metrics/"],
    "ctl/": ["base/", "proto/", "manifest/"],
}
# Everything may be joined here.
_FREE = ("daemon/", "tests/", "bench/")
_INCLUDE = re.compile(r'^\s*#\s*include\s+"([^"]+)"')


def layer_of(path):
    best = ""
    for prefix in ALLOWED:
        if path.startswith(prefix) and len(prefix) > len(best):
            best = prefix
    return best


def violations(path, text):
    """Yields (line number, included) for each include that is not allowed."""
    layer = layer_of(path)
    if not layer or path.startswith(_FREE):
        return
    is_test = path.endswith("_test.cc") or "/testing/" in path
    allowed = ALLOWED[layer] + [layer, layer.split("/")[0] + "/"]
    if layer in ("engine/child/", "engine/shim/"):
        allowed = ALLOWED[layer] + [layer]
    for number, line in enumerate(text.splitlines(), 1):
        match = _INCLUDE.match(line)
        if not match or "/" not in match.group(1):
            continue
        included = match.group(1)
        if not layer_of(included) and not included.startswith(_FREE):
            if not included.startswith("proto/"):
                continue  # a library's header in quotes
        if any(included.startswith(a) for a in allowed):
            continue
        if is_test and ("/fake/" in included or "/testing/" in included or
                        "/mem/" in included or included.startswith(("base/", "os/"))):
            continue
        yield number, included


def main():
    failed = False
    for path in source_files((".h", ".cc", ".c")):
        with open(path, encoding="utf-8") as f:
            text = f.read()
        for number, included in violations(path, text):
            failed = True
            print("%s:%d: %s may not include %s" %
                  (path, number, layer_of(path), included))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
