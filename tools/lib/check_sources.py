#!/usr/bin/env python3
"""Fails on banned identifiers and on files that have outgrown their shape."""

import re
import sys

from source_files import source_files

# (pattern, what to do instead, paths that may)
_BANNED = [
    (re.compile(r"std::string_view"), "use absl::string_view", ()),
    (re.compile(r"absl::(Now|SleepFor)\("), "take a Clock&", ("base/",)),
    (re.compile(r"\b(std::)?s?rand\("), "take an Entropy&", ("base/",)),
    (re.compile(r"steady_clock::now|system_clock::now"), "take a Clock&",
     ("base/",)),
]
# A client has no one to inject a clock for, and tests of real processes wait
# for them.
_EXEMPT = ("tests/", "bench/", "ctl/main.cc")
_LIMITS = {".h": 200, ".cc": 450}
_EXEMPT_FILE = "tools/lint_exempt.txt"


def main():
    with open(_EXEMPT_FILE, encoding="utf-8") as f:
        exempt = {line.split()[0] for line in f
                  if line.strip() and not line.startswith("#")}
    failed = False
    for path in source_files((".h", ".cc")):
        with open(path, encoding="utf-8") as f:
            lines = f.read().splitlines()
        suffix = path[path.rfind("."):]
        if len(lines) > _LIMITS[suffix] and path not in exempt:
            failed = True
            print("%s: %d lines; split it (limit %d)" %
                  (path, len(lines), _LIMITS[suffix]))
        if path.startswith(_EXEMPT) or path.endswith("_test.cc"):
            continue
        for number, line in enumerate(lines, 1):
            code = line.split("//")[0]
            for pattern, remedy, allowed in _BANNED:
                if pattern.search(code) and not path.startswith(allowed or "\0"):
                    failed = True
                    print("%s:%d: banned: %s" % (path, number, remedy))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
