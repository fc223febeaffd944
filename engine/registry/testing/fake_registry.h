// A registry in memory, with the faults that a test wants of it.
#ifndef ENGINE_REGISTRY_TESTING_FAKE_REGISTRY_H_
#define ENGINE_REGISTRY_TESTING_FAKE_REGISTRY_H_

#include <map>
#include <memory>
#include <string>

#include "absl/synchronization/mutex.h"
#include "engine/registry/testing/http_server.h"

namespace bulwark::engine::registry::testing {

// Counts go down as they happen.
struct RegistryFaults {
  int busy = 0;             // pieces of uploads that are answered with 429
  int cuts = 0;             // pieces whose connection ends early
  int64_t cut_after = 0;    // after so many bytes, which are kept
  int lost_answers = 0;     // last pieces that arrive, but are not answered
  bool forgets = false;     // an upload that was cut is gone
  int64_t most_piece = -1;  // larger ones are answered with 413
  bool no_mounts = false;
  bool wrong_digest = false;  // of the manifest that it says it has stored
  int loses_blobs = 0;        // manifests that find no layers any more
  bool no_oci = false;        // refuses OCI's media types
  bool read_only = false;     // 405
  bool no_referrers = false;  // has not the API
};

// Speaks what RegistryClient needs of the distribution specification, for all
// names of repositories with no slash.
class FakeRegistry {
 public:
  explicit FakeRegistry(RegistryFaults faults = {});

  std::string address() const { return server_->address(); }
  const HttpServer& server() const { return *server_; }

  // How many requests had this method and a path that begins so.
  int Count(const std::string& method, const std::string& prefix) const;
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

  ServerResponse Handle(const ServerRequest& request);
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
  std::map<std::string, Repository> repositories_;
  std::map<std::string, std::string> uploads_;  // by id
  int next_upload_ = 1;
  std::unique_ptr<HttpServer> server_;
};

}  // namespace bulwark::engine::registry::testing

#endif  // ENGINE_REGISTRY_TESTING_FAKE_REGISTRY_H_
