// Turning the upper directory of an overlay into a layer's blob.
#ifndef ENGINE_BUILD_LAYER_PACKER_H_
#define ENGINE_BUILD_LAYER_PACKER_H_

#include <cstdint>
#include <functional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "engine/image/blob_store.h"

namespace bulwark::engine::build {

struct PackedLayer {
  std::string blob;     // digest of the compressed stream, in the blob store
  int64_t size = 0;     // of the blob
  std::string diff_id;  // of the tar in it
  int64_t entries = 0;
};

struct PackOptions {
  bool zstd = false;  // else gzip
  // Later times of change become this one.
  absl::Time latest = absl::InfiniteFuture();
};

// Writes the tree at `dir` as a compressed pax tar: sorted by name, whiteouts
// and opaque marks as ".wh." names, hard links kept, other device nodes and
// sockets left out. The same tree gives the same bytes. The overlay's own
// attributes are left out; FAILED_PRECONDITION if one redirects elsewhere,
// which no layer can say. The blob is durable afterwards; `hold` is told its
// digest and the diff id before it becomes visible, to keep them from a sweep.
absl::StatusOr<PackedLayer> PackLayer(
    const std::string& dir, const PackOptions& options, image::BlobStore* blobs,
    const std::function<void(absl::string_view)>& hold,
    const std::function<bool()>& cancelled);

}  // namespace bulwark::engine::build

#endif  // ENGINE_BUILD_LAYER_PACKER_H_
