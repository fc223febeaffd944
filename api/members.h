// Roles as projects give them to their members.
#ifndef API_MEMBERS_H_
#define API_MEMBERS_H_

#include <sys/types.h>

#include <map>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "api/identity.h"
#include "api/rights.h"
#include "proto/bulwark/v1/objects.pb.h"
#include "store/store.h"

namespace bulwark::api {

// Reads the members of all projects once, and follows the store from there: a
// question sees every commit that was acknowledged before it. Thread-safe.
class Members {
 public:
  // `store` must outlive this object. Root and `own_uid`, the user that
  // bulwarkd runs as, may do everything.
  Members(store::MetadataStore& store, uid_t own_uid)
      : store_(store), own_uid_(own_uid) {}

  // What all entries that mean the peer bring together; nothing for a project
  // that does not exist. An Authorizer.
  absl::StatusOr<Rights> RightsOf(const Peer& peer, const std::string& project);

 private:
  absl::Status CatchUp() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  absl::Status ReadAll() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  absl::Status Take(const store::Change& change)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  store::MetadataStore& store_;
  const uid_t own_uid_;
  UserNames names_;

  absl::Mutex mu_;
  std::unique_ptr<store::Watcher> watcher_ ABSL_GUARDED_BY(mu_);
  // By the project's name.
  std::map<std::string, std::shared_ptr<const v1::ProjectSpec>> projects_
      ABSL_GUARDED_BY(mu_);
};

// Whether `member` means the peer: its user's name or number, or those of one
// of its groups.
bool Means(const v1::Member& member, const Peer& peer, UserNames& names);

}  // namespace bulwark::api

#endif  // API_MEMBERS_H_
