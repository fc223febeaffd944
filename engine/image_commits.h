// Port beside Images: images of what containers have become.
#ifndef ENGINE_IMAGE_COMMITS_H_
#define ENGINE_IMAGE_COMMITS_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/images.h"

namespace bulwark::engine {

struct CommitRequest {
  std::string base;       // digest of the image that the container was made of
  std::string upper_dir;  // its writable layer, with the owners of the inside
  std::vector<std::string> tags;  // may be empty
  std::string author;
  std::string message;
  // What the container was started with beyond the image; empty fields leave
  // the image's.
  ImageConfig config;
  // Instructions of a Dockerfile that change no file: "CMD [\"sh\"]".
  std::vector<std::string> changes;
};

// Thread-safe.
class ImageCommits {
 public:
  virtual ~ImageCommits() = default;

  // The base's layers and one more. `upper_dir` is only read; whoever writes in
  // it meanwhile gets a mixture of before and after. INVALID_ARGUMENT names the
  // change or tag that is wrong, NOT_FOUND if there is no such base.
  virtual absl::StatusOr<Image> Commit(const CommitRequest& request) = 0;
};

}  // namespace bulwark::engine

#endif  // ENGINE_IMAGE_COMMITS_H_
