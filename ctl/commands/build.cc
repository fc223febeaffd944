// ctl build: make an image from a Dockerfile.
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <optional>
#include <set>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "base/status.h"
#include "ctl/build_context.h"
#include "ctl/build_options.h"
#include "ctl/build_result.h"
#include "ctl/commands/commands.h"
#include "ctl/errors.h"
#include "ctl/output_file.h"
#include "ctl/print/build_progress.h"
#include "ctl/pull.h"
#include "ctl/registry_auth.h"

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

// The registries that words of the text name, such as "host:5000/app:1".
void FindRegistries(absl::string_view text, std::set<std::string>& found) {
  for (absl::string_view word : absl::StrSplit(
           text, absl::ByAnyChar(" \t\r\n=,\"'"), absl::SkipEmpty())) {
    absl::ConsumePrefix(&word, "docker-image://");
    const absl::string_view host = word.substr(0, word.find('/'));
    if (host.empty() || host.size() == word.size() ||
        !absl::ascii_isalnum(static_cast<unsigned char>(host.front())) ||
        host.back() == ':') {
      continue;
    }
    if (host == "localhost" || absl::StrContains(host, '.') ||
        absl::StrContains(host, ':')) {
      found.insert(RegistryOf(word));
    }
  }
}

// Adds what Docker's configuration has for the registries that the build may
// ask: those that are pushed to, those that the Dockerfile (if it is here), a
// build argument or a further context names, and Docker Hub, which needs no
// name.
void AddCredentials(Context& context, const BuildFlags& flags,
                    v1::BuildOptions& options) {
  std::set<std::string> registries = {"docker.io"};
  std::string text = options.dockerfile_text();
  std::error_code error;
  if (text.empty() && std::filesystem::is_directory(flags.context, error)) {
    std::ifstream in(flags.context + "/" + options.dockerfile(),
                     std::ios::binary);
    text.assign(std::istreambuf_iterator<char>(in), {});
  }
  FindRegistries(text, registries);
  for (const auto& [name, value] : options.args()) {
    FindRegistries(value, registries);
  }
  for (const auto& [name, value] : options.contexts()) {
    FindRegistries(value, registries);
  }
  if (options.push()) {
    for (const std::string& tag : options.tags()) {
      registries.insert(RegistryOf(tag));
    }
  }
  for (const std::string& registry : registries) {
    std::optional<v1::RegistryCredentials> found =
        FindCredentials(context, registry);
    if (!found.has_value()) continue;
    (*options.mutable_credentials())[registry] = *std::move(found);
  }
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
  AddCredentials(context, flags, options);
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
  std::vector<v1::ImageInfo> images = printer.images();
  for (v1::ImageInfo& image : images) KeepNames(flags.tags, image);
  RETURN_IF_ERROR(WriteIdFiles(flags, images));
  if (flags.check) {
    if (!warned) context.io.Err("nothing to warn of\n");
    return warned ? kExitError : kExitOk;
  }
  if (output.kind != BuildOutput::Kind::kStdout) {
    PrintImages(context, images);
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
              "NAME=FOLDER, docker-image://IMAGE, oci-layout://FOLDER or URL"
              " (repeatable)")
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
