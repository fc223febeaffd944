// Pulling from and pushing to one repository of a registry (OCI distribution
// specification 1.1; Docker's v2 registries speak it too).
#ifndef ENGINE_REGISTRY_CLIENT_H_
#define ENGINE_REGISTRY_CLIENT_H_

#include <atomic>
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
#include "engine/image_exchange.h"
#include "engine/images.h"
#include "engine/registry/challenge.h"
#include "engine/registry/http.h"

namespace bulwark::engine::registry {

// When and how a blob is fetched by several connections at a time.
struct RangeOptions {
  int64_t from = int64_t{64} << 20;  // of blobs that are so large
  int64_t piece = int64_t{8} << 20;
  int helpers = 3;  // connections beside the one that there always is
  // Time in which it shows how slow that one is. Zero: they come anyway.
  absl::Duration after = absl::Seconds(1);
};

struct ClientOptions {
  Clock* clock = nullptr;      // borrowed
  Entropy* entropy = nullptr;  // borrowed
  // HOST or HOST:PORT that may be spoken to without encryption, beside the
  // loopback addresses.
  std::vector<std::string> insecure_registries;
  // Directories of certificates for single registries: see tls_files.h.
  std::vector<std::string> certificate_dirs;
  bool push = false;  // ask for the right to push, too
  // Repositories of the same registry that blobs may be mounted from.
  std::vector<std::string> mount_from;
  int64_t largest_piece = int64_t{64} << 20;  // that one request carries
  PaceLimits pace;
  RangeOptions ranges;
  int max_attempts = 5;
  Backoff backoff = {absl::Milliseconds(300), absl::Seconds(20), 0.5};
  std::function<bool()> cancelled;
};

struct ManifestDocument {
  std::string text;
  std::string media_type;
  std::string digest;  // of `text`
};

// A blob on its way to a registry.
struct OutgoingBlob {
  image::Descriptor descriptor;
  int fd = -1;  // borrowed; read by position, so that several may share it
  // A repository of `mount_from` that has it; empty: none is known to.
  std::string mount_from;
};
enum class BlobOutcome { kPresent, kMounted, kUploaded };

// Thread-safe: several blobs may be fetched or sent side by side.
//
// A failing registry (refused, cut off, 5xx, 429) is tried `max_attempts`
// times, with jitter, or when its Retry-After says; then the error is
// UNAVAILABLE. One that is silent, or too slow, for `pace.patience` is not
// tried again unless much has come since. Other errors as Images::Pull's.
// Credentials go to the registry and to the token service that it names over
// https, and nowhere else: not where a redirect leads.
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

  // The digest that the registry has for `version`: by HEAD, if it tells it so.
  absl::StatusOr<std::string> ResolveDigest(const std::string& version);

  // Appends the blob to `to`, which is empty, going on where it was cut; a
  // large one by several connections, if that is worth it. Never takes more
  // than blob.size bytes. The caller commits, which checks the digest.
  // `progress` is told the bytes that are there, by one thread at a time.
  absl::Status FetchBlob(const image::Descriptor& blob, image::Ingest* to,
                         const std::function<void(int64_t)>& progress);

  // Makes the repository have the blob, sending what it lacks: goes on where a
  // cut upload ended. `progress` is told the bytes that are there. DATA_LOSS if
  // what was read is not what the digest says. client_push.cc
  absl::StatusOr<BlobOutcome> PushBlob(
      const OutgoingBlob& blob, const std::function<void(int64_t)>& progress);
  // Stores a manifest, whose blobs must be there, under a tag or its digest.
  // ABORTED if the registry lacks one of them; DATA_LOSS if it has stored
  // something else.
  absl::Status PushManifest(const std::string& version,
                            const std::string& media_type,
                            const std::string& text);

  // At most `limit` tags (0: all) after `last`. DATA_LOSS if the list does not
  // end. client_list.cc
  absl::StatusOr<TagsPage> ListTags(int limit, const std::string& last);
  // What refers to this digest: by the API, or by the tag that registries
  // without it have. `artifact_type` empty: all.
  absl::StatusOr<std::vector<Referrer>> ListReferrers(
      const std::string& digest, const std::string& artifact_type);

 private:
  // So many new bytes make a transfer count its attempts anew.
  static constexpr int64_t kProgressBytes = 1 << 20;

  class Pooled;   // an HttpClient on loan
  class Helpers;  // further connections
  struct Upload;  // one that has begun
  using Fetch = std::function<absl::StatusOr<HttpResponse>(HttpRequest)>;

  // `busy` gets the answer of a registry that is not to be asked now.
  absl::StatusOr<std::string> BaseUrl(HttpResponse* busy = nullptr);
  absl::StatusOr<HttpResponse> Ping(const std::string& base);
  bool MayBePlain(absl::string_view host, absl::string_view port) const;
  absl::Status FindCertificates();
  const TlsFiles* TlsFor(const Url& url);
  // One exchange with authentication and redirects.
  absl::StatusOr<HttpResponse> Exchange(const HttpRequest& request);
  absl::StatusOr<HttpResponse> FollowRedirects(HttpRequest request);
  // Exchange() until it is not to be tried again; the path is below /v2/.
  // `attempts`, if given, counts on over several calls: what failed so far.
  absl::StatusOr<HttpResponse> WithRetries(
      const std::string& path,
      const std::function<HttpRequest(const std::string& url)>& make,
      const std::function<bool()>& progressed, int* attempts = nullptr);
  // CANCELLED if it is, or `stop` says so, before it is time to try again.
  absl::Status Wait(int attempt, const HttpResponse* response,
                    const std::function<bool()>& stop = nullptr);
  absl::Status Authenticate(const HttpResponse& refused,
                            const std::function<bool()>& cancelled);
  std::vector<std::string> ScopesFor(const std::string& challenged) const;
  absl::Status FetchToken(const Challenge& challenge,
                          const std::function<bool()>& cancelled);
  absl::StatusOr<HttpResponse> AskForToken(
      const Url& url, const Challenge& challenge,
      const std::function<bool()>& cancelled);
  SecretText AuthorizationHeader();
  absl::Status StatusOf(const HttpResponse& response,
                        const std::string& what) const;
  absl::StatusOr<bool> HasBlob(const image::Descriptor& blob,
                               int* attempts = nullptr);
  absl::StatusOr<HttpResponse> BeginUpload(const std::string& query);
  absl::Status Send(const OutgoingBlob& blob, Upload upload,
                    const std::function<void(int64_t)>& progress);
  absl::StatusOr<HttpResponse> SendPiece(
      const OutgoingBlob& blob, const Upload& upload, int64_t size,
      const std::function<void(int64_t)>& progress);
  absl::Status TakeLocation(const HttpResponse& answer, Upload& upload);
  absl::Status Seek(Upload& upload, int* attempts);
  absl::StatusOr<HttpResponse> GetPage(const std::string& path,
                                       const std::string& accept);
  // The path below /v2/ of the next page, or empty at the end.
  absl::StatusOr<std::string> NextPage(const HttpResponse& answer,
                                       const std::string& path);
  static HttpRequest BlobRequest(const std::string& url, int64_t offset,
                                 Helpers& to);

  const std::string registry_;
  const std::string repository_;
  const std::optional<RegistryAuth> auth_;
  const ClientOptions options_;
  std::atomic<bool> no_mounts_{false};  // no token for `mount_from` is given

  absl::Mutex mu_;
  std::string base_url_ ABSL_GUARDED_BY(mu_);         // once known
  std::optional<TlsFiles> tls_ ABSL_GUARDED_BY(mu_);  // once read
  TlsFiles tls_of_others_ ABSL_GUARDED_BY(mu_);       // without our own
  SecretText authorization_ ABSL_GUARDED_BY(mu_);     // header, or empty
  std::vector<std::unique_ptr<HttpClient>> idle_ ABSL_GUARDED_BY(mu_);
};

}  // namespace bulwark::engine::registry

#endif  // ENGINE_REGISTRY_CLIENT_H_
