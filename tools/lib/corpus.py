#!/usr/bin/env python3
"""Packs the inputs of a fuzz target into one file, and back.

usage: corpus.py pack FOLDER FILE | unpack FILE FOLDER

The file: for each input its size (u32, little-endian) and its bytes, short ones
first. tests/fuzz/replay_test.cc reads it.
"""

import hashlib
import os
import struct
import sys


def pack(folder, path):
    inputs = set()
    for name in os.listdir(folder):
        with open(os.path.join(folder, name), "rb") as f:
            inputs.add(f.read())
    with open(path + ".new", "wb") as f:
        for data in sorted(inputs, key=lambda d: (len(d), d)):
            f.write(struct.pack("<I", len(data)) + data)
    os.replace(path + ".new", path)
    print("%s: %d inputs, %d bytes" % (path, len(inputs), os.path.getsize(path)))


def unpack(path, folder):
    os.makedirs(folder, exist_ok=True)
    with open(path, "rb") as f:
        while header := f.read(4):
            data = f.read(struct.unpack("<I", header)[0])
            name = hashlib.sha1(data).hexdigest()
            with open(os.path.join(folder, name), "wb") as out:
                out.write(data)


if __name__ == "__main__":
    {"pack": pack, "unpack": unpack}[sys.argv[1]](*sys.argv[2:])
