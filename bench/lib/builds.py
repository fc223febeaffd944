"""Image builds: ours beside BuildKit's, as Debian's dockerd has it."""

import os
import random
import time

import harness

_DOCKERFILE = """FROM bench:1
COPY data /data
RUN /bin/busybox mkdir /out && /bin/busybox cp -r /data /out
RUN /bin/busybox sha256sum /data/* > /sums
ENV MODE=bench
WORKDIR /out
RUN echo done > /out/done
"""
_FILES = 200
_FILE_BYTES = 50_000
# A file that changed so lately may change again within one tick of its clock,
# so that nobody may take its times for its content.
_SETTLED_SECONDS = 3


def _context(workspace):
    """Six steps above a base that is here, over 10 MB that do not compress."""
    path = workspace.join("build")
    os.makedirs(os.path.join(path, "data"))
    numbers = random.Random(1)
    for i in range(_FILES):
        with open(os.path.join(path, "data", "%03d" % i), "wb") as f:
            f.write(numbers.randbytes(_FILE_BYTES))
    with open(os.path.join(path, "Dockerfile"), "w", encoding="ascii") as f:
        f.write(_DOCKERFILE)
    return path


def _measure(workspace, extra, count):
    ours, docker = harness.Bulwark(workspace), harness.Docker(workspace)
    context = _context(workspace)
    words = ["build", "-q", "-t", "built:1"] + extra + [context]
    time.sleep(_SETTLED_SECONDS)
    mine, other = harness.median_of_pairs(
        lambda: harness.timed(lambda: ours.ctl(words)),
        lambda: harness.timed(lambda: docker.docker(words, buildkit=True)),
        count)
    return harness.Result(mine * 1000, other * 1000, "ms", "buildkit", count)


def cold(workspace):
    """Every step is carried out."""
    return _measure(workspace, ["--no-cache"], harness.repetitions(5))


def cached(workspace):
    """Nothing has changed, with the client and the context that it sends."""
    return _measure(workspace, [], harness.repetitions(10))
