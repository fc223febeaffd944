"""Processes that a run started, directly or through others."""

import ctypes
import os
import signal
import time

_PR_SET_CHILD_SUBREAPER = 36


def adopt_orphans():
    """Whatever loses its parent becomes this process's child, so that it is
    found again: daemons detach what they start."""
    if ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError("cannot become a subreaper")


def all_pids():
    """Of the whole host."""
    return {int(entry) for entry in os.listdir("/proc") if entry.isdigit()}


def _parents():
    parents = {}
    for pid in all_pids():
        try:
            with open("/proc/%d/stat" % pid, encoding="ascii",
                      errors="replace") as f:
                # The name in brackets may hold anything, brackets, too.
                parents[pid] = int(f.read().rsplit(")", 1)[1].split()[1])
        except OSError:
            pass  # it has ended
    return parents


def descendants():
    """The pids of all processes below this one."""
    parents = _parents()
    found, generation = set(), {os.getpid()}
    while generation:
        generation = {p for p, parent in parents.items()
                      if parent in generation} - found
        found |= generation
    return found


def executable(pid):
    """The path of its program; "" for one that has ended."""
    try:
        return os.readlink("/proc/%d/exe" % pid)
    except OSError:
        return ""


def command(pid):
    """Its command line, words with a blank between them."""
    try:
        with open("/proc/%d/cmdline" % pid, "rb") as f:
            line = f.read().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""
    return line.strip()


def _reap():
    try:
        while os.waitpid(-1, os.WNOHANG)[0] != 0:
            pass
    except ChildProcessError:
        pass


def end_all(seconds=20):
    """Kills what is still below this process, and waits for it. Returns the
    command lines of what there was."""
    left = [command(p) for p in descendants() if executable(p)]
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        alive = descendants()
        if not alive:
            break
        for pid in alive:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        _reap()
        time.sleep(0.02)
    return left
