#include "engine/build/commit.h"

#include <algorithm>
#include <iterator>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "engine/build/dockerfile.h"
#include "engine/build/scope.h"
#include "engine/build/stage.h"
#include "engine/image/digest.h"
#include "engine/image/reference.h"
#include "os/copy.h"

namespace bulwark::engine::build {
namespace {

constexpr char kName[] = "--change";
constexpr const char* kAllowed[] = {
    "CMD",     "ENTRYPOINT", "ENV",        "EXPOSE", "HEALTHCHECK", "LABEL",
    "ONBUILD", "SHELL",      "STOPSIGNAL", "USER",   "VOLUME"};

absl::StatusOr<std::vector<std::string>> ParseTags(
    const std::vector<std::string>& tags) {
  std::vector<std::string> names;
  for (const std::string& tag : tags) {
    ASSIGN_OR_RETURN(image::Reference reference, image::ParseReference(tag));
    if (!reference.digest.empty()) {
      return absl::InvalidArgumentError(
          absl::StrCat("tag ", tag, ": a new name cannot hold a digest"));
    }
    names.push_back(reference.ToString());
  }
  return names;
}

absl::StatusOr<std::vector<Instruction>> ParseChanges(
    const std::vector<std::string>& changes) {
  std::vector<Instruction> instructions;
  for (const std::string& text : changes) {
    ASSIGN_OR_RETURN(
        Instruction instruction,
        ParseInstruction(text, static_cast<int>(instructions.size()) + 1,
                         kName));
    if (std::find(std::begin(kAllowed), std::end(kAllowed),
                  instruction.keyword) == std::end(kAllowed)) {
      return absl::InvalidArgumentError(
          absl::StrCat(kName, " \"", text, "\": ", instruction.keyword,
                       " is nothing that a commit can change"));
    }
    instructions.push_back(std::move(instruction));
  }
  return instructions;
}

// What the container was started with.
void Overlay(const ImageConfig& from, ImageConfig& to) {
  if (!from.entrypoint.empty()) {
    to.entrypoint = from.entrypoint;
    to.command.clear();
  }
  if (!from.command.empty()) to.command = from.command;
  if (!from.working_dir.empty()) to.working_dir = from.working_dir;
  if (!from.user.empty()) to.user = from.user;
  for (const std::string& variable : from.env) {
    const std::string name = variable.substr(0, variable.find('=') + 1);
    const auto same = [&name](const std::string& other) {
      return other.compare(0, name.size(), name) == 0;
    };
    to.env.erase(std::remove_if(to.env.begin(), to.env.end(), same),
                 to.env.end());
    to.env.push_back(variable);
  }
}

absl::StatusOr<Image> Store(const BuilderOptions& options,
                            image::ImageStore::Lease& lease, StageImage image,
                            const std::vector<std::string>& names) {
  image::BlobStore& blobs = options.store->blobs();
  image::Manifest manifest;
  image.config.diff_ids.clear();
  for (const BuiltLayer& layer : image.layers) {
    image.config.diff_ids.push_back(layer.diff_id);
    manifest.layers.push_back(layer.blob);
  }
  const std::string config = image::FormatConfig(image.config);
  lease.Hold(image::DigestOf(config));
  manifest.config.media_type = image::kOciConfig;
  manifest.config.size = static_cast<int64_t>(config.size());
  ASSIGN_OR_RETURN(manifest.config.digest, blobs.Put(config));
  const std::string text = image::FormatManifest(manifest);
  lease.Hold(image::DigestOf(text));
  ASSIGN_OR_RETURN(const std::string digest, blobs.Put(text));
  return options.store->Add(digest, names);
}

absl::StatusOr<Image> Run(const BuilderOptions& options,
                          const CommitRequest& request) {
  ASSIGN_OR_RETURN(const std::vector<std::string> names,
                   ParseTags(request.tags));
  ASSIGN_OR_RETURN(const std::vector<Instruction> changes,
                   ParseChanges(request.changes));
  ASSIGN_OR_RETURN(const image::Platform platform, image::ParsePlatform(""));
  image::Reporter reporter(nullptr);
  image::ImageStore::Lease lease(options.store);
  BuildRequest build;
  build.no_cache = true;
  BuildContext context{options, build, &reporter, &lease};
  context.file_name = kName;
  ASSIGN_OR_RETURN(const Image base, options.resolve(request.base, ""));
  ASSIGN_OR_RETURN(StageImage image, ReadBase(&context, base));
  bool cached = false;
  absl::Time now = options.clock->Now();
  // The container goes on with its own: the layer is a copy.
  ASSIGN_OR_RETURN(
      std::optional<BuiltLayer> layer,
      MakeLayer(
          &context,
          image::DigestOf(absl::StrCat("commit ", request.upper_dir, " ",
                                       absl::ToUnixNanos(now))),
          [&request](const std::string& directory) {
            return os::CopyTree(request.upper_dir, directory).status();
          },
          &cached, &now));
  const bool empty = !layer.has_value();
  if (!empty) image.layers.push_back(*std::move(layer));
  image.config.create_time = now;
  std::string comment = request.message;
  if (!request.author.empty()) {
    absl::StrAppend(&comment, comment.empty() ? "" : " ", "(", request.author,
                    ")");
  }
  image.config.history.push_back(
      {absl::FormatTime("%Y-%m-%dT%H:%M:%SZ", now, absl::UTCTimeZone()),
       "commit", comment, empty});
  Overlay(request.config, image.config.config);
  // Triggers are for builds.
  std::vector<std::string> triggers;
  triggers.swap(image.config.on_build);
  GlobalScope global({}, platform);
  Stage stage(&context, &global, nullptr);
  RETURN_IF_ERROR(stage.Start(std::move(image), Instruction()));
  for (const Instruction& instruction : changes) {
    RETURN_IF_ERROR(stage.Execute(instruction, kName));
  }
  StageImage result = stage.image();
  result.config.on_build.insert(result.config.on_build.begin(),
                                triggers.begin(), triggers.end());
  return Store(options, lease, std::move(result), names);
}

}  // namespace

absl::StatusOr<Image> CommitImage(const BuilderOptions& options,
                                  const CommitRequest& request) {
  absl::StatusOr<Image> image = Run(options, request);
  if (image.ok()) return image;
  return Annotate(image.status(), "commit");
}

}  // namespace bulwark::engine::build
