// ctl build: make an image from a Dockerfile.
#include <filesystem>
#include <memory>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "ctl/commands/commands.h"
#include "ctl/errors.h"
#include "ctl/pull.h"
#include "ctl/tar.h"

namespace bulwark::ctl {
namespace {

namespace fs = std::filesystem;

// Where a Dockerfile from outside the context stands in the archive.
constexpr absl::string_view kOutsideName = ".bulwark-build.dockerfile";

struct Flags {
  std::vector<std::string> tags;
  std::vector<std::string> args;
  std::string dockerfile;
  std::string target;
  std::string context;
  bool no_cache = false;
  bool quiet = false;
};

// --build-arg NAME takes the value from the environment, as docker's does.
absl::Status ReadArgs(Context& context, const Flags& flags,
                      v1::BuildOptions& options) {
  for (const std::string& arg : flags.args) {
    const size_t equals = arg.find('=');
    if (equals == 0) {
      return UsageError(absl::StrCat("--build-arg ", arg, ": NAME=value"));
    }
    if (equals != std::string::npos) {
      (*options.mutable_args())[arg.substr(0, equals)] = arg.substr(equals + 1);
    } else if (auto value = context.environment(arg)) {
      (*options.mutable_args())[arg] = *value;
    }
  }
  return absl::OkStatus();
}

// Sets options.dockerfile; a file outside the context is added to the archive.
absl::Status FindDockerfile(const Flags& flags, v1::BuildOptions& options,
                            TarFolder& tar) {
  fs::path file = flags.dockerfile.empty()
                      ? fs::path(flags.context) / "Dockerfile"
                      : fs::path(flags.dockerfile);
  std::error_code error;
  if (!fs::is_regular_file(file, error)) {
    return WithRemedy(absl::NotFoundError(absl::StrCat("read ", file.string(),
                                                       ": no such file")),
                      "name the Dockerfile with -f");
  }
  const std::string relative =
      fs::relative(file, flags.context, error).string();
  if (error || relative.empty() || relative == ".." ||
      absl::StartsWith(relative, "../")) {
    tar.AddFile(file.string(), std::string(kOutsideName));
    options.set_dockerfile(std::string(kOutsideName));
  } else {
    options.set_dockerfile(relative);
  }
  return absl::OkStatus();
}

absl::StatusOr<int> Run(Context& context, const Flags& flags) {
  v1::BuildOptions options;
  for (const std::string& tag : flags.tags) options.add_tags(tag);
  options.set_target(flags.target);
  options.set_no_cache(flags.no_cache);
  RETURN_IF_ERROR(ReadArgs(context, flags, options));
  std::error_code error;
  if (!fs::is_directory(flags.context, error)) {
    return absl::InvalidArgumentError(
        absl::StrCat("build ", flags.context, ": the context is no folder"));
  }
  ASSIGN_OR_RETURN(std::unique_ptr<TarFolder> tar,
                   TarFolder::Open(flags.context));
  RETURN_IF_ERROR(FindDockerfile(flags, options, *tar));
  ProgressPrinter printer(context.io, context.clock, flags.quiet);
  absl::Status status = context.client().Build(
      options, [&tar] { return tar->Next(); },
      [&](const v1::ImageProgress& p) { printer.Update(p); });
  printer.Finish();
  if (!status.ok()) return status;
  PrintImages(context, printer.images());
  return kExitOk;
}

}  // namespace

void AddBuild(CLI::App& app, Context& context) {
  auto flags = std::make_shared<Flags>();
  Command(app, context, "build", "Make an image from a Dockerfile")
      .Word("CONTEXT", flags->context, "Folder that COPY takes from",
            Command::kRequired)
      .Option("-t,--tag", flags->tags, "Name of the image (repeatable)")
      .Option("-f,--file", flags->dockerfile, "Default: CONTEXT/Dockerfile")
      .Option("--build-arg", flags->args, "NAME=value for ARG (repeatable)")
      .Option("--target", flags->target, "Stop at this stage")
      .Flag("--no-cache", flags->no_cache, "Run every step")
      .Flag("-q,--quiet", flags->quiet, "Print the result only")
      .Action([flags](Context& c) { return Run(c, *flags); });
}

}  // namespace bulwark::ctl
