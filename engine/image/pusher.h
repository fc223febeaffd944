// Makes an image present at a registry.
#ifndef ENGINE_IMAGE_PUSHER_H_
#define ENGINE_IMAGE_PUSHER_H_

#include <string>

#include "absl/status/statusor.h"
#include "engine/image/image_store.h"
#include "engine/image/reference.h"
#include "engine/image_exchange.h"
#include "engine/images.h"
#include "engine/registry/client.h"

namespace bulwark::engine::image {

struct PushTarget {
  Reference reference;  // the name there
  std::optional<RegistryAuth> auth;
  registry::ClientOptions options;
};

// Sends the blobs that the registry lacks, three at a time, mounting those that
// another of its repositories has, and the manifest last. Returns the digest
// that the image has there. FAILED_PRECONDITION if a blob of the image is not
// in the store any more; other errors as those of registry::RegistryClient,
// each beginning with "push <name>: ". Thread-safe.
absl::StatusOr<std::string> PushImage(ImageStore* store, const Image& image,
                                      ImageFormat format,
                                      const PushTarget& target,
                                      const ProgressSink& progress);

// The same for a document in the store, an index or a manifest, with all that
// it lists; it comes last, byte for byte. `name` is what messages call it.
absl::StatusOr<std::string> PushTree(ImageStore* store,
                                     const std::string& document,
                                     const std::string& name,
                                     const PushTarget& target,
                                     const ProgressSink& progress);

}  // namespace bulwark::engine::image

#endif  // ENGINE_IMAGE_PUSHER_H_
