// What all stages of one build share.
#ifndef ENGINE_BUILD_BUILD_CONTEXT_H_
#define ENGINE_BUILD_BUILD_CONTEXT_H_

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "base/clock.h"
#include "base/entropy.h"
#include "engine/build/cache_mounts.h"
#include "engine/build/dockerfile.h"
#include "engine/build/file_tree.h"
#include "engine/build/glob.h"
#include "engine/build/step_cache.h"
#include "engine/engine.h"
#include "engine/image/image_store.h"
#include "engine/image/manifest.h"
#include "engine/image/progress.h"
#include "engine/images.h"

namespace bulwark::engine::build {

// The users of a stage's containers.
struct BuildUsers {
  IdRange ids;                  // nobody else's; size 0: the host's users
  std::shared_ptr<void> lease;  // kept as long as they are used
};

// Where the containers of a build reach the network.
struct BuildNetwork {
  std::string network_namespace;  // path
  std::vector<std::string> nameservers;
  std::vector<std::string> search_domains;
  std::shared_ptr<void> lease;  // kept as long as it is used
};

struct BuilderOptions {
  image::ImageStore* store = nullptr;  // borrowed, as all that follows
  StepCache* cache = nullptr;
  Clock* clock = nullptr;
  Entropy* entropy = nullptr;
  Engine* engine = nullptr;  // null: RUN is refused
  // Makes an image present: FROM and COPY --from.
  std::function<absl::StatusOr<Image>(const PullRequest& request,
                                      const ProgressSink& progress)>
      resolve;
  CacheMounts* cache_mounts = nullptr;  // null: RUN --mount=type=cache fails
  // A folder in memory that is never swapped out, ours alone. Empty: secrets
  // are refused.
  std::string memory_dir;
  // Null: the steps of RUN have the host's users.
  std::function<absl::StatusOr<BuildUsers>()> users;
  // A network whose namespace belongs to a user namespace of `ids`. Null: RUN
  // has none but its own loopback.
  std::function<absl::StatusOr<BuildNetwork>(const IdRange& ids)> network;
};

// A layer that is in the store.
struct BuiltLayer {
  image::Descriptor blob;
  std::string diff_id;
  std::string directory;
};

// An image in the making: of a base, or of a stage so far.
struct StageImage {
  image::ConfigFile config;  // diff ids are filled in at the end
  std::vector<BuiltLayer> layers;
  // Of ARG, which stages on top of this one inherit.
  std::map<std::string, std::string> args;

  std::vector<std::string> Directories() const {
    std::vector<std::string> result;
    for (const BuiltLayer& layer : layers) result.push_back(layer.directory);
    return result;
  }
};

// What COPY --from and RUN --mount take files from.
struct SourceFiles {
  std::vector<std::string> directories;  // as FileTree::Open() takes them
  std::string key;  // identifies the content; empty: it has to be read
  IgnoreList ignored;
};

struct BuildContext {
  const BuilderOptions& options;
  const BuildRequest& request;
  image::Reporter* reporter;
  image::ImageStore::Lease* lease;
  std::string file_name;  // of the Dockerfile, for messages
  const Dockerfile* file = nullptr;
  char escape = '\\';
  SourceFiles files;  // the build context
  // SOURCE_DATE_EPOCH: nothing in the image is younger.
  std::optional<absl::Time> epoch;

  std::function<bool()> Cancelled() const {
    return [reporter = reporter] { return reporter->cancelled(); };
  }
};

// Fills a directory, the upper layer of a step.
using LayerFiller = std::function<absl::Status(const std::string& directory)>;

struct StepLayer {
  std::optional<BuiltLayer> layer;  // nothing, if the step changed no file
  bool cached = false;
  absl::Time create_time;
};

// The layer of a step: with `use_cache` from the cache, else made by `fill`,
// packed, stored and remembered under `key`. Of equal steps at the same time,
// of other builds too, one does the work.
absl::StatusOr<StepLayer> MakeLayer(BuildContext* context,
                                    const std::string& key, bool use_cache,
                                    const LayerFiller& fill);

// Reads an image of the store as a base.
absl::StatusOr<StageImage> ReadBase(BuildContext* context, const Image& image);

}  // namespace bulwark::engine::build

#endif  // ENGINE_BUILD_BUILD_CONTEXT_H_
