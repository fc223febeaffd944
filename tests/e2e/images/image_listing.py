#!/usr/bin/env python3
"""Prints what a docker-archive of one image holds, whoever made it, for a
comparison line by line: its configuration, then its files.

usage: image_listing.py ARCHIVE

Left out is what tools may do as they like: times, names and sizes of layers,
the order of what has none, and the history.
"""

import json
import posixpath
import sys
import tarfile

KINDS = {tarfile.REGTYPE: "-", tarfile.AREGTYPE: "-", tarfile.SYMTYPE: "l",
         tarfile.DIRTYPE: "d", tarfile.FIFOTYPE: "p", tarfile.CHRTYPE: "c",
         tarfile.BLKTYPE: "b"}


def print_config(config):
    """The part of the configuration that counts."""
    print("platform %s/%s" % (config["os"], config["architecture"]))
    wanted = ("User", "ExposedPorts", "Env", "Entrypoint", "Cmd", "Volumes",
              "WorkingDir", "Labels", "StopSignal", "Shell", "OnBuild",
              "Healthcheck")
    for key in wanted:
        value = config["config"].get(key)
        if not value:
            continue
        if isinstance(value, (dict, list)):
            print("%s %s" % (key, json.dumps(value, sort_keys=True)))
        else:
            print("%s %s" % (key, value))


class Tree:
    """The files of an image; layers are put on it from the lowest on."""

    def __init__(self):
        self._files = {}  # path -> what is printed of it

    def _remove(self, path, itself):
        below = path + "/" if path else ""
        for other in [o for o in self._files if o.startswith(below)]:
            del self._files[other]
        if itself:
            self._files.pop(path, None)

    def _add_parents(self, path):
        parent = posixpath.dirname(path)
        if not parent or self._files.get(parent, "").startswith("d"):
            return
        self._files[parent] = "d 755 0:0"
        self._add_parents(parent)

    def put(self, layer):
        """Puts an open tar above what is there."""
        members = [(posixpath.normpath("/" + member.name)[1:], member)
                   for member in layer]
        for path, _ in members:
            folder, name = posixpath.split(path)
            if name == ".wh..wh..opq":
                self._remove(folder, itself=False)
            elif name.startswith(".wh."):
                self._remove(posixpath.join(folder, name[4:]), itself=True)
        for path, member in members:
            if posixpath.basename(path).startswith(".wh.") or not path:
                continue
            self._put_member(path, member)

    def _put_member(self, path, member):
        if not member.isdir():
            self._remove(path, itself=True)
        self._add_parents(path)
        if member.islnk():
            target = posixpath.normpath("/" + member.linkname)[1:]
            self._files[path] = self._files[target]
            return
        text = "%s %o %d:%d" % (KINDS[member.type], member.mode & 0o7777,
                                member.uid, member.gid)
        if member.isreg():
            text += " %d" % member.size
        elif member.issym():
            text += " -> " + member.linkname
        elif member.ischr() or member.isblk():
            text += " %d,%d" % (member.devmajor, member.devminor)
        self._files[path] = text

    def print(self):
        for path, text in sorted(self._files.items()):
            print(path + ": " + text)


def main():
    tree = Tree()
    with tarfile.open(sys.argv[1]) as archive:
        (image,) = json.load(archive.extractfile("manifest.json"))
        print_config(json.load(archive.extractfile(image["Config"])))
        for name in image["Layers"]:
            with tarfile.open(fileobj=archive.extractfile(name)) as layer:
                tree.put(layer)
    tree.print()


if __name__ == "__main__":
    main()
