"""cc_library, cc_binary and cc_test as the rest of the project uses them.

Most of the time of a compilation goes into headers that hundreds of files
share. These rules let each file start from them in parsed form
(//tools/cc:BUILD.bazel lists them). No file relies on that: `--config=plain`
builds without, and has to succeed as well.
"""

# Packages below these see most of the API's objects.
_API = ["api", "ctl", "daemon", "manifest", "metrics", "scheduler", "tests"]

# What tests do is rarely what takes their time; compiling them is.
TEST_COPTS = ["-O1"]

def _started(kwargs, copts, test):
    """Returns `kwargs` with `copts` and a precompiled header."""
    copts = copts + kwargs.pop("copts", [])
    srcs = kwargs.get("srcs", [])

    # Only C++ with a standard library. That of //engine/child:freestanding.bzl
    # includes the kernel's headers in its place.
    freestanding = "-fno-exceptions" in copts
    if not srcs or freestanding or [s for s in srcs if not s.endswith((".cc", ".h"))]:
        return dict(kwargs, copts = copts)
    kind = "api" if native.package_name().split("/")[0] in _API else "base"
    name = kind + ("_test" if test else "")
    return dict(
        kwargs,
        copts = select({
            "//tools/cc:plain": copts,
            "//conditions:default": ["-include", "tools/cc/%s.h" % name] + copts,
        }),
        deps = kwargs.get("deps", []) + select({
            "//tools/cc:plain": [],
            "//conditions:default": ["//tools/cc:" + name],
        }),
    )

def cc_library(**kwargs):
    # Parts of tests, unlike what only drives them.
    test = kwargs.get("testonly", False) and "@debian//:gtest" in kwargs.get("deps", [])
    native.cc_library(**_started(kwargs, TEST_COPTS if test else [], test))

def cc_binary(**kwargs):
    native.cc_binary(**_started(kwargs, [], False))

def cc_test(**kwargs):
    native.cc_test(**_started(kwargs, TEST_COPTS, True))
