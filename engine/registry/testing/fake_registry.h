// A registry in memory, with the faults that a test wants of it.
#ifndef ENGINE_REGISTRY_TESTING_FAKE_REGISTRY_H_
#define ENGINE_REGISTRY_TESTING_FAKE_REGISTRY_H_

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "engine/registry/testing/http_server.h"

namespace bulwark::engine::registry::testing {

// Counts go down as they happen.
struct RegistryFaults {
  // Of everything.
  int errors_each = 0;  // answers of each address that are `error_status`
  int error_status = 503;
  std::string retry_after;  // of those, if not empty
  bool read_only = false;   // 405
  int64_t pace = 0;         // bytes of blobs a second, to and fro

  // Of blobs that are fetched, and larger than kLargeBlob.
  int resets = 0;           // answers whose connection is reset
  int64_t reset_after = 0;  // after so many bytes
  bool no_ranges = false;   // what is asked for is all of it
  int64_t excess = 0;       // bytes that come beyond the end, or are left out
  bool lies = false;        // the last byte is another one
  bool endless = false;
  bool circles = false;  // they redirect to themselves

  // Of blobs that are sent.
  int busy = 0;             // pieces of uploads that are answered with 429
  int cuts = 0;             // pieces whose connection ends early
  int64_t cut_after = 0;    // after so many bytes, which are kept
  int lost_answers = 0;     // last pieces that arrive, but are not answered
  int end_errors = 0;       // last pieces that are kept, and answered with 502
  bool forgets = false;     // an upload that was cut is gone
  int64_t most_piece = -1;  // larger ones are answered with 413
  bool no_mounts = false;
  int mount_refusal = 0;  // the status of mounts, if not 0

  // Of manifests.
  bool wrong_digest = false;  // of the manifest that it says it has stored
  int loses_blobs = 0;        // manifests that find no layers any more
  bool no_oci = false;        // refuses OCI's media types
  int no_referrers = 0;       // the status of a registry without the API

  // Of tokens, which GET /token gives to everybody.
  int token_uses = 0;          // requests that one is good for; 0: none wanted
  bool narrow_tokens = false;  // none is given for several repositories
};

// Speaks what RegistryClient needs of the distribution specification, for all
// names of repositories with no slash. Thread-safe.
class FakeRegistry {
 public:
  static constexpr size_t kLargeBlob = 4096;

  explicit FakeRegistry(RegistryFaults faults = {});

  std::string address() const { return server_->address(); }
  const HttpServer& server() const { return *server_; }

  // From now on. Faults are counted anew; Count() and UploadedBytes() go on.
  void SetFaults(const RegistryFaults& faults);

  // How many requests had this method and a path that begins so.
  int Count(const std::string& method, const std::string& prefix) const;
  // Of blobs, what was taken again too.
  int64_t UploadedBytes() const;
  bool HasBlob(const std::string& repository, const std::string& digest) const;
  // By tag or digest; "" if there is none.
  std::string Manifest(const std::string& repository,
                       const std::string& version) const;
  std::string MediaType(const std::string& repository,
                        const std::string& version) const;
  void PutBlob(const std::string& repository, const std::string& data);
  void PutManifest(const std::string& repository, const std::string& version,
                   const std::string& text, const std::string& media_type);

 private:
  struct Stored {
    std::string text;
    std::string media_type;
  };
  struct Repository {
    std::map<std::string, std::string> blobs;  // by digest
    std::map<std::string, Stored> manifests;   // by tag and digest
  };
  struct Token {
    std::string scopes;
    int uses = 0;  // that are left
  };

  ServerResponse Handle(const ServerRequest& request);
  bool IsAuthorized(const ServerRequest& request, const std::string& query);
  ServerResponse GiveToken(const std::string& query);
  ServerResponse GiveBlob(const std::string& data,
                          const ServerRequest& request);
  ServerResponse HandleUpload(const std::string& repository,
                              const std::string& id,
                              const ServerRequest& request);
  ServerResponse BeginUpload(const std::string& repository,
                             const std::string& query);
  ServerResponse HandleManifest(const std::string& repository,
                                const std::string& version,
                                const ServerRequest& request);
  ServerResponse HandleReferrers(const std::string& repository,
                                 const std::string& digest);

  mutable absl::Mutex mu_;
  RegistryFaults faults_;
  std::map<std::string, int> failed_;  // how often, by method and path
  std::map<std::string, Token> tokens_;
  std::map<std::string, Repository> repositories_;
  std::map<std::string, std::string> uploads_;  // by id
  int next_upload_ = 1;
  std::unique_ptr<HttpServer> server_;
};

}  // namespace bulwark::engine::registry::testing

#endif  // ENGINE_REGISTRY_TESTING_FAKE_REGISTRY_H_
