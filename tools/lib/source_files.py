"""The files of the source tree, as the checks read them."""

import os
import subprocess


def source_files(suffixes):
    """Their paths, also of those that are not committed yet."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        check=False, capture_output=True, text=True)
    # An unpacked archive has no history; everything in it counts.
    paths = listed.stdout.split() if listed.returncode == 0 else _walk()
    return [p for p in paths if p.endswith(suffixes) and os.path.isfile(p)]


def _walk():
    found = []
    for folder, folders, names in os.walk("."):
        folders[:] = sorted(f for f in folders
                            if not f.startswith((".", "bazel-")))
        found += [os.path.relpath(os.path.join(folder, n)) for n in names]
    return sorted(found)
