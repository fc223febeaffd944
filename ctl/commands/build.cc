// ctl build: make an image from a Dockerfile.
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/status.h"
#include "ctl/build_context.h"
#include "ctl/build_options.h"
#include "ctl/build_result.h"
#include "ctl/commands/commands.h"
#include "ctl/errors.h"
#include "ctl/output_file.h"
#include "ctl/print/build_progress.h"
#include "ctl/pull.h"

namespace bulwark::ctl {
namespace {

absl::Status WriteFile(const std::string& path, absl::string_view text) {
  ASSIGN_OR_RETURN(OutputFile file, OutputFile::Create(path, true));
  RETURN_IF_ERROR(file.Write(text));
  return file.Commit();
}

std::string Quoted(absl::string_view text) {
  return absl::StrCat("\"", text, "\"");
}

// For scripts: the image's digest alone, or all that there is to know.
absl::Status WriteIdFiles(const BuildFlags& flags,
                          const std::vector<v1::ImageInfo>& images) {
  if (images.empty()) return absl::OkStatus();
  const v1::ImageInfo& image = images[0];
  if (!flags.iid_file.empty()) {
    RETURN_IF_ERROR(WriteFile(flags.iid_file, image.digest()));
  }
  if (flags.metadata_file.empty()) return absl::OkStatus();
  // Digests and names have no character that JSON would escape.
  return WriteFile(
      flags.metadata_file,
      absl::StrCat("{\n  \"containerimage.digest\": ", Quoted(image.digest()),
                   ",\n  \"containerimage.config.digest\": ",
                   Quoted(image.config_digest()), ",\n  \"image.name\": ",
                   Quoted(absl::StrJoin(image.references(), ",")), "\n}\n"));
}

absl::StatusOr<int> Run(Context& context, const BuildFlags& flags) {
  ASSIGN_OR_RETURN(const BuildPrinter::Mode mode,
                   BuildPrinter::ParseMode(
                       flags.quiet ? "quiet" : flags.progress, context.io));
  v1::BuildOptions options;
  BuildOutput output;
  RETURN_IF_ERROR(ReadBuildFlags(context, flags, options, output));
  ASSIGN_OR_RETURN(const std::vector<Client::BuildPart> parts,
                   OpenBuildContexts(context, flags, options));
  ASSIGN_OR_RETURN(std::unique_ptr<BuildResult> result,
                   BuildResult::Open(context, output));
  BuildPrinter printer(context.io, context.clock, mode);
  absl::Status received;
  bool warned = false;
  const absl::Status status = context.client().Build(
      options, parts, [&](const v1::ImageProgress& progress) {
        warned = warned || progress.warnings_size() > 0;
        if (!progress.data().empty()) {
          if (received.ok()) received = result->Add(progress.data());
          // What comes now is of no use any more.
          if (!received.ok()) context.client().CancelStreams();
          return;
        }
        printer.Update(progress);
      });
  printer.Finish();
  RETURN_IF_ERROR(received);
  RETURN_IF_ERROR(status);
  RETURN_IF_ERROR(result->Finish());
  RETURN_IF_ERROR(WriteIdFiles(flags, printer.images()));
  if (flags.check) {
    if (!warned) context.io.Err("nothing to warn of\n");
    return warned ? kExitError : kExitOk;
  }
  if (output.kind != BuildOutput::Kind::kStdout) {
    PrintImages(context, printer.images());
  }
  return kExitOk;
}

}  // namespace

void AddBuild(CLI::App& app, Context& context) {
  auto flags = std::make_shared<BuildFlags>();
  BuildFlags& f = *flags;
  Command(app, context, "build", "Make an image from a Dockerfile")
      .Word("CONTEXT", f.context,
            "What COPY takes from: a folder, a git or http URL of an archive,"
            " or - for a tar or Dockerfile on standard input",
            Command::kRequired)
      .Option("-t,--tag", f.tags, "Name of the image (repeatable)")
      .Option("-f,--file", f.dockerfile,
              "Default: CONTEXT/Dockerfile; - reads standard input")
      .Option("--build-arg", f.args, "NAME=value for ARG (repeatable)")
      .Option("--build-context", f.contexts,
              "NAME=FOLDER, docker-image://IMAGE or URL (repeatable)")
      .Option("--secret", f.secrets,
              "id=ID,src=FILE or env=VARIABLE, for RUN --mount (repeatable)")
      .Option("--label", f.labels, "NAME=value of the image (repeatable)")
      .Option("--target", f.target, "Stop at this stage")
      .Option("--platform", f.platform, "Default: the host's, as linux/amd64")
      .Option("-o,--output", f.outputs,
              "DIR, - or type=local|tar|oci|docker|registry,dest=PATH instead"
              " of the store")
      .Flag("--push", f.push, "Send the tags to their registries")
      .Flag("--pull", f.pull, "Ask for newer base images")
      .Flag("--no-cache", f.no_cache, "Run every step")
      .Option("--no-cache-filter", f.no_cache_filter,
              "Stages that run every step (repeatable)")
      .Option("--add-host", f.hosts, "NAME:ADDRESS in /etc/hosts (repeatable)")
      .Option("--network", f.network, "Of RUN: default, none or host")
      .Option("--shm-size", f.shm_size, "Of /dev/shm in RUN, as 128m")
      .Option("--allow", f.allow,
              "network.host or security.insecure (repeatable)")
      .Option("--compression", f.compression, "Of layers: gzip or zstd")
      .Flag("--check", f.check, "Only say what is questionable")
      .Option("--iidfile", f.iid_file, "Write the digest to this file")
      .Option("--metadata-file", f.metadata_file,
              "Write digests and names to this file, as JSON")
      .Option("--progress", f.progress, "auto, plain, tty, json or quiet")
      .Flag("-q,--quiet", f.quiet, "Print the result only")
      .Action([flags](Context& c) { return Run(c, *flags); });
}

}  // namespace bulwark::ctl
