"""What the benchmarks share: programs, daemons, medians."""

import collections
import glob
import json
import os
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

import processes

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))))
PEERS = ["docker.io", "docker-registry", "crun", "haproxy", "wrk", "nginx-light",
         "busybox-static"]
TARGETS = ["//daemon:bulwarkd", "//ctl:ctl", "//engine/shim:bulwark-shim",
           "//dataplane:bulwark-keeper", "//dataplane:bulwark-proxy"]

_FILE_SYSTEM_BYTES = 40 << 30  # of which only what is used is there

Result = collections.namedtuple("Result", "ours theirs unit peer count")


def repetitions(default):
    return int(os.environ.get("N", default))


def prepare():
    """Installs what is missing and builds; outside of the namespaces."""
    # It keeps the packages' services from starting.
    subprocess.run([os.path.join(ROOT, "tools", "deps")] + PEERS, check=True)
    subprocess.run(["bazel", "build", "--noshow_progress",
                    "--ui_event_filters=-info,-stdout,-stderr",
                    "//engine/oci:bulwark-oci", "//bench:all"] + TARGETS,
                   check=True, cwd=ROOT)
    bazel_bin = subprocess.run(
        ["bazel", "info", "bazel-bin"], check=True, cwd=ROOT,
        capture_output=True, text=True).stdout.strip()
    os.environ["BULWARK_BENCH_BIN"] = bazel_bin


def built(path):
    """A program of this tree."""
    return os.path.join(os.environ["BULWARK_BENCH_BIN"], path)


def run(argv, **kwargs):
    done = subprocess.run(argv, capture_output=True, text=True, check=False,
                          timeout=kwargs.pop("timeout", 300), **kwargs)
    if done.returncode != 0:
        raise subprocess.SubprocessError("%s ended with %d: %s" % (
            " ".join(argv), done.returncode, done.stderr.strip()))
    return done.stdout


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


def second_of(call):
    """The second of two in a row: what is still being taken down meanwhile (a
    container, its control group, its network namespace) is of its own kind, not
    of the peer's."""
    call()
    return call()


def timed(call):
    begin = time.monotonic()
    call()
    return time.monotonic() - begin


def stamp_of(log):
    """What bench/stamp.c wrote, as soon as log() has it: nanoseconds."""
    found = []

    def written():
        found[:] = re.findall(r"\b\d{22}\b", log())
        return found

    await_true(written)
    return int(found[0])


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


def _remove_cgroups(name):
    """Those of that name and below them, in every hierarchy."""
    for root in ["/sys/fs/cgroup"] + glob.glob("/sys/fs/cgroup/*"):
        for folder, _, _ in os.walk(os.path.join(root, name), topdown=False):
            try:
                os.rmdir(folder)
            except OSError as error:
                print("bench/run: remove %s: %s" % (folder, error),
                      file=sys.stderr)


class Workspace:
    """A directory, a name for cgroups, and the processes that live there. At
    its end all of them are gone, whatever state they are in."""

    def __enter__(self):
        self._children = []
        self._cleanups = []
        self.path = tempfile.mkdtemp(prefix="bwb", dir="/var/tmp")
        self._make_file_system()
        self.name = os.path.basename(self.path)
        # In memory, as both engines have theirs by default.
        self.run_path = os.path.join("/run", self.name)
        os.mkdir(self.run_path, 0o700)
        return self

    def _make_file_system(self):
        """One of its own: what was removed from the host's before makes some
        file systems slow."""
        image = self.path + ".img"
        with open(image, "wb") as f:
            f.truncate(_FILE_SYSTEM_BYTES)
        run(["mkfs.ext4", "-q", image])
        run(["mount", "-o", "loop", image, self.path])
        os.rmdir(self.join("lost+found"))

    def __exit__(self, *_):
        # A signal waits until nothing is left.
        blocked = signal.pthread_sigmask(
            signal.SIG_BLOCK, [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
        try:
            self._take_down()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, blocked)

    def _take_down(self):
        for cleanup in reversed(self._cleanups):
            try:
                cleanup()
            except (OSError, subprocess.SubprocessError) as error:
                print("bench/run: taking down: %s" % error, file=sys.stderr)
        for child in reversed(self._children):
            self._end(child)
        for command in processes.end_all():
            print("bench/run: killed what was left: " + command,
                  file=sys.stderr)
        _remove_cgroups(self.name)
        for path in (self.run_path, self.path):
            subprocess.run(["umount", "-R", "-l", path], capture_output=True)
            shutil.rmtree(path, ignore_errors=True)
        os.remove(self.path + ".img")

    @staticmethod
    def _end(child):
        if child.poll() is not None:
            return
        child.send_signal(signal.SIGTERM)
        try:
            child.wait(30)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()

    def join(self, name):
        return os.path.join(self.path, name)

    def join_run(self, name):
        return os.path.join(self.run_path, name)

    def start(self, argv, name):
        log = open(self.join(name + ".log"), "ab")
        child = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log,
                                 stderr=log, start_new_session=True)
        self._children.append(child)
        return child

    def on_exit(self, call):
        self._cleanups.append(call)

    def stop(self, child):
        self._end(child)
        if child in self._children:
            self._children.remove(child)

    def context(self):
        """A build context with a static busybox and bench/stamp."""
        directory = self.join("context")
        if not os.path.isdir(directory):
            os.makedirs(directory)
            shutil.copy("/bin/busybox", directory)
            shutil.copy(built("bench/stamp"), directory)
            with open(os.path.join(directory, "Dockerfile"), "w",
                      encoding="ascii") as f:
                f.write("FROM scratch\nCOPY busybox /bin/busybox\n"
                        "COPY busybox /bin/sh\nCOPY busybox /bin/sleep\n"
                        "COPY busybox /bin/true\nCOPY stamp /bin/stamp\n"
                        "ENV PATH=/bin\n")
        return directory


class Bulwark:
    """A daemon of ours and its client."""

    def __init__(self, workspace):
        self._bin = workspace.join("bin")
        self.process = None
        os.makedirs(self._bin)
        for target in TARGETS:
            shutil.copy(os.path.join(os.environ["BULWARK_BENCH_BIN"],
                                     target[2:].replace(":", "/")), self._bin)
        self._args = [os.path.join(self._bin, "bulwarkd"), "--instance", "bench",
                      "--state-dir", workspace.join("s"), "--runtime-dir",
                      workspace.join_run("r"), "--dns-upstream", "127.0.0.1"]
        self._socket = "unix://" + workspace.join_run("r/bulwarkd.sock")
        workspace.on_exit(lambda: self._remove(workspace))
        self.process = workspace.start(self._args, "bulwarkd")
        await_true(lambda: subprocess.run(
            self._ctl(["version"]), capture_output=True).returncode == 0)
        run(self._ctl(["build", "-q", "-t", "bench:1", workspace.context()]))

    def _remove(self, workspace):
        if self.process is not None:
            workspace.stop(self.process)
        subprocess.run(self._args + ["--teardown"], check=True, timeout=300,
                       capture_output=True)

    def _ctl(self, args):
        return [os.path.join(self._bin, "ctl"), "--socket", self._socket] + args

    def ctl(self, args, **kwargs):
        return run(self._ctl(args), **kwargs)

    def apply(self, manifest):
        self.ctl(["apply", "-f", "-", "--wait"], input=manifest)

    def _api_start(self, mode, count, name, command):
        out = run([built("bench/api_start"), self._socket, mode, str(count),
                   name, "bench:1"] + command)
        return [line.split() for line in out.splitlines()]

    def api_start(self, mode, count, name):
        """Starts containers over the API (bench/api_start.cc). Milliseconds
        from each Apply to the news that what it declares runs."""
        return [float(news) for _, _, news in self._api_start(
            mode, count, name, ["/bin/sleep", "100000"])]

    def api_exec(self, name):
        """The same for one, in a pair: milliseconds from Apply to the execution
        of the container's program (bench/stamp.c), and to the news."""
        (begin, _, news), = self._api_start("sequential", 1, name,
                                            ["/bin/stamp"])
        stamp = stamp_of(lambda: self.ctl(["logs", name + "-0"]))
        return (stamp - int(begin)) / 1e6, float(news)

    def items(self, kind):
        parsed = json.loads(self.ctl(["get", kind, "-o", "json"]))
        return parsed if isinstance(parsed, list) else parsed.get("items", [])

    def pids(self):
        """Of the daemon, and of all that it keeps running itself."""
        # Shims run from a copy in memory.
        return [p for p in processes.descendants()
                if processes.executable(p).startswith(
                    (self._bin, "/memfd:bulwark"))]


class Docker:
    """Debian's Docker in this run's namespaces."""

    def __init__(self, workspace):
        self._host = "unix://" + workspace.join("docker.sock")
        workspace.start(
            ["dockerd", "--data-root", workspace.join("docker"), "--exec-root",
             workspace.join_run("dx"), "-H", self._host, "--pidfile",
             workspace.join("docker.pid"), "--cgroup-parent", "/" + workspace.name],
            "dockerd")
        workspace.on_exit(self._remove_containers)
        await_true(lambda: subprocess.run(
            self._docker(["version"]), capture_output=True).returncode == 0)
        self.docker(["build", "-q", "-t", "bench:1", workspace.context()])

    def _remove_containers(self):
        ids = self.docker(["ps", "-aq"]).split()
        if ids:
            self.docker(["rm", "-f"] + ids, timeout=600)

    def _docker(self, args):
        return ["/usr/bin/docker" if os.path.exists("/usr/bin/docker")
                else "docker", "-H", self._host] + args

    def docker(self, args, buildkit=False, **kwargs):
        environment = dict(os.environ, DOCKER_BUILDKIT="1" if buildkit else "0")
        return run(self._docker(args), env=environment, **kwargs)

    def pids(self):
        """Of the daemon, and of all that it keeps running itself."""
        return [p for p in processes.descendants()
                if os.path.basename(processes.executable(p)).startswith(
                    ("dockerd", "containerd", "docker-proxy"))]
