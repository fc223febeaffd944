// Turning one layer's tar into a directory that overlayfs can stack.
#ifndef ENGINE_IMAGE_UNPACK_H_
#define ENGINE_IMAGE_UNPACK_H_

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "engine/image/byte_source.h"

namespace bulwark::engine::image {

// What one layer may be; far above any honest one.
struct UnpackLimits {
  int64_t max_bytes = int64_t{64} << 30;  // of the tar stream
  int64_t max_entries = 2'000'000;
  int max_depth = 256;                          // of a path
  size_t max_path = 4095;                       // bytes
  int64_t ratio_free_bytes = int64_t{1} << 30;  // below this, any ratio
  int max_ratio = 250;  // tar stream to compressed bytes
};

struct UnpackResult {
  std::string diff_id;  // digest of the whole tar stream
  int64_t tar_bytes = 0;
  // Directories that the tar does not hold but needs, parents first: they have
  // default attributes, and should get those of the layers below.
  std::vector<std::string> implied_directories;
};

// Unpacks the tar stream `layer` into the empty directory `root_fd`, as root.
//
// The tar is hostile input. Nothing outside `root_fd` is read or written:
// leading slashes are dropped, ".." is refused, and links on the way are
// followed inside the root only. Whiteouts become character devices 0:0 and
// the attribute trusted.overlay.opaque; other device nodes, and all extended
// attributes but user.* (without user.overlay.*) and security.capability, are
// left out. INVALID_ARGUMENT names the entry that is not acceptable,
// RESOURCE_EXHAUSTED the limit that was passed or the full disk, DATA_LOSS a
// damaged stream. On error the directory holds rubbish. `cancelled` is asked
// now and then. The caller flushes.
absl::StatusOr<UnpackResult> UnpackLayer(
    Decompressor* layer, int root_fd, const UnpackLimits& limits,
    const std::function<bool()>& cancelled = nullptr);

// Reads the tar stream within the same limits, and unpacks nothing: DATA_LOSS
// if its diff id is not `expected`.
absl::Status CheckDiffId(Decompressor* layer, absl::string_view expected,
                         const UnpackLimits& limits,
                         const std::function<bool()>& cancelled = nullptr);

// That a layer is not the one that a configuration names.
absl::Status WrongDiffId(absl::string_view expected, absl::string_view got);

}  // namespace bulwark::engine::image

#endif  // ENGINE_IMAGE_UNPACK_H_
