"""What the benchmarks share: programs, daemons, medians."""

import collections
import json
import os
import shutil
import signal
import statistics
import subprocess
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))))
PEERS = ["docker.io", "haproxy", "wrk", "nginx-light", "busybox-static"]
TARGETS = ["//daemon:bulwarkd", "//ctl:ctl", "//engine/shim:bulwark-shim",
           "//dataplane:bulwark-keeper", "//dataplane:bulwark-proxy"]

Result = collections.namedtuple("Result", "ours theirs unit peer count")


def repetitions(default):
    return int(os.environ.get("N", default))


def prepare():
    """Installs what is missing and builds; outside of the namespaces."""
    # It keeps the packages' services from starting.
    subprocess.run([os.path.join(ROOT, "tools", "deps")] + PEERS, check=True)
    subprocess.run(["bazel", "build", "--noshow_progress",
                    "--ui_event_filters=-info,-stdout,-stderr"] + TARGETS,
                   check=True, cwd=ROOT)
    bazel_bin = subprocess.run(
        ["bazel", "info", "bazel-bin"], check=True, cwd=ROOT,
        capture_output=True, text=True).stdout.strip()
    os.environ["BULWARK_BENCH_BIN"] = bazel_bin


def run(argv, **kwargs):
    return subprocess.run(argv, check=True, capture_output=True, text=True,
                          timeout=kwargs.pop("timeout", 300), **kwargs).stdout


def await_true(condition, seconds=60, pause=0.05):
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise RuntimeError("waited %d s in vain" % seconds)
        time.sleep(pause)


def median_of_pairs(ours, theirs, count):
    """Runs both `count` times, taking turns, after one warm-up of each."""
    ours()
    theirs()
    mine, other = [], []
    for _ in range(count):
        mine.append(ours())
        other.append(theirs())
    return statistics.median(mine), statistics.median(other)


def timed(call):
    begin = time.monotonic()
    call()
    return time.monotonic() - begin


def processes(predicate):
    """(pid, command line) of the processes whose command line matches."""
    found = []
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            with open("/proc/%s/cmdline" % entry, "rb") as f:
                line = f.read().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if predicate(line):
            found.append((int(entry), line))
    return found


def pss_kb(pids):
    total = 0
    for pid in pids:
        try:
            with open("/proc/%d/smaps_rollup" % pid, encoding="ascii") as f:
                for line in f:
                    if line.startswith("Pss:"):
                        total += int(line.split()[1])
        except OSError:
            pass  # it has ended
    return total


class Workspace:
    """A directory, and the processes that live in it."""

    def __enter__(self):
        self.path = tempfile.mkdtemp(prefix="bwb", dir="/var/tmp")
        self._children = []
        self._cleanups = []
        return self

    def __exit__(self, *_):
        for cleanup in reversed(self._cleanups):
            cleanup()
        for child in reversed(self._children):
            if child.poll() is None:
                child.send_signal(signal.SIGTERM)
                try:
                    child.wait(30)
                except subprocess.TimeoutExpired:
                    child.kill()
                    child.wait()
        subprocess.run(["umount", "-R", "-l", self.path], capture_output=True)
        shutil.rmtree(self.path, ignore_errors=True)

    def join(self, name):
        return os.path.join(self.path, name)

    def start(self, argv, name):
        log = open(self.join(name + ".log"), "ab")
        child = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log,
                                 stderr=log, start_new_session=True)
        self._children.append(child)
        return child

    def on_exit(self, call):
        self._cleanups.append(call)

    def stop(self, child):
        child.send_signal(signal.SIGTERM)
        child.wait(60)
        self._children.remove(child)

    def context(self):
        """A build context with a static busybox."""
        directory = self.join("context")
        if not os.path.isdir(directory):
            os.makedirs(directory)
            shutil.copy("/bin/busybox", directory)
            with open(os.path.join(directory, "Dockerfile"), "w",
                      encoding="ascii") as f:
                f.write("FROM scratch\nCOPY busybox /bin/busybox\n"
                        "COPY busybox /bin/sh\nCOPY busybox /bin/sleep\n"
                        "COPY busybox /bin/true\nENV PATH=/bin\n")
        return directory


class Bulwark:
    """A daemon of ours and its client."""

    def __init__(self, workspace):
        self._bin = workspace.join("bin")
        os.makedirs(self._bin)
        for target in TARGETS:
            shutil.copy(os.path.join(os.environ["BULWARK_BENCH_BIN"],
                                     target[2:].replace(":", "/")), self._bin)
        self._args = [os.path.join(self._bin, "bulwarkd"), "--instance", "bench",
                      "--state-dir", workspace.join("s"), "--runtime-dir",
                      workspace.join("r"), "--dns-upstream", "127.0.0.1"]
        self._socket = "unix://" + workspace.join("r/bulwarkd.sock")
        self.process = workspace.start(self._args, "bulwarkd")
        workspace.on_exit(lambda: self._remove(workspace))
        await_true(lambda: subprocess.run(
            self._ctl(["version"]), capture_output=True).returncode == 0)
        run(self._ctl(["build", "-q", "-t", "bench:1", workspace.context()]))

    def _remove(self, workspace):
        workspace.stop(self.process)
        subprocess.run(self._args + ["--teardown"], check=True, timeout=300)

    def _ctl(self, args):
        return [os.path.join(self._bin, "ctl"), "--socket", self._socket] + args

    def ctl(self, args, **kwargs):
        return run(self._ctl(args), **kwargs)

    def apply(self, manifest):
        self.ctl(["apply", "-f", "-", "--wait"], input=manifest)

    def items(self, kind):
        parsed = json.loads(self.ctl(["get", kind, "-o", "json"]))
        return parsed if isinstance(parsed, list) else parsed.get("items", [])

    def pids(self):
        return [p for p, line in processes(lambda l: self._bin in l or
                                           "bulwark-shim" in l)]


class Docker:
    """Debian's Docker in this run's namespaces."""

    def __init__(self, workspace):
        self._host = "unix://" + workspace.join("docker.sock")
        self._root = workspace.join("docker")
        workspace.start(
            ["dockerd", "--data-root", self._root, "--exec-root",
             workspace.join("dx"), "-H", self._host, "--pidfile",
             workspace.join("docker.pid")], "dockerd")
        await_true(lambda: subprocess.run(
            self._docker(["version"]), capture_output=True).returncode == 0)
        workspace.on_exit(self._remove)
        self.docker(["build", "-q", "-t", "bench:1", workspace.context()])

    def _remove(self):
        ids = self.docker(["ps", "-aq"]).split()
        if ids:
            self.docker(["rm", "-f"] + ids, timeout=600)

    def _docker(self, args):
        return ["/usr/bin/docker" if os.path.exists("/usr/bin/docker")
                else "docker", "-H", self._host] + args

    def docker(self, args, **kwargs):
        environment = dict(os.environ, DOCKER_BUILDKIT="0")
        return run(self._docker(args), env=environment, **kwargs)

    def pids(self):
        return [p for p, line in processes(
            lambda l: self._root in l or "containerd" in l)]
