// Writes images as one archive: an OCI layout that is a docker-archive, too.
#ifndef ENGINE_IMAGE_SAVER_H_
#define ENGINE_IMAGE_SAVER_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "engine/image/image_store.h"
#include "engine/image/progress.h"

namespace bulwark::engine::image {

struct SaveItem {
  std::string digest;              // of the manifest, or index
  std::vector<std::string> names;  // full, with a tag; may be empty
  std::string image;  // of an index: the manifest that runs here, if any
};

struct SaveOptions {
  // Also manifest.json, which Docker before 25 and other readers of
  // docker-archives need.
  bool docker_archive = true;
  // Items may be indexes, and are written with all that they list.
  bool all_platforms = false;
};

// Writes to `fd` as it goes, with no file in between. Blobs that images share
// are written once, and the same images give the same bytes. Everything is
// looked for before the first byte is written: NOT_FOUND for an image,
// DATA_LOSS for content that is missing (FAILED_PRECONDITION, with the
// platforms, if all of them are wanted), or DATA_LOSS later for what turns out
// to be damaged: the archive is cut short then. When the reader goes it is
// CANCELLED (the process must ignore SIGPIPE). Thread-safe.
absl::Status SaveImages(ImageStore* store, const std::vector<SaveItem>& items,
                        const SaveOptions& options, int fd, Reporter* reporter);

}  // namespace bulwark::engine::image

#endif  // ENGINE_IMAGE_SAVER_H_
