"""From the request to the running program: over the API and in the engine,
beside Docker and beside what the kernel alone needs."""

import itertools
import os
import re
import statistics
import time

import harness

_TURNS = 5


def _floor(workspace, count, netns):
    """Milliseconds of each launch by the least program that can do it."""
    out = harness.run([harness.built("bench/floor"), str(count), "5", netns],
                      cwd=workspace.path)
    return [float(line) for line in out.split()]


def _engine(count, netns):
    """The median of Engine::Start, in milliseconds."""
    out = harness.run([harness.built("bench/engine_start"),
                       harness.built("engine/shim/bulwark-shim"), str(count),
                       "5", netns])
    return float(re.search(r"start: median ([0-9.]+) ms", out).group(1))


def engine_exec(workspace):
    """Engine::Start in a network namespace that is ready, as one is at the time
    when a replica is started, beside bench/floor.c in the same namespace."""
    harness.run(["ip", "netns", "add", workspace.name])
    workspace.on_exit(
        lambda: harness.run(["ip", "netns", "del", workspace.name]))
    netns = "/run/netns/" + workspace.name
    count = harness.repetitions(100)
    each = max(1, count // _TURNS)
    mine, floor = [], []
    for _ in range(_TURNS):
        floor.extend(_floor(workspace, each, netns))
        mine.append(_engine(each, netns))
    return harness.Result(statistics.median(mine), statistics.median(floor),
                          "ms", "floor", count)


def api_exec(workspace):
    """From the call of Apply to the execution of the program on the bridge,
    beside that of `docker run -d` on Docker's."""
    ours, docker = harness.Bulwark(workspace), harness.Docker(workspace)
    count = harness.repetitions(10)
    ours.api_exec("warm")
    number = itertools.count()
    news = []

    def mine():
        executed, told = ours.api_exec("one-%d" % next(number))
        news.append(told)
        return executed

    def other():
        begin = time.monotonic_ns()
        name = docker.docker(["run", "-d", "bench:1", "/bin/stamp"]).strip()
        stamp = harness.stamp_of(lambda: docker.docker(["logs", name]))
        return (stamp - begin) / 1e6

    result = harness.median_of_pairs(lambda: harness.second_of(mine),
                                     lambda: harness.second_of(other), count)
    print("until the watch tells that it runs: %.2f ms" %
          statistics.median(news[3::2]))
    return harness.Result(*result, "ms", "docker", count)


def sequential_100(workspace):
    """100 containers one after the other: milliseconds for each."""
    ours, docker = harness.Bulwark(workspace), harness.Docker(workspace)
    count = harness.repetitions(100)
    mine = sum(ours.api_start("sequential", count, "one"))
    begin = time.monotonic()
    for _ in range(count):
        docker.docker(["run", "-d", "bench:1", "/bin/sleep", "100000"])
    other = (time.monotonic() - begin) * 1000
    return harness.Result(mine / count, other / count, "ms/container", "docker",
                          count)


def burst(workspace):
    """200 containers at once: the time for each, beside that of 10 at once."""
    ours = harness.Bulwark(workspace)
    each = {}
    for count in (10, 50, 100, 200):
        tries = []
        for i in range(3):
            name = "burst-%d-%d" % (count, i)
            tries.append(ours.api_start("burst", count, name)[0] / count)
            ours.ctl(["delete", "service", name, "--wait"])
        each[count] = statistics.median(tries)
        print("burst of %d: %.2f ms/container" % (count, each[count]))
    return harness.Result(each[200], each[10], "ms/container", "itself, 10",
                          200)


_TICKS = os.sysconf("SC_CLK_TCK")
_SECONDS = 30


def _milliseconds_of(pids):
    total = 0
    for pid in pids:
        with open("/proc/%d/stat" % pid, encoding="ascii") as f:
            fields = f.read().rsplit(")", 1)[1].split()
        total += int(fields[11]) + int(fields[12])
    return total * 1000 / _TICKS


def idle_100(workspace):
    """Processor time of all of both engines with 100 containers that sleep."""
    ours, docker = harness.Bulwark(workspace), harness.Docker(workspace)
    count = harness.repetitions(100)
    ours.api_start("burst", count, "sleepers")
    for _ in range(count):
        docker.docker(["run", "-d", "bench:1", "/bin/sleep", "100000"])
    time.sleep(5)
    begin, mine, other = (time.monotonic(), _milliseconds_of(ours.pids()),
                          _milliseconds_of(docker.pids()))
    time.sleep(_SECONDS)
    seconds = time.monotonic() - begin
    mine = (_milliseconds_of(ours.pids()) - mine) / seconds
    other = (_milliseconds_of(docker.pids()) - other) / seconds
    return harness.Result(mine, other, "ms/s", "docker", count)
