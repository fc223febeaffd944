"""Containers: ours beside Docker's."""

import os
import signal
import statistics
import time

import harness
import processes


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


def _print_split(what, pids):
    """How much each program has, and each process of it."""
    by_program = {}
    for pid in pids:
        name = os.path.basename(processes.executable(pid).split(" ")[0])
        by_program.setdefault(name, []).append(harness.pss_kb([pid]))
    for name, sizes in sorted(by_program.items()):
        print("%s: %s: %.1f MiB in %d, median %d kB" % (
            what, name, sum(sizes) / 1024, len(sizes),
            statistics.median(sizes)))


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
    _print_split("bulwark", ours.pids())
    _print_split("docker", docker.pids())
    return harness.Result(harness.pss_kb(ours.pids()) / 1024,
                          harness.pss_kb(docker.pids()) / 1024, "MiB",
                          "docker", count)


# Docker takes a container that has run for so long as healthy, and so restarts
# it without more than its first delay.
_STEADY_SECONDS = 11


def _kill_and_wait(command):
    """Kills the process of that command; seconds until there is a new one."""
    before = processes.all_pids()
    victims = [p for p in before if processes.command(p) == command]
    if len(victims) != 1:
        raise RuntimeError("%d processes run %s" % (len(victims), command))

    def healed():
        return any(processes.command(p) == command
                   for p in processes.all_pids() - before)
    begin = time.monotonic()
    os.kill(victims[0], signal.SIGKILL)
    harness.await_true(healed, pause=0.0005)
    return time.monotonic() - begin


def heal(workspace):
    """From kill -9 of the main process to its replacement. Each repetition has
    a service, and a container, of its own, so that neither is held back for
    having failed before."""
    ours, docker = harness.Bulwark(workspace), harness.Docker(workspace)
    count = harness.repetitions(10)
    for i in range(count):
        ours.apply("""
kind: Service
name: healing-%d
image: bench:1
command: [/bin/sleep, "1%05d"]
replicas: 1
rollout: {minHealthyTime: 0s}
""" % (i, i))
        docker.docker(["run", "-d", "--restart=always", "bench:1", "/bin/sleep",
                       "2%05d" % i])
    time.sleep(_STEADY_SECONDS)
    mine, other = [], []
    for i in range(count):
        mine.append(_kill_and_wait("/bin/sleep 1%05d" % i))
        other.append(_kill_and_wait("/bin/sleep 2%05d" % i))
    return harness.Result(statistics.median(mine) * 1000,
                          statistics.median(other) * 1000, "ms", "docker",
                          count)
