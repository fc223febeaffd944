// RUN --mount: what a step's container sees beside its image.
#ifndef ENGINE_BUILD_RUN_MOUNTS_H_
#define ENGINE_BUILD_RUN_MOUNTS_H_

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/build/build_context.h"
#include "engine/build/instruction_flags.h"
#include "engine/container_spec.h"

namespace bulwark::engine::build {

// Where files come from: a stage, an image or a named context; "" is the build
// context.
using FindSource =
    std::function<absl::StatusOr<SourceFiles>(const std::string& from)>;

// The mounts of one step. What it made, secrets first of all, goes with this
// object, which must outlive the container. Thread-compatible.
class RunMounts {
 public:
  // `cwd` is what relative targets are relative to. `context` is borrowed.
  RunMounts(BuildContext* context, std::vector<RunMount> mounts,
            std::string cwd)
      : context_(context), wanted_(std::move(mounts)), cwd_(std::move(cwd)) {}
  RunMounts(const RunMounts&) = delete;
  RunMounts& operator=(const RunMounts&) = delete;
  ~RunMounts();

  // Finds all sources. INVALID_ARGUMENT if one does not exist.
  absl::Status Resolve(const FindSource& find);

  // What the step's result depends on: not the values of secrets, and not what
  // is in a cache. After Resolve().
  absl::StatusOr<std::string> Key() const;

  // One more mount: an executable file with this text.
  absl::Status AddScript(const std::string& target, const std::string& text);

  // Makes everything ready for a container with these users of its own, if
  // any. INVALID_ARGUMENT if a secret that is required was not given. Blocks
  // while others use a locked cache.
  absl::Status Prepare(const IdRange& ids);

  const std::vector<Mount>& mounts() const { return mounts_; }
  const std::vector<std::string>& env() const { return env_; }

 private:
  // What a mount's `from` and `source` say.
  struct Place {
    SourceFiles source;
    FileTree tree;
    FileTree::Node node;
  };

  absl::Status PrepareOne(const RunMount& wanted, const Place* place);
  absl::Status PrepareBind(const RunMount& wanted, const Place& place,
                           Mount* mount);
  absl::Status PrepareCache(const RunMount& wanted, const Place* place,
                            Mount* mount);
  absl::Status PrepareSecret(const RunMount& wanted, Mount* mount);
  absl::Status CopyOf(const Place& place, const std::string& directory) const;

  BuildContext* const context_;
  const std::vector<RunMount> wanted_;
  const std::string cwd_;
  bool own_users_ = false;
  std::vector<std::unique_ptr<Place>> places_;  // one for each; may be null
  std::vector<Mount> mounts_;
  std::vector<std::string> env_;
  std::vector<std::string> temporary_;
  std::vector<std::string> secrets_;
  std::vector<std::unique_ptr<CacheMounts::Use>> caches_;
};

}  // namespace bulwark::engine::build

#endif  // ENGINE_BUILD_RUN_MOUNTS_H_
