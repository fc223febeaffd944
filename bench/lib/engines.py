"""Containers: ours beside Docker's."""

import os
import signal
import time

import harness


def start_bridge(workspace):
    """`run --rm IMAGE true` on the bridge network, client and all."""
    ours, docker = harness.Bulwark(workspace), harness.Docker(workspace)
    count = harness.repetitions(10)
    mine, other = harness.median_of_pairs(
        lambda: harness.timed(
            lambda: ours.ctl(["run", "--rm", "bench:1", "/bin/true"])),
        lambda: harness.timed(
            lambda: docker.docker(["run", "--rm", "bench:1", "/bin/true"])),
        count)
    return harness.Result(mine * 1000, other * 1000, "ms", "docker", count)


def memory_100(workspace):
    """PSS of everything that 100 sleeping containers keep running."""
    ours, docker = harness.Bulwark(workspace), harness.Docker(workspace)
    count = harness.repetitions(100)
    ours.apply("""
kind: Service
name: sleepers
image: bench:1
command: [/bin/sleep, "100000"]
replicas: %d
rollout: {minHealthyTime: 0s}
""" % count)
    for _ in range(count):
        docker.docker(["run", "-d", "bench:1", "/bin/sleep", "100000"])
    time.sleep(2)
    return harness.Result(harness.pss_kb(ours.pids()) / 1024,
                          harness.pss_kb(docker.pids()) / 1024, "MiB",
                          "docker", count)


def _kill_and_wait(marker):
    """Kills the process of that command; seconds until there is a new one."""
    def found():
        return {p for p, line in harness.processes(
            lambda l: l.strip() == marker)}
    before = found()
    victim = min(before)
    begin = time.monotonic()
    os.kill(victim, signal.SIGKILL)
    harness.await_true(lambda: len(found() - before) > 0, pause=0.001)
    elapsed = time.monotonic() - begin
    time.sleep(1.2)  # so that no restart counts as a crash loop
    return elapsed


def heal(workspace):
    """From kill -9 of the main process to its replacement."""
    ours, docker = harness.Bulwark(workspace), harness.Docker(workspace)
    ours.apply("""
kind: Service
name: healing
image: bench:1
command: [/bin/sleep, "100001"]
replicas: 1
rollout: {minHealthyTime: 0s}
""")
    docker.docker(["run", "-d", "--restart=always", "bench:1", "/bin/sleep",
                   "100002"])
    mine, other = [], []
    count = harness.repetitions(5)
    for _ in range(count):
        # Past the time in which either holds a restart back.
        time.sleep(61 if count > 1 else 1)
        mine.append(_kill_and_wait("/bin/sleep 100001"))
        other.append(_kill_and_wait("/bin/sleep 100002"))
    mine.sort()
    other.sort()
    return harness.Result(mine[count // 2] * 1000, other[count // 2] * 1000,
                          "ms", "docker", count)
