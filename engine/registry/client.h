// Pulling from one repository of a registry (OCI distribution specification
// 1.0, which Docker's v2 registries speak too).
#ifndef ENGINE_REGISTRY_CLIENT_H_
#define ENGINE_REGISTRY_CLIENT_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "base/backoff.h"
#include "base/clock.h"
#include "base/entropy.h"
#include "base/secret_text.h"
#include "engine/image/blob_store.h"
#include "engine/image/manifest.h"
#include "engine/images.h"
#include "engine/registry/challenge.h"
#include "engine/registry/http.h"

namespace bulwark::engine::registry {

struct ClientOptions {
  Clock* clock = nullptr;      // borrowed
  Entropy* entropy = nullptr;  // borrowed
  // HOST or HOST:PORT that may be spoken to without encryption, beside the
  // loopback addresses.
  std::vector<std::string> insecure_registries;
  int max_attempts = 5;
  Backoff backoff = {absl::Milliseconds(300), absl::Seconds(20), 0.5};
  std::function<bool()> cancelled;
};

struct ManifestDocument {
  std::string text;
  std::string media_type;
  std::string digest;  // of `text`
};

// Thread-safe: several blobs may be fetched side by side.
//
// A failing registry (refused, cut off, 5xx, 429) is tried `max_attempts`
// times, with jitter, or when its Retry-After says; then the error is
// UNAVAILABLE. One that is silent for half a minute is not tried again. Other
// errors as Images::Pull's. Credentials go to the registry and to the token
// service that it names over https, and nowhere else: not where a redirect
// leads.
class RegistryClient {
 public:
  RegistryClient(std::string registry, std::string repository,
                 std::optional<RegistryAuth> auth, ClientOptions options);
  ~RegistryClient();

  // Whether the registry takes the credentials: OK, UNAUTHENTICATED or
  // PERMISSION_DENIED. The repository may be empty.
  absl::Status CheckCredentials();

  // `version` is a tag or a digest. A document with another digest than asked
  // for is DATA_LOSS.
  absl::StatusOr<ManifestDocument> FetchManifest(const std::string& version);

  // Appends the blob to `to`, which is empty, going on where it was cut. Never
  // takes more than blob.size bytes. The caller commits, which checks the
  // digest. `progress` is told the bytes that are there.
  absl::Status FetchBlob(const image::Descriptor& blob, image::Ingest* to,
                         const std::function<void(int64_t)>& progress);

 private:
  class Pooled;  // an HttpClient on loan
  using Fetch = std::function<absl::StatusOr<HttpResponse>(HttpRequest)>;

  absl::StatusOr<std::string> BaseUrl();
  absl::StatusOr<HttpResponse> Ping(const std::string& base);
  bool MayBePlain(absl::string_view host, absl::string_view port) const;
  // One exchange with authentication and redirects.
  absl::StatusOr<HttpResponse> Exchange(const HttpRequest& request);
  absl::StatusOr<HttpResponse> FollowRedirects(HttpRequest request);
  // Exchange() until it is not to be tried again; the path is below /v2/.
  absl::StatusOr<HttpResponse> WithRetries(
      const std::string& path,
      const std::function<HttpRequest(const std::string& url)>& make,
      const std::function<bool()>& progressed);
  absl::Status Wait(int attempt, const HttpResponse* response);
  absl::Status Authenticate(const HttpResponse& refused);
  absl::Status FetchToken(const Challenge& challenge);
  SecretText AuthorizationHeader();
  absl::Status StatusOf(const HttpResponse& response,
                        const std::string& what) const;
  HttpRequest BlobRequest(const std::string& url, const image::Descriptor& blob,
                          image::Ingest* to,
                          const std::function<void(int64_t)>& progress);

  const std::string registry_;
  const std::string repository_;
  const std::optional<RegistryAuth> auth_;
  const ClientOptions options_;

  absl::Mutex mu_;
  std::string base_url_ ABSL_GUARDED_BY(mu_);      // once known
  SecretText authorization_ ABSL_GUARDED_BY(mu_);  // header, or empty
  std::vector<std::unique_ptr<HttpClient>> idle_ ABSL_GUARDED_BY(mu_);
};

}  // namespace bulwark::engine::registry

#endif  // ENGINE_REGISTRY_CLIENT_H_
