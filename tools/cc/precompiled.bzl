"""A header that the compiler reads in its own, parsed form."""

load("@bazel_tools//tools/build_defs/cc:action_names.bzl", "ACTION_NAMES")
load("@bazel_tools//tools/cpp:toolchain_utils.bzl", "find_cpp_toolchain")

def _precompiled_header_impl(ctx):
    toolchain = find_cpp_toolchain(ctx)
    features = cc_common.configure_features(
        ctx = ctx,
        cc_toolchain = toolchain,
        requested_features = ctx.features,
        unsupported_features = ctx.disabled_features,
    )
    used = cc_common.merge_cc_infos(
        cc_infos = [dep[CcInfo] for dep in ctx.attr.deps],
    ).compilation_context

    header = ctx.actions.declare_file(ctx.label.name + ".h")
    ctx.actions.write(
        header,
        "".join(["#include %s\n" % i for i in ctx.attr.includes]),
    )

    # Takes the place of the header wherever that is included first, by the
    # same compiler with the same flags.
    parsed = ctx.actions.declare_file(ctx.label.name + ".h.gch")

    # It records what it was made of only if it is asked for a list itself;
    # with -fpch-deps the list of each file that uses it has that, too.
    listed = ctx.actions.declare_file(ctx.label.name + ".d")
    fragment = ctx.fragments.cpp
    variables = cc_common.create_compile_variables(
        feature_configuration = features,
        cc_toolchain = toolchain,
        source_file = header.path,
        output_file = parsed.path,
        user_compile_flags = fragment.copts + fragment.cxxopts + ctx.attr.copts,
        include_directories = used.includes,
        quote_include_directories = used.quote_includes,
        system_include_directories = used.system_includes,
        preprocessor_defines = used.defines,
        use_pic = True,
    )
    action = ACTION_NAMES.cpp_compile
    ctx.actions.run(
        mnemonic = "CppPrecompile",
        progress_message = "Precompiling " + header.short_path,
        executable = cc_common.get_tool_for_action(
            feature_configuration = features,
            action_name = action,
        ),
        arguments = ["-x", "c++-header", "-MD", "-MF", listed.path] +
                    cc_common.get_memory_inefficient_command_line(
                        feature_configuration = features,
                        action_name = action,
                        variables = variables,
                    ),
        env = cc_common.get_environment_variables(
            feature_configuration = features,
            action_name = action,
            variables = variables,
        ),
        inputs = depset(
            [header],
            transitive = [used.headers, toolchain.all_files],
        ),
        outputs = [parsed, listed],
    )
    files = depset([header, parsed])
    return [
        DefaultInfo(files = files),
        # It is used only where the same macros are defined.
        CcInfo(compilation_context = cc_common.create_compilation_context(
            defines = used.defines,
            headers = depset(transitive = [files, used.headers]),
        )),
    ]

precompiled_header = rule(
    doc = "NAME.h, which includes `includes`, and NAME.h.gch, its parsed form.",
    implementation = _precompiled_header_impl,
    attrs = {
        "copts": attr.string_list(doc = "Of those who include it, too."),
        "deps": attr.label_list(
            doc = "Of the headers that it includes.",
            providers = [CcInfo],
        ),
        "includes": attr.string_list(
            doc = "With their <> or quotes.",
            mandatory = True,
        ),
        "_cc_toolchain": attr.label(
            default = "@bazel_tools//tools/cpp:current_cc_toolchain",
        ),
    },
    fragments = ["cpp"],
    toolchains = ["@bazel_tools//tools/cpp:toolchain_type"],
)
