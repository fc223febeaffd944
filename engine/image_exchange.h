// Port beside Images: images leave this host, or come from elsewhere than a
// registry's pull.
#ifndef ENGINE_IMAGE_EXCHANGE_H_
#define ENGINE_IMAGE_EXCHANGE_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "engine/images.h"

namespace bulwark::engine {

// Which media types a manifest is written with.
enum class ImageFormat {
  kStored,  // as it is in the store, byte for byte
  kOci,
  kDocker,
};

struct PushRequest {
  std::string reference;  // of an image here, or its digest
  std::string target;     // the name there; empty: `reference`
  std::optional<RegistryAuth> auth;
  ImageFormat format = ImageFormat::kStored;
  // The index that the name stands for, with all that it lists, byte for byte;
  // an image that came without one as it is. `format` is kStored then.
  bool all_platforms = false;
};

struct SaveRequest {
  std::vector<std::string> references;  // names or digests, at least one
  // kDocker: a docker-archive, which newer Docker reads as an OCI layout, too;
  // kOci: an OCI layout; kStored: as kDocker.
  ImageFormat format = ImageFormat::kDocker;
  bool all_platforms = false;  // as in PushRequest
};

struct IndexRequest {
  std::string reference;            // the name that the index gets
  std::vector<std::string> images;  // names or digests, one for each platform
};

struct ImportRequest {
  std::string reference;  // may be empty
  // Instructions of a Dockerfile that change no file: "CMD [\"sh\"]".
  std::vector<std::string> changes;
  std::string message;
  std::string platform;  // empty: this host's
};

struct TagsRequest {
  std::string repository;  // "nginx", "host:5000/app"
  std::optional<RegistryAuth> auth;
  int limit = 0;     // 0: all
  std::string last;  // go on after this one
};
struct TagsPage {
  std::vector<std::string> tags;
  bool more = false;
};

struct ReferrersRequest {
  std::string reference;      // of the manifest at its registry
  std::string artifact_type;  // empty: all
  std::optional<RegistryAuth> auth;
};
struct Referrer {
  std::string digest;
  std::string media_type;
  std::string artifact_type;
  int64_t size_bytes = 0;
  std::map<std::string, std::string> annotations;
};
struct Referrers {
  std::string digest;  // what they refer to
  std::vector<Referrer> referrers;
};

// Thread-safe. Errors as those of Images.
class ImageExchange {
 public:
  virtual ~ImageExchange() = default;

  // Makes the image present at its registry, and returns the digest that it
  // has there. NOT_FOUND if it is not here. What the registry has is not sent
  // again. FAILED_PRECONDITION lists the platforms whose content is not here.
  virtual absl::StatusOr<std::string> Push(const PushRequest& request,
                                           const ProgressSink& progress) = 0;

  // Writes one archive of all the images to `fd`, which may be a pipe.
  virtual absl::Status Save(const SaveRequest& request, int fd,
                            const ProgressSink& progress) = 0;

  // An image of one layer from the tar (plain, gzip or zstd) that `fd` reads.
  virtual absl::StatusOr<Image> Import(const ImportRequest& request, int fd,
                                       const ProgressSink& progress) = 0;

  // An index of images that are here, kept under a name: what Push() and Save()
  // take with `all_platforms`. INVALID_ARGUMENT if two are for one platform.
  virtual absl::StatusOr<Image> MakeIndex(const IndexRequest& request) = 0;

  virtual absl::StatusOr<TagsPage> ListTags(const TagsRequest& request) = 0;
  virtual absl::StatusOr<Referrers> ListReferrers(
      const ReferrersRequest& request) = 0;
};

}  // namespace bulwark::engine

#endif  // ENGINE_IMAGE_EXCHANGE_H_
