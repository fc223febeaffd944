// Port beside Images: what images consist of, and whether it is whole.
#ifndef ENGINE_IMAGE_CONTENT_H_
#define ENGINE_IMAGE_CONTENT_H_

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "engine/images.h"

namespace bulwark::engine {

struct ImageLayer {
  std::string digest;   // of the compressed blob
  std::string diff_id;  // of the tar in it
  std::string media_type;
  int64_t size_bytes = 0;  // of the blob
};

struct ImageHistoryEntry {
  absl::Time create_time;
  std::string created_by;
  std::string comment;
  std::optional<ImageLayer> layer;  // unset: it made none
};

struct ImageDocuments {
  Image image;
  std::string manifest;  // as it is stored
  std::string config;
  // That the name stands for. Empty: there is none, or it is damaged.
  std::string index;
  std::vector<ImageLayer> layers;          // lowest first
  std::vector<ImageHistoryEntry> history;  // oldest first
};

struct VerifyRequest {
  std::vector<std::string> references;  // empty: everything in the store
  bool repair = false;  // fetch what is damaged from where it came
};
struct ImageDamage {
  enum class Kind { kBlob, kLayer };
  Kind kind = Kind::kBlob;
  std::string digest;   // of the blob, or the layer's diff id
  std::string problem;  // "its content has the digest sha256:…"
  std::vector<std::string> references;  // of the images that need it
  bool repaired = false;
  std::string repair_error;  // why it was not
};

// Told what was read of how much; false ends it with CANCELLED.
using VerifyProgress =
    std::function<bool(int64_t current_bytes, int64_t total_bytes)>;

// Thread-safe.
class ImageContent {
 public:
  virtual ~ImageContent() = default;

  // By reference or digest. NOT_FOUND; DATA_LOSS if a document is damaged
  // that the image needs.
  virtual absl::StatusOr<ImageDocuments> Documents(
      absl::string_view reference) = 0;

  // Reads all content again. Damage is a result, not an error.
  virtual absl::StatusOr<std::vector<ImageDamage>> Verify(
      const VerifyRequest& request, const VerifyProgress& progress) = 0;
};

}  // namespace bulwark::engine

#endif  // ENGINE_IMAGE_CONTENT_H_
