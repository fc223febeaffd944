// Reading all content of the image store again.
#ifndef ENGINE_IMAGE_VERIFIER_H_
#define ENGINE_IMAGE_VERIFIER_H_

#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/image/image_store.h"
#include "engine/image_content.h"

namespace bulwark::engine::image {

// What is missing of an image or index that is to come again.
struct Repair {
  std::string reference;  // "host/app@sha256:…"
  std::string platform;   // as PullRequest's
  bool all_platforms = false;
};

struct VerifyOptions {
  // Of images and indexes; empty: the whole store.
  std::vector<std::string> digests;
  // Brings it from its registry. Null: damage is only found.
  std::function<absl::Status(const Repair& repair)> fetch;
};

// Every blob is hashed. Every unpacked layer is compared with what its blob,
// if that is whole, unpacks to: see CompareTrees(). That takes room for one
// layer at a time. To repair a blob it is fetched anew; a layer is mended file
// by file (MendTree()), under containers that run. Blobs that no image needs
// are removed if damaged and repair is wanted: builds make them again.
//
// Content that goes meanwhile is not missed. RESOURCE_EXHAUSTED if a layer
// finds no room, CANCELLED by `progress`. Thread-safe.
absl::StatusOr<std::vector<ImageDamage>> VerifyStore(
    ImageStore* store, const VerifyOptions& options,
    const VerifyProgress& progress);

}  // namespace bulwark::engine::image

#endif  // ENGINE_IMAGE_VERIFIER_H_
