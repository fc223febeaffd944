"""Debian's C and C++ libraries as Bazel targets, @debian//:NAME.

Each target carries the link flags that pkg-config reports (or that are written
by hand where Debian ships no .pc file), in one link group, so that the same
target serves dynamic binaries and fully static ones. :archives are those that a
binary can take from archives while the rest stays shared.
"""

# Target name -> pkg-config modules.
_PKG_CONFIG = {
    "grpc": ["grpc++", "protobuf"],
    "protobuf": ["protobuf"],
    "rocksdb": ["rocksdb"],
    "sodium": ["libsodium"],
    "gtest": ["gtest", "gmock"],
    "benchmark": ["benchmark"],
    "yaml_cpp": ["yaml-cpp"],
    "cli11": ["CLI11"],
    "curl": ["libcurl"],
    "archive": ["libarchive"],
    "zstd": ["libzstd"],
    "isal": ["libisal"],
    "openssl": ["openssl"],
    "seccomp": ["libseccomp"],
    "cap": ["libcap"],
    "nl_route": ["libnl-route-3.0"],
    "nftables": ["libnftables"],
    "bpf": ["libbpf"],
    "uring": ["liburing"],
    "ldns": ["ldns"],
    "cares": ["libcares"],
    "nlohmann_json": ["nlohmann_json"],
    "prometheus": ["prometheus-cpp-pull", "prometheus-cpp-core"],
    "zlib": ["zlib"],
    "absl": [
        "absl_base",
        "absl_cleanup",
        "absl_flags",
        "absl_flags_parse",
        "absl_flat_hash_map",
        "absl_flat_hash_set",
        "absl_hash",
        "absl_random_random",
        "absl_status",
        "absl_statusor",
        "absl_str_format",
        "absl_strings",
        "absl_synchronization",
        "absl_time",
    ],
}

# Flags that a .pc file forgets (mostly what a static link needs).
_EXTRA = {
    "grpc": ["-lgrpc++_reflection", "-ldl", "-pthread"],
    "rocksdb": ["-lsnappy", "-lgflags", "-lz", "-lbz2", "-llz4", "-lzstd", "-ldl", "-pthread"],
    "gtest": ["-pthread"],
    "openssl": ["-ldl", "-pthread"],
}

# Used as headers alone, since Debian ships no static archive of them.
# Target name -> defines.
_HEADER_ONLY = {
    "spdlog": ["SPDLOG_FMT_EXTERNAL", "FMT_HEADER_ONLY"],
}

# Linked from their archives into a binary that names @debian//:archives as an
# additional linker input and ARCHIVES_LINKOPTS as its options; all others, and
# above all those that take part in TLS, stay shared. Prefixes of library names.
_ARCHIVED = [
    "absl_",
    "address_sorting",
    "gpr",
    "grpc",
    "protobuf",
    "re2",
    "rocksdb",
    "upb",
    "yaml-cpp",
]

# A linker looks in one folder after the other, and takes what it finds first.
ARCHIVES_LINKOPTS = ["-Lexternal/debian/archives"]

def _link_archives(ctx):
    result = ctx.execute(["pkg-config", "--variable=libdir", "protobuf"])
    if result.return_code != 0:
        fail("pkg-config cannot tell where libprotobuf lies; run tools/deps: %s" % result.stderr)
    for file in ctx.path(result.stdout.strip()).readdir():
        name = file.basename
        if not name.startswith("lib") or not name.endswith(".a"):
            continue
        for prefix in _ARCHIVED:
            if name[len("lib"):].startswith(prefix):
                ctx.symlink(file, "archives/" + name)
                break

def _unique(flags):
    seen = {}
    for flag in flags:
        seen[flag] = True
    return seen.keys()

def _impl(ctx):
    _link_archives(ctx)
    build = [
        'package(default_visibility = ["//visibility:public"])',
        'filegroup(name = "archives", srcs = glob(["archives/*.a"]))',
    ]
    for name, modules in _PKG_CONFIG.items():
        result = ctx.execute(["pkg-config", "--libs"] + modules)
        if result.return_code != 0:
            fail("pkg-config cannot find %s; run tools/deps: %s" % (modules, result.stderr))
        libs = [f for f in result.stdout.split(" ") if f.strip().startswith("-l")]
        libs = _unique([f.strip() for f in libs] + _EXTRA.get(name, []))
        flags = ["-Wl,--start-group"] + libs + ["-Wl,--end-group"] if libs else []
        result = ctx.execute(["pkg-config", "--cflags-only-other"] + modules)
        defines = [f.strip()[2:] for f in result.stdout.split(" ") if f.strip().startswith("-D")]
        build.append("""cc_library(
    name = "{name}",
    defines = {defines},
    linkopts = {flags},
)""".format(name = name, defines = defines, flags = flags))
    for name, defines in _HEADER_ONLY.items():
        build.append("""cc_library(
    name = "{name}",
    defines = {defines},
)""".format(name = name, defines = defines))
    build.append("""cc_library(
    name = "gtest_main",
    linkopts = ["-lgtest_main"],
    deps = [":gtest"],
)""")
    ctx.file("BUILD.bazel", "\n\n".join(build) + "\n")
    ctx.file("WORKSPACE", "")

debian_libraries = repository_rule(
    implementation = _impl,
    local = True,
    configure = True,
)
