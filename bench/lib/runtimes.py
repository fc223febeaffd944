"""Runtimes of single containers: ours beside crun, over the same bundle."""

import ctypes
import glob
import json
import os
import shutil

import harness

_CGROUPS = "/sys/fs/cgroup"
_CLONE_NEWNS = 0x20000


class _VersionOneView:
    """A process in a mount namespace where control groups of version 1 are
    alone. crun 1.8 refuses hosts where version 2 has controllers beside them.
    It runs and times what it is told to, so that neither runtime pays for it."""

    def __init__(self, workspace):
        (commands, self._commands) = os.pipe()
        (self._answers, answers) = os.pipe()
        self._pid = os.fork()
        if self._pid == 0:
            os.close(self._commands)
            os.close(self._answers)
            try:
                self._enter(workspace)
                self._serve(commands, answers)
            finally:
                os._exit(1)
        os.close(commands)
        os.close(answers)
        workspace.on_exit(self._end)

    @staticmethod
    def _enter(workspace):
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.unshare(_CLONE_NEWNS) != 0:
            raise OSError(ctypes.get_errno(), "unshare")
        harness.run(["mount", "--make-rprivate", "/"])
        if not os.path.exists(_CGROUPS + "/unified/cgroup.controllers"):
            return
        view = workspace.join("cgroups")
        os.mkdir(view)
        harness.run(["mount", "-t", "tmpfs", "cgroups", view])
        for path in glob.glob(_CGROUPS + "/*"):
            if os.path.basename(path) == "unified" or not os.path.ismount(path):
                continue
            at = os.path.join(view, os.path.basename(path))
            os.mkdir(at)
            harness.run(["mount", "--bind", path, at])
        harness.run(["mount", "--rbind", view, _CGROUPS])

    @staticmethod
    def _serve(commands, answers):
        with os.fdopen(commands) as lines:
            for line in lines:
                seconds = harness.timed(lambda: _run(*json.loads(line)))
                os.write(answers, (json.dumps(seconds) + "\n").encode())

    def timed_run(self, *args):
        os.write(self._commands, (json.dumps(args) + "\n").encode())
        answer = os.read(self._answers, 64)
        if not answer:
            raise RuntimeError("the run in the other namespace failed")
        return json.loads(answer)

    def _end(self):
        os.close(self._commands)
        os.waitpid(self._pid, 0)


def _bundle(workspace, network):
    """crun's own default configuration, of a static /bin/true."""
    path = workspace.join("bundle")
    root = os.path.join(path, "rootfs")
    for folder in ("bin", "proc", "dev", "sys"):
        os.makedirs(os.path.join(root, folder))
    shutil.copy(harness.built("bench/true"), os.path.join(root, "bin"))
    harness.run(["crun", "spec"], cwd=path)
    config_path = os.path.join(path, "config.json")
    with open(config_path, encoding="utf-8") as f:
        config = json.load(f)
    config["process"].update(terminal=False, args=["/bin/true"])
    space = config["linux"]
    if not network:
        space["namespaces"] = [n for n in space["namespaces"]
                               if n["type"] != "network"]
    with open(config_path, "w", encoding="utf-8") as f:
        json.dump(config, f)
    # Where it says nothing of a control group, crun makes one all the same.
    return path


def _run(program, state, bundle):
    """One `run`, with as little around it as Python allows."""
    argv = [program, "--root", state, "run", "--bundle", bundle, "one"]
    pid = os.posix_spawn(program, argv, os.environ)
    _, status = os.waitpid(pid, 0)
    code = os.waitstatus_to_exitcode(status)
    if code != 0:
        raise RuntimeError("%s ended with %d" % (" ".join(argv), code))


def _oci_run(workspace, network):
    ours = os.path.join(os.environ["BULWARK_BENCH_BIN"], "engine", "oci",
                        "bulwark-oci")
    crun = shutil.which("crun")
    view = _VersionOneView(workspace)
    bundle = _bundle(workspace, network)
    count = harness.repetitions(100)
    # The state of both in memory, as by default.
    def run_ours():
        return harness.timed(
            lambda: _run(ours, workspace.join_run("ours"), bundle))

    def run_crun():
        return view.timed_run(crun, workspace.join_run("crun"), bundle)

    mine, other = harness.median_of_pairs(
        lambda: harness.second_of(run_ours),
        lambda: harness.second_of(run_crun), count)
    return harness.Result(mine * 1000, other * 1000, "ms", "crun", count)


def oci_run(workspace):
    """`run` of a static /bin/true, in the network that is there."""
    return _oci_run(workspace, network=False)


def oci_run_network(workspace):
    """The same with a network namespace of its own."""
    return _oci_run(workspace, network=True)
