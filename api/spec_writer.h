// The one writer of what users declare.
#ifndef API_SPEC_WRITER_H_
#define API_SPEC_WRITER_H_

#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "api/caller.h"
#include "api/declared.h"
#include "api/plan.h"
#include "base/clock.h"
#include "base/entropy.h"
#include "proto/bulwark/v1/api.pb.h"
#include "secrets/secrets.h"
#include "store/store.h"

namespace bulwark::api {

// Reads what is declared, plans, and commits in one batch that is durable on
// return. Controllers write statuses of the same records meanwhile: a commit
// that lost against one of them is planned again. Two changes by users never
// overlap, as a rule over several objects (no two services on one host port)
// cannot be tied to the revisions of those that do not exist yet; so a mutex is
// held over the commit, on purpose. Thread-safe; calls block for the disk.
class SpecWriter {
 public:
  // The references must outlive this object.
  // `vault` too; null: no secrets.
  SpecWriter(store::MetadataStore& store, Clock& clock, Entropy& entropy,
             NormalizeReference normalize, secrets::Vault* vault = nullptr);

  // See PlanApply() and PlanDelete() for errors; also those of
  // MetadataStore::Commit(), and PERMISSION_DENIED if what changes needs a
  // right that the caller lacks.
  absl::StatusOr<v1::ApplyResponse> Apply(const v1::ApplyRequest& request,
                                          const Caller& caller);
  absl::StatusOr<v1::DeleteResponse> Delete(const v1::DeleteRequest& request,
                                            const Caller& caller);

  // An action on one service.
  struct Action {
    std::string project;  // empty: "default"
    std::string service;
    std::string reason;  // of its event: "Scaled"
    std::string detail;  // of its event, after who did what
  };

  // Applies `change` to the service's spec, with everything that an apply
  // checks. NOT_FOUND if there is no such service; errors of `change` come back
  // as they are. `change` may run more than once.
  absl::StatusOr<v1::Service> ChangeService(
      const Action& action, const Caller& caller,
      absl::FunctionRef<absl::Status(const v1::Service&, v1::ServiceSpec&)>
          change);

  // Makes a job of the cron job now. NOT_FOUND if there is no such cron job;
  // FAILED_PRECONDITION if it is being deleted.
  absl::StatusOr<v1::Job> Trigger(const std::string& project,
                                  const std::string& cron_job,
                                  const Caller& caller);

  // ALREADY_EXISTS, NOT_FOUND as `mode` demands; else as Apply() of the secret,
  // whose labels stay unless the request has some.
  absl::StatusOr<v1::SetSecretResponse> SetSecret(
      const v1::SetSecretRequest& request, const Caller& caller);

  // Makes an older version of a secret or config the newest. NOT_FOUND if the
  // object or the version is not there.
  absl::StatusOr<v1::Object> RollbackValue(
      const v1::RollbackValueRequest& request, const Caller& caller);

  // Runs `write`, which reads and commits rows that hold keys, while no other
  // change of a user's is under way.
  absl::Status Exclusively(absl::FunctionRef<absl::Status()> write)
      ABSL_LOCKS_EXCLUDED(mu_);

  // Commits what `plan` puts into its batch, with the call's record in the
  // audit log; again if it lost a race. No other change by a user comes in
  // between. Errors of `plan` come back as they are. The new revision, or the
  // one that was read if there is nothing to write. `tried` is called once a
  // write was tried, whatever came of it, before any other change.
  absl::StatusOr<uint64_t> Change(
      const Caller& caller,
      absl::FunctionRef<absl::StatusOr<store::Batch>(const StoredObjects&)>
          plan,
      absl::FunctionRef<void()> tried = [] {}) ABSL_LOCKS_EXCLUDED(mu_);

 private:
  PlanContext ContextOf(const StoredObjects& stored,
                        const v1::Identity& caller) const;
  absl::StatusOr<NewValue> ReadVersion(const v1::Object& object,
                                       const v1::ValueVersion& version);

  store::MetadataStore& store_;
  Clock& clock_;
  Entropy& entropy_;
  const NormalizeReference normalize_;
  secrets::Vault* const vault_;
  absl::Mutex mu_;
  Declared declared_ ABSL_GUARDED_BY(mu_);
};

}  // namespace bulwark::api

#endif  // API_SPEC_WRITER_H_
