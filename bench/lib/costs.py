"""What a part of Bulwark costs: ours with it, beside ours without."""

import os
import statistics
import time
import urllib.request

import harness

_SERVICE = """
kind: Service
name: %s
image: bench:1
command: [/bin/sleep, "100000"]
replicas: %d
rollout: {minHealthyTime: 0s}
stop: {timeout: 1s, signal: SIGKILL}
%s
"""


def _start_all(ours, count, name, what):
    """Seconds from the apply until all of them are ready."""
    manifest = _SERVICE % (name, count, what)
    seconds = harness.timed(lambda: ours.apply(manifest))
    ours.ctl(["delete", "service", name, "--wait"])
    return seconds


def secret_reads(workspace):
    """100 containers that read a secret, which is put on record for each, beside
    100 that read a config, which is not."""
    ours = harness.Bulwark(workspace)
    for kind in ("secret", "config"):
        ours.ctl([kind, "create", "value", "-"], input="of some length")
    count = harness.repetitions(100)
    with_secret, with_config = [], []
    for i in range(5):
        with_config.append(_start_all(ours, count, "c%d" % i,
                                      "configs: [\"value:/run/configs/value\"]"))
        with_secret.append(_start_all(ours, count, "s%d" % i,
                                      "secrets: [value]"))
    return harness.Result(statistics.median(with_secret) * 1000 / count,
                          statistics.median(with_config) * 1000 / count,
                          "ms/container", "itself with configs", count)


_TICKS = os.sysconf("SC_CLK_TCK")
_SECONDS = 20


def _processor_seconds(pids):
    total = 0
    for pid in pids:
        with open("/proc/%d/stat" % pid, encoding="ascii") as f:
            fields = f.read().rsplit(")", 1)[1].split()
        total += int(fields[11]) + int(fields[12])
    return total / _TICKS


def _load(ours, each_second):
    """Milliseconds of processor time in a second."""
    before, begin = _processor_seconds(ours.pids()), time.monotonic()
    for i in range(_SECONDS):
        each_second()
        time.sleep(max(0, begin + i + 1 - time.monotonic()))
    used = _processor_seconds(ours.pids()) - before
    return used * 1000 / (time.monotonic() - begin)


def scrape(workspace):
    """The processor time of all of ours with 100 containers: asked for metrics
    each second, beside not asked."""
    ours = harness.Bulwark(workspace)
    count = harness.repetitions(100)
    ours.apply(_SERVICE % ("sleepers", count, ""))

    def ask():
        with urllib.request.urlopen("http://127.0.0.1:9464/metrics",
                                    timeout=10) as answer:
            if answer.read().count(b"\nbulwark_replica_") < count:
                raise RuntimeError("the answer lacks replicas")
    ask()
    time.sleep(2)
    idle, asked = [], []
    for _ in range(3):
        idle.append(_load(ours, lambda: None))
        asked.append(_load(ours, ask))
    # A tick of the clock, where it was not even that.
    return harness.Result(statistics.median(asked),
                          max(statistics.median(idle), 1000 / _TICKS / _SECONDS),
                          "ms/s", "itself unasked", count)
