"""Runtimes of single containers: ours beside crun, over the same bundle."""

import glob
import json
import os
import shutil
import subprocess

import harness

_CGROUPS = "/sys/fs/cgroup"


def _show_version_1_alone(workspace):
    """crun 1.8 refuses to work where version 2 of control groups has
    controllers beside version 1's. Both runtimes see the latter alone, then;
    the mount namespace is the benchmark's own."""
    unified = os.path.join(_CGROUPS, "unified", "cgroup.controllers")
    if not os.path.exists(unified):
        return
    version_2 = os.path.dirname(unified)
    harness.run(["umount", "-l", version_2])
    workspace.on_exit(
        lambda: harness.run(["mount", "-t", "cgroup2", "cgroup2", version_2]))
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
    workspace.on_exit(lambda: harness.run(["umount", "-R", "-l", _CGROUPS]))
    # Nothing of the workspace may lead to the host's groups.
    harness.run(["umount", "-R", "-l", view])
    os.rmdir(view)


def _bundle(workspace, network):
    """crun's own default configuration, of a static /bin/true."""
    path = workspace.join("bundle")
    root = os.path.join(path, "rootfs")
    for folder in ("bin", "proc", "dev", "sys"):
        os.makedirs(os.path.join(root, folder))
    shutil.copy("/bin/busybox", os.path.join(root, "bin", "true"))
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
    _show_version_1_alone(workspace)
    bundle = _bundle(workspace, network)
    count = harness.repetitions(100)
    mine, other = harness.median_of_pairs(
        lambda: harness.timed(
            lambda: _run(ours, workspace.join("state-ours"), bundle)),
        lambda: harness.timed(
            lambda: _run(crun, workspace.join("state-crun"), bundle)),
        count)
    return harness.Result(mine * 1000, other * 1000, "ms", "crun", count)


def oci_run(workspace):
    """`run` of a static /bin/true, in the network that is there."""
    return _oci_run(workspace, network=False)


def oci_run_network(workspace):
    """The same with a network namespace of its own."""
    return _oci_run(workspace, network=True)
