"""Images: pulling, and listing many of them."""

import gzip
import hashlib
import http.client
import io
import json
import os
import statistics
import tarfile

import harness

# Compressed megabytes of the layers: a distribution below, an application's
# dependencies above it, and small steps at the top.
_LAYER_MB = (60, 30, 20, 12, 6, 2)
_REGISTRY = "127.0.0.1:5000"


def _digest(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


def _real_files():
    """Programs, libraries and texts of this host, always in the same order."""
    for root in ("/usr/lib", "/usr/share", "/usr/include", "/usr/bin"):
        for folder, folders, files in os.walk(root):
            folders.sort()
            for name in sorted(files):
                path = os.path.join(folder, name)
                if os.path.isfile(path) and not os.path.islink(path):
                    yield path


def _layer(files, compressed_bytes):
    """A layer of the next files: (tar's digest, gzip stream)."""
    plain = hashlib.sha256()
    packed = io.BytesIO()

    class Both(io.RawIOBase):
        """Hashes what it compresses."""

        def __init__(self):
            super().__init__()
            self.zip = gzip.GzipFile(fileobj=packed, mode="wb",
                                     compresslevel=6, mtime=0)

        def writable(self):
            return True

        def write(self, data):
            plain.update(data)
            self.zip.write(data)
            return len(data)

    both = Both()
    with tarfile.open(fileobj=both, mode="w|", format=tarfile.PAX_FORMAT) as tar:
        known = set()
        for path in files:
            parts = os.path.dirname(path).strip("/").split("/")
            for i in range(1, len(parts) + 1):
                folder = "/".join(parts[:i])
                if folder not in known:
                    known.add(folder)
                    entry = tarfile.TarInfo(folder)
                    entry.type, entry.mode = tarfile.DIRTYPE, 0o755
                    tar.addfile(entry)
            try:
                tar.add(path, path.lstrip("/"), recursive=False)
            except OSError:
                continue
            if packed.tell() >= compressed_bytes:
                break
    both.zip.close()
    return "sha256:" + plain.hexdigest(), packed.getvalue()


def _config(diff_ids, **more):
    return json.dumps(dict(
        {"architecture": "amd64", "os": "linux", "config": {"Cmd": ["/bin/true"]},
         "rootfs": {"type": "layers", "diff_ids": diff_ids}}, **more)).encode()


def _upload(connection, repository, data):
    connection.request("POST", "/v2/%s/blobs/uploads/" % repository)
    response = connection.getresponse()
    response.read()
    location = response.getheader("Location")
    path = location[location.index("/v2/"):]
    connection.request(
        "PUT", path + ("&" if "?" in path else "?") + "digest=" + _digest(data),
        body=data, headers={"Content-Type": "application/octet-stream"})
    response = connection.getresponse()
    response.read()
    if response.status != 201:
        raise RuntimeError("the registry refused a blob: %d" % response.status)


def _start_registry(workspace):
    config = workspace.join("registry.yml")
    with open(config, "w", encoding="ascii") as f:
        f.write("version: 0.1\nlog: {level: error}\nstorage:\n"
                "  filesystem: {rootdirectory: %s}\n"
                "http: {addr: \"%s\"}\n" % (workspace.join("registry"),
                                          _REGISTRY))
    workspace.start(["docker-registry", "serve", config], "registry")

    def answers():
        try:
            connection = http.client.HTTPConnection(_REGISTRY, timeout=1)
            connection.request("GET", "/v2/")
            return connection.getresponse().status == 200
        except OSError:
            return False
    harness.await_true(answers)


def _push_large_image(workspace):
    """A 6-layer image in the registry; its name."""
    _start_registry(workspace)
    connection = http.client.HTTPConnection(_REGISTRY, timeout=60)
    files = _real_files()
    diff_ids, layers, total = [], [], 0
    for size in _LAYER_MB:
        diff_id, data = _layer(files, size << 20)
        _upload(connection, "bench", data)
        diff_ids.append(diff_id)
        layers.append({
            "mediaType": "application/vnd.docker.image.rootfs.diff.tar.gzip",
            "digest": _digest(data), "size": len(data)})
        total += len(data)
    config = _config(diff_ids)
    _upload(connection, "bench", config)
    kind = "application/vnd.docker.distribution.manifest.v2+json"
    manifest = json.dumps({
        "schemaVersion": 2, "mediaType": kind,
        "config": {"mediaType": "application/vnd.docker.container.image.v1+json",
                   "digest": _digest(config), "size": len(config)},
        "layers": layers})
    connection.request("PUT", "/v2/bench/manifests/1", body=manifest,
                       headers={"Content-Type": kind})
    if connection.getresponse().status != 201:
        raise RuntimeError("the registry refused the manifest")
    print("pull: %d layers, %.0f MB compressed" % (len(layers), total / 1e6))
    return _REGISTRY + "/bench:1"


def _processor_seconds(pids):
    ticks = 0
    for pid in pids:
        try:
            with open("/proc/%d/stat" % pid, encoding="ascii") as f:
                # user, system, and both of children that were waited for.
                fields = f.read().rsplit(")", 1)[1].split()[11:15]
                ticks += sum(int(t) for t in fields)
        except OSError:
            pass  # it has ended: its parent has counted it
    return ticks / os.sysconf("SC_CLK_TCK")


def pull(workspace):
    """Pull and unpack of six layers from a registry on this host, until the
    client says that the image is there."""
    ours, docker = harness.Bulwark(workspace), harness.Docker(workspace)
    name = _push_large_image(workspace)
    count = harness.repetitions(5)
    spent = {"bulwark": [], "docker": []}

    def measure(who, pids, fetch, remove):
        os.sync()  # what is still to be written of the last turn is not ours
        before = _processor_seconds(pids())
        seconds = harness.timed(fetch)
        spent[who].append(_processor_seconds(pids()) - before)
        remove()
        return seconds
    mine, other = harness.median_of_pairs(
        lambda: measure("bulwark", ours.pids,
                        lambda: ours.ctl(["pull", "-q", name]),
                        lambda: ours.ctl(["rmi", name])),
        lambda: measure("docker", docker.pids,
                        lambda: docker.docker(["pull", "-q", name]),
                        lambda: docker.docker(["rmi", name])),
        count)
    used = [statistics.median(spent[w][1:]) for w in ("bulwark", "docker")]
    print("pull: processor time: bulwark %.2f s, docker %.2f s, ratio %.2f" %
          (used[0], used[1], used[0] / used[1]))
    return harness.Result(mine, other, "s", "docker", count)


def _archive_of_many(workspace, count):
    """A docker-archive of images that share their one layer."""
    path = workspace.join("many.tar")
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w") as tar:
        entry = tarfile.TarInfo("file")
        entry.size = 5
        tar.addfile(entry, io.BytesIO(b"hello"))
    files = {"layer.tar": layer.getvalue()}
    images = []
    for i in range(count):
        config = "%d.json" % i
        files[config] = _config([_digest(layer.getvalue())], author=str(i))
        images.append({"Config": config, "Layers": ["layer.tar"],
                       "RepoTags": ["bench.local/many/image-%d:1" % i]})
    files["manifest.json"] = json.dumps(images).encode()
    with tarfile.open(path, "w") as tar:
        for name, data in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
    return path


def images_1000(workspace):
    """`ctl images` with a thousand of them, beside `docker images`."""
    ours, docker = harness.Bulwark(workspace), harness.Docker(workspace)
    archive = _archive_of_many(workspace, 1000)
    ours.ctl(["load", "-q", "-i", archive])
    docker.docker(["load", "-q", "-i", archive], timeout=600)
    count = harness.repetitions(10)
    mine, other = harness.median_of_pairs(
        lambda: harness.timed(lambda: ours.ctl(["images"])),
        lambda: harness.timed(lambda: docker.docker(["images"])), count)
    return harness.Result(mine * 1000, other * 1000, "ms", "docker", count)
