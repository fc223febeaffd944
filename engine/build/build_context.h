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
#include "base/clock.h"
#include "base/entropy.h"
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
  std::function<absl::StatusOr<Image>(const std::string& reference,
                                      const std::string& platform)>
      resolve;
  // Null: RUN has no network but its own loopback.
  std::function<absl::StatusOr<BuildNetwork>()> network;
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

struct BuildContext {
  const BuilderOptions& options;
  const BuildRequest& request;
  image::Reporter* reporter;
  image::ImageStore::Lease* lease;
  std::string file_name;             // of the Dockerfile, for messages
  const Dockerfile* file = nullptr;  // null: there is none to point into
  char escape = '\\';
  const FileTree* files = nullptr;  // the build context
  IgnoreList ignored;
  std::optional<BuildNetwork> network;  // once a step wanted it

  std::function<bool()> Cancelled() const {
    return [reporter = reporter] { return reporter->cancelled(); };
  }
};

// Fills a directory, the upper layer of a step.
using LayerFiller = std::function<absl::Status(const std::string& directory)>;

// The layer of a step: from the cache, or made by `fill`, packed, stored and
// remembered under `key`. Nothing, if the step changed no file. `*cached` says
// which.
absl::StatusOr<std::optional<BuiltLayer>> MakeLayer(BuildContext* context,
                                                    const std::string& key,
                                                    const LayerFiller& fill,
                                                    bool* cached,
                                                    absl::Time* create_time);

// Reads an image of the store as a base.
absl::StatusOr<StageImage> ReadBase(BuildContext* context, const Image& image);

}  // namespace bulwark::engine::build

#endif  // ENGINE_BUILD_BUILD_CONTEXT_H_
