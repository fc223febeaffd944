#!/usr/bin/env python3
"""Counts the test cases of Bazel test targets from their result files.

usage: count_tests.py TESTLOGS_DIR [CHECK=passed|failed ...] < labels

Reads one target label a line, and the test.xml that the target's run left.
Prints each failed and skipped case, and as FLAKY what failed in a first attempt
only, then `N passed, N failed, N skipped`. A target without a readable result
counts as one failure, a check that ran elsewhere as one case. Exits with 1 if
anything failed or nothing ran.
"""

import os
import sys
import xml.etree.ElementTree as ElementTree


def cases_of(path):
    """Yields (name, outcome, detail) for each test case in a test.xml."""
    for case in ElementTree.parse(path).getroot().iter("testcase"):
        name = "%s.%s" % (case.get("classname", ""), case.get("name", ""))
        failure = case.find("failure")
        if failure is None:
            failure = case.find("error")
        skipped = case.find("skipped")
        if failure is not None:
            yield name, "failed", failure.get("message") or failure.text or ""
        elif skipped is not None or case.get("result") == "skipped":
            detail = "" if skipped is None else (
                skipped.get("message") or skipped.text or "")
            yield name, "skipped", detail
        elif case.get("status", "run") == "run":
            yield name, "passed", ""


def flaky_cases(directory):
    """Yields (name, detail) for what failed in attempts before the last."""
    attempts = os.path.join(directory, "test_attempts")
    files = sorted(os.listdir(attempts)) if os.path.isdir(attempts) else []
    for name in files:
        if not name.endswith(".xml"):
            continue
        try:
            cases = list(cases_of(os.path.join(attempts, name)))
        except ElementTree.ParseError as error:
            cases = [("no result", "failed", str(error))]
        for case, outcome, detail in cases:
            if outcome == "failed":
                yield case, detail


def first_lines(detail):
    return " | ".join(detail.strip().splitlines()[:3])


def main():
    root = sys.argv[1]
    counts = {"passed": 0, "failed": 0, "skipped": 0}
    for argument in sys.argv[2:]:
        name, outcome = argument.rsplit("=", 1)
        counts[outcome] += 1
        if outcome != "passed":
            print("%s %s" % (outcome.upper(), name))
    for label in sys.stdin.read().split():
        path = label.lstrip("/").replace(":", "/")
        result = os.path.join(root, path, "test.xml")
        try:
            cases = list(cases_of(result))
        except (OSError, ElementTree.ParseError) as error:
            cases = [("no result", "failed", str(error))]
        for name, outcome, detail in cases:
            counts[outcome] += 1
            if outcome != "passed":
                print("%s %s %s: %s" % (outcome.upper(), label, name,
                                        first_lines(detail)))
        failed = {name for name, outcome, _ in cases if outcome == "failed"}
        for name, detail in flaky_cases(os.path.dirname(result)):
            if name in failed:
                continue
            print("FLAKY %s %s: %s" % (label, name, first_lines(detail)))
    print("%(passed)d passed, %(failed)d failed, %(skipped)d skipped" % counts)
    return 1 if counts["failed"] or not counts["passed"] else 0


if __name__ == "__main__":
    sys.exit(main())
