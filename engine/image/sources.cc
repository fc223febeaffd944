#include "engine/image/sources.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/log.h"
#include "base/status.h"
#include "os/files.h"

namespace bulwark::engine::image {
namespace {

// The next one is as good: no need to be patient with a mirror.
constexpr int kAttemptsAtMirrors = 2;

const absl::Status& StatusOf(const absl::Status& status) { return status; }
template <typename T>
const absl::Status& StatusOf(const absl::StatusOr<T>& result) {
  return result.status();
}

// No other source would change that: we are asked to stop, or have no room.
bool IsOurs(const absl::Status& status) {
  return absl::IsCancelled(status) || absl::IsResourceExhausted(status);
}

}  // namespace

Sources::Sources(const std::vector<Source>& sources,
                 const registry::ClientOptions& options) {
  CHECK(!sources.empty());
  for (const Source& source : sources) {
    registry::ClientOptions own = options;
    if (&source != &sources.back()) own.max_attempts = kAttemptsAtMirrors;
    auto client = std::make_unique<Client>();
    client->registry = source.registry;
    client->client = std::make_unique<registry::RegistryClient>(
        source.registry, source.repository, source.auth, std::move(own));
    clients_.push_back(std::move(client));
  }
}

template <typename Fetch>
auto Sources::First(const std::string& what, const Fetch& fetch)
    -> decltype(fetch(*std::declval<registry::RegistryClient*>())) {
  for (size_t i = 0; i + 1 < clients_.size(); ++i) {
    Client& mirror = *clients_[i];
    if (mirror.down) continue;
    auto result = fetch(*mirror.client);
    const absl::Status& status = StatusOf(result);
    if (status.ok() || IsOurs(status)) return result;
    if (absl::IsUnavailable(status)) mirror.down = true;
    LOG_WARN("a mirror of a registry fails, the next is asked",
             {{"mirror", mirror.registry},
              {"registry", clients_.back()->registry},
              {"wanted", what},
              {"cause", status}});
  }
  return fetch(*clients_.back()->client);
}

absl::StatusOr<registry::ManifestDocument> Sources::FetchManifest(
    const std::string& version) {
  return First(version, [&version](registry::RegistryClient& client) {
    absl::StatusOr<registry::ManifestDocument> document =
        client.FetchManifest(version);
    // It is the registry that has too much, not we that have too little.
    if (absl::IsResourceExhausted(document.status())) {
      return absl::StatusOr<registry::ManifestDocument>(
          absl::DataLossError(document.status().message()));
    }
    return document;
  });
}

absl::StatusOr<std::vector<Referrer>> Sources::ListReferrers(
    const std::string& digest, const std::string& artifact_type) {
  using Result = absl::StatusOr<std::vector<Referrer>>;
  Result found = First(
      absl::StrCat("referrers of ", digest),
      [&](registry::RegistryClient& client) -> Result {
        ASSIGN_OR_RETURN(std::vector<Referrer> referrers,
                         client.ListReferrers(digest, artifact_type));
        if (!referrers.empty()) return referrers;
        return absl::NotFoundError(absl::StrCat("nothing refers to ", digest));
      });
  if (absl::IsNotFound(found.status())) return std::vector<Referrer>();
  return found;
}

absl::StatusOr<std::string> Sources::ReadBlob(const Descriptor& blob,
                                              BlobStore* blobs) {
  return First(
      blob.digest,
      [&](registry::RegistryClient& client) -> absl::StatusOr<std::string> {
        ASSIGN_OR_RETURN(const std::unique_ptr<Ingest> ingest,
                         blobs->NewIngest());
        RETURN_IF_ERROR(client.FetchBlob(blob, ingest.get(), nullptr));
        if (ingest->Finish() != blob.digest) {
          return absl::DataLossError(
              absl::StrCat("fetch ", blob.digest,
                           ": content does not match: got ", ingest->Finish()));
        }
        return os::ReadFile(ingest->path(), blob.size);
      });
}

absl::Status Sources::FetchBlob(const Descriptor& blob, BlobStore* blobs,
                                const std::function<void(int64_t)>& progress) {
  return First(
      blob.digest, [&](registry::RegistryClient& client) -> absl::Status {
        ASSIGN_OR_RETURN(std::unique_ptr<Ingest> ingest, blobs->NewIngest());
        RETURN_IF_ERROR(client.FetchBlob(blob, ingest.get(), progress));
        return Annotate(ingest->Commit(blob.digest),
                        absl::StrCat("fetch ", blob.digest));
      });
}

}  // namespace bulwark::engine::image
