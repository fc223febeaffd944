#include "engine/build/commit.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "base/units.h"
#include "engine/build/changes.h"
#include "engine/build/dockerfile.h"
#include "engine/build/image_writer.h"
#include "os/copy.h"
#include "os/measure.h"

namespace bulwark::engine::build {
namespace {

// The metadata store takes no more of users' changes below that.
constexpr int64_t kSpareBytes = 64 << 20;

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

absl::StatusOr<Image> Run(const BuilderOptions& options,
                          const CommitRequest& request) {
  ASSIGN_OR_RETURN(const std::vector<std::string> names,
                   ParseTags(request.tags));
  ASSIGN_OR_RETURN(const std::vector<Instruction> changes,
                   ParseChanges(request.changes));
  image::Reporter reporter(nullptr);
  image::ImageStore::Lease lease(options.store);
  BuildRequest build;
  build.no_cache = true;
  BuildContext context{options, build, &reporter, &lease};
  Dockerfile file;
  file.name = kChangeName;
  context.file = &file;
  context.file_name = kChangeName;
  PullRequest pull;
  pull.reference = request.base;
  ASSIGN_OR_RETURN(const Image base, options.resolve(pull, nullptr));
  ASSIGN_OR_RETURN(StageImage image, ReadBase(&context, base));
  absl::Time now = options.clock->Now();
  // The container goes on with its own: the layer is a copy.
  ASSIGN_OR_RETURN(
      StepLayer step,
      MakeLayer(&context,
                absl::StrCat("commit ", request.upper_dir, " ",
                             absl::ToUnixNanos(now)),
                /*use_cache=*/false, [&request](const std::string& directory) {
                  return os::CopyTree(request.upper_dir, directory).status();
                }));
  now = step.create_time;
  const bool empty = !step.layer.has_value();
  if (!empty) image.layers.push_back(*std::move(step.layer));
  image.config.create_time = now;
  if (!request.author.empty()) image.config.author = request.author;
  std::string comment = request.message;
  if (!request.author.empty()) {
    absl::StrAppend(&comment, comment.empty() ? "" : " ", "(", request.author,
                    ")");
  }
  image.config.history.push_back(
      {absl::FormatTime("%Y-%m-%dT%H:%M:%SZ", now, absl::UTCTimeZone()),
       "commit", comment, empty});
  Overlay(request.config, image.config.config);
  RETURN_IF_ERROR(ApplyChanges(&context, changes, &image));
  return StoreImage(options.store, &lease, std::move(image), names);
}

}  // namespace

absl::Status CheckRoomToCommit(const std::string& state_dir,
                               const std::string& upper_dir) {
  ASSIGN_OR_RETURN(const os::TreeUsage usage, os::MeasureTree(upper_dir));
  ASSIGN_OR_RETURN(const int64_t available, os::FreeBytes(state_dir));
  // The layer, unless its files share their blocks with the container's, and
  // the archive of it, which may be no smaller.
  const int64_t needed = os::CanReflink(state_dir) && os::CanReflink(upper_dir)
                             ? usage.bytes
                             : 2 * usage.bytes;
  if (available - needed >= kSpareBytes) return absl::OkStatus();
  return absl::ResourceExhaustedError(absl::StrCat(
      "commit: what the container has written takes ", FormatBytes(usage.bytes),
      ", an image of it up to ", FormatBytes(needed), ", and the disk of ",
      state_dir, " has ", FormatBytes(available), ", of which ",
      FormatBytes(kSpareBytes), " stay free; ctl system prune makes room"));
}

absl::StatusOr<Image> CommitImage(const BuilderOptions& options,
                                  const CommitRequest& request) {
  absl::StatusOr<Image> image = Run(options, request);
  if (image.ok()) return image;
  return Annotate(image.status(), "commit");
}

}  // namespace bulwark::engine::build
