"""Protobuf and gRPC code with Debian's protoc and plugin."""

def cc_proto(name, srcs, deps = [], grpc = False, visibility = None):
    """Generates C++ from `srcs` and makes a cc_library of it.

    Args:
      name: the cc_library; NAME_srcs is the filegroup of the .proto files.
      srcs: .proto files of this package.
      deps: other cc_proto targets whose files these import.
      grpc: also generates the gRPC service code.
      visibility: as usual.
    """
    native.filegroup(
        name = name + "_srcs",
        srcs = srcs + [d + "_srcs" for d in deps],
        visibility = ["//visibility:public"],
    )
    stems = [s[:-len(".proto")] for s in srcs]
    suffixes = [".pb"] + ([".grpc.pb"] if grpc else [])
    headers = [s + x + ".h" for s in stems for x in suffixes]
    sources = [s + x + ".cc" for s in stems for x in suffixes]
    command = "protoc -I. --cpp_out=$(GENDIR)"
    if grpc:
        command += " --grpc_out=$(GENDIR) --plugin=protoc-gen-grpc=$$(command -v grpc_cpp_plugin)"
    native.genrule(
        name = name + "_gen",
        srcs = srcs + [d + "_srcs" for d in deps],
        outs = headers + sources,
        cmd = "PATH=/usr/local/bin:/usr/bin:/bin; " + command + " " +
              " ".join(["$(locations %s)" % s for s in srcs]),
    )
    native.cc_library(
        name = name,
        srcs = sources,
        hdrs = headers,
        copts = ["-Wno-all", "-Wno-extra"],
        visibility = visibility,
        deps = deps + ["@debian//:grpc"],
    )
