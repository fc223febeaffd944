// Where an image may come from: the mirrors of its registry, in order, and then
// the registry itself.
#ifndef ENGINE_IMAGE_SOURCES_H_
#define ENGINE_IMAGE_SOURCES_H_

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/image/blob_store.h"
#include "engine/image/manifest.h"
#include "engine/registry/client.h"

namespace bulwark::engine::image {

struct Source {
  std::string registry;
  std::string repository;
  std::optional<RegistryAuth> auth;
};

// Thread-safe. A mirror that fails, lacks something or lies is passed over, and
// one that cannot be reached is not asked again; the registry's own error is
// the one that is returned.
class Sources {
 public:
  // `sources` are not empty; the registry itself is the last.
  Sources(const std::vector<Source>& sources,
          const registry::ClientOptions& options);

  absl::StatusOr<registry::ManifestDocument> FetchManifest(
      const std::string& version);

  // See RegistryClient. A source that knows of none is passed over: mirrors
  // need not have what refers to their images.
  absl::StatusOr<std::vector<Referrer>> ListReferrers(
      const std::string& digest, const std::string& artifact_type);

  // The content of a small blob, which is not kept; `blobs` is where it lies
  // meanwhile.
  absl::StatusOr<std::string> ReadBlob(const Descriptor& blob,
                                       BlobStore* blobs);

  // Makes the blob present in `blobs`. `progress` is told the bytes that are
  // there, and begins anew with another source.
  absl::Status FetchBlob(const Descriptor& blob, BlobStore* blobs,
                         const std::function<void(int64_t)>& progress);

 private:
  struct Client {
    std::string registry;
    std::unique_ptr<registry::RegistryClient> client;
    std::atomic<bool> down{false};
  };
  // The first success of `fetch`, which is an absl::Status or StatusOr.
  template <typename Fetch>
  auto First(const std::string& what, const Fetch& fetch)
      -> decltype(fetch(*std::declval<registry::RegistryClient*>()));

  std::vector<std::unique_ptr<Client>> clients_;
};

}  // namespace bulwark::engine::image

#endif  // ENGINE_IMAGE_SOURCES_H_
