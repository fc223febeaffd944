"""The L4 proxy beside HAProxy, in front of the same nginx."""

import re
import sys
import os

import harness

sys.path.insert(0, os.path.join(harness.ROOT, "tests", "e2e", "images"))
import nginx_image  # pylint: disable=wrong-import-position

_HAPROXY = """
global
  nbthread 2
defaults
  mode tcp
  timeout connect 5s
  timeout client 60s
  timeout server 60s
frontend front
  bind 127.0.0.1:9001
  default_backend back
backend back
  balance leastconn
  server one %s:80
"""


def _requests_per_second(netns, address, close):
    argv = ["nsenter", "--net=" + netns, "wrk", "-t1", "-c32", "-d2s"]
    if close:
        argv += ["-H", "Connection: close"]
    out = harness.run(argv + ["http://%s/" % address])
    return float(re.search(r"Requests/sec:\s+([0-9.]+)", out).group(1))


def _measure(workspace, close):
    ours = harness.Bulwark(workspace)
    layout = workspace.join("layout")
    nginx_image.write_layout(layout, nginx_image.nginx_layer("bench", 80), {
        "Entrypoint": ["/usr/sbin/nginx", "-c", "/etc/nginx/nginx.conf"],
        "StopSignal": "SIGQUIT"})
    archive = workspace.join("nginx.tar")
    harness.run(["skopeo", "copy", "--quiet", "oci:" + layout,
                 "docker-archive:%s:nginx:bench" % archive])
    ours.ctl(["load", "-i", archive])
    ours.apply("""
kind: Service
name: web
image: nginx:bench
ports: ["80"]
rollout: {minHealthyTime: 0s}
""")
    # Client, both proxies and the way to nginx are the same: HAProxy runs in
    # the data-plane namespace, too, and talks to the same container.
    netns = workspace.join_run("r/netns/dataplane")
    replica = ours.items("replicas")[0]["spec"]["address"]
    virtual = ours.items("services")[0]["status"]["virtualAddress"]
    with open(workspace.join("haproxy.cfg"), "w", encoding="ascii") as f:
        f.write(_HAPROXY % replica)
    workspace.start(["nsenter", "--net=" + netns, "haproxy", "-f",
                     workspace.join("haproxy.cfg")], "haproxy")
    count = harness.repetitions(7)
    mine, other = harness.median_of_pairs(
        lambda: _requests_per_second(netns, virtual + ":80", close),
        lambda: _requests_per_second(netns, "127.0.0.1:9001", close), count)
    return harness.Result(mine, other, "requests/s", "haproxy", count)


def keepalive(workspace):
    """Requests a second over 32 kept-alive connections."""
    return _measure(workspace, False)


def new_connections(workspace):
    """Requests a second with a connection for each."""
    return _measure(workspace, True)
