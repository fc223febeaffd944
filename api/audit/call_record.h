// One call, as the audit log sees it.
#ifndef API_AUDIT_CALL_RECORD_H_
#define API_AUDIT_CALL_RECORD_H_

#include <cstdint>
#include <map>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "api/access_rules.h"
#include "api/audit/audit_log.h"
#include "base/clock.h"
#include "proto/bulwark/v1/api.pb.h"
#include "store/store.h"

namespace bulwark::api {

// Bounds what refused calls of one user can add to the log: the first so many a
// minute are kept one by one, of the others the number. Thread-safe.
class Refusals {
 public:
  static constexpr int kAMinute = 60;

  explicit Refusals(Clock& clock) : clock_(clock) {}

  // Whether to keep one of `uid` now. `left_out`: how many were not kept before
  // it.
  bool Keep(int64_t uid, int64_t& left_out);

 private:
  struct Window {
    absl::Duration start;
    int kept = 0;
    int64_t left_out = 0;
  };

  Clock& clock_;
  absl::Mutex mu_;
  std::map<int64_t, Window> windows_ ABSL_GUARDED_BY(mu_);
};

// Writes what the call's rule asks for (Audited). Thread-compatible.
class CallRecord {
 public:
  // `log` and `refusals` must outlive this object; null: nothing is kept.
  // `record` is what Describe() made of the call.
  CallRecord(AuditLog* log, Refusals* refusals, const AccessRule& rule,
             v1::AuditRecord record);

  // For what only the call finds out. Before the next of the following.
  v1::AuditRecord& record() { return record_; }

  // Before the call does anything, if its rule says kAround: an error, the
  // store's, means that the call must not go on.
  absl::Status Begin();

  // `batch` and the record in one write: for calls whose rule says kCommit, and
  // for those that end so.
  absl::StatusOr<uint64_t> Commit(store::MetadataStore& store,
                                  store::Batch batch);

  // After the call. A refused one is kept, whatever its rule. What cannot be
  // kept then is logged: nothing is done any more that could be held back.
  void End(const absl::Status& status);

 private:
  AuditLog* const log_;
  Refusals* const refusals_;
  const AccessRule& rule_;
  v1::AuditRecord record_;
  bool begun_ = false;
  bool committed_ = false;
};

}  // namespace bulwark::api

#endif  // API_AUDIT_CALL_RECORD_H_
