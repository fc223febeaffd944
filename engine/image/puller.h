// Makes an image present from a registry.
#ifndef ENGINE_IMAGE_PULLER_H_
#define ENGINE_IMAGE_PULLER_H_

#include <vector>

#include "absl/status/statusor.h"
#include "base/clock.h"
#include "engine/image/image_store.h"
#include "engine/image/reference.h"
#include "engine/image/signature/gate.h"
#include "engine/image/sources.h"
#include "engine/images.h"

namespace bulwark::engine::image {

// Where pulls go, and what decides whether they may.
struct PullPorts {
  ImageStore* store = nullptr;
  SignatureGate* gate = nullptr;
  Clock* clock = nullptr;
};

// Where `reference` may come from, and how registries are spoken to.
struct PullOrigin {
  Reference reference;
  std::vector<Source> sources;  // not empty: see Sources
  registry::ClientOptions options;
};

// Fetches what is missing, three layers at a time, unpacks each as soon as it
// is verified, and names the image last. Of `request` it leaves out the
// reference and the credentials. Errors as Images::Pull's, each beginning with
// "pull <reference>: ". Thread-safe.
absl::StatusOr<Image> PullImage(const PullPorts& ports,
                                const PullRequest& request,
                                const PullOrigin& origin,
                                const ProgressSink& progress);

}  // namespace bulwark::engine::image

#endif  // ENGINE_IMAGE_PULLER_H_
