// What a change of declared objects comes to: pure decisions that the
// SpecWriter commits.
#ifndef API_PLAN_H_
#define API_PLAN_H_

#include <map>
#include <set>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "api/demands.h"
#include "api/validation.h"
#include "api/values.h"
#include "base/entropy.h"
#include "proto/bulwark/v1/api.pb.h"
#include "store/batch.h"
#include "store/key.h"

namespace bulwark::api {

// Every stored object of the kinds that can be applied, of all projects.
struct StoredObjects {
  std::map<store::Key, v1::Object> objects;
  uint64_t revision = 0;
  // Records of those kinds that cannot be read. Nothing overwrites them.
  std::set<store::Key> unreadable;
  // Read only where values of secrets and configs may change.
  PinnedInputs pinned;

  // Null if there is none.
  const v1::Object* Find(const store::Key& key) const;
};

// The kinds that clients declare, as opposed to those that bulwarkd derives.
const std::vector<std::string>& DeclaredKinds();

inline constexpr char kAppliedReason[] = "Applied";

struct PlanContext {
  const StoredObjects& stored;
  const NormalizeReference& normalize;
  v1::Identity caller;
  absl::Time now;
  Entropy& entropy;
  // Of the event about each change.
  std::string reason = kAppliedReason;
  std::string detail;
  // Null: values of secrets are refused.
  secrets::Vault* vault = nullptr;
  // In bytes; 0: not known.
  int64_t host_memory = 0;
};

struct ApplyPlan {
  v1::ApplyResponse response;  // without revisions of what changes
  store::Batch batch;          // empty: nothing changes
  // What the caller must have to make these changes.
  std::vector<Demand> demands;
};

// Defaults, validates and compares every object of `request`, and chooses what
// is pruned.
//   INVALID_ARGUMENT, FAILED_PRECONDITION  with every violation as ErrorDetail
//   ABORTED  a given resource_version is not the current one
absl::StatusOr<ApplyPlan> PlanApply(const v1::ApplyRequest& request,
                                    const PlanContext& context);

struct DeletePlan {
  v1::DeleteResponse response;
  store::Batch batch;
};

// Marks objects for deletion; what is marked already stays as it is.
//   NOT_FOUND            one of them does not exist
//   FAILED_PRECONDITION  one of them is in use or protected, by whom
absl::StatusOr<DeletePlan> PlanDelete(const v1::DeleteRequest& request,
                                      const PlanContext& context);

// What both share.

// What may use `object`, for all that can be known: the records of its project
// that cannot be read.
std::vector<std::string> PossibleUsers(const StoredObjects& stored,
                                       const v1::Object& object);

// Refuses the deletion of `object` if others use it, or if it is protected.
void RefuseIfNeeded(const v1::Object& object,
                    const std::vector<std::string>& users, Report& report);

// `object` with its delete_time set, written to `batch` with an
// event. Projects, secrets and configs own nothing that outlives their record
// and go at once.
void MarkDeleted(v1::Object object, const PlanContext& context,
                 store::Batch& batch);

// Writes `object`, which replaces a record of its resource_version (none: it is
// new), and an event about it.
void PutWithEvent(const v1::Object& object, absl::string_view message,
                  const PlanContext& context, store::Batch& batch);

}  // namespace bulwark::api

#endif  // API_PLAN_H_
