// The audit log: who did what, in order, in a chain that shows every change.
//
// Records are rows of the store, so that a change and its record are one write.
// Each holds the hash of the one before it. See docs/formats/audit-log.md.
#ifndef API_AUDIT_AUDIT_LOG_H_
#define API_AUDIT_AUDIT_LOG_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "base/clock.h"
#include "proto/bulwark/record/v1/audit.pb.h"
#include "proto/bulwark/v1/api.pb.h"
#include "store/store.h"

namespace bulwark::api {

// Thread-safe; calls block for the disk. Writers are put into one order by a
// mutex that is held over the commit, on purpose: a record needs the hash of
// the one before it. Those that wait meanwhile are written together.
class AuditLog {
 public:
  struct Limits {
    // With more, the oldest go, so many at once.
    int64_t records = 200000;
    int64_t removed_at_once = 1000;
  };

  // The references must outlive this object.
  AuditLog(store::MetadataStore& store, Clock& clock, Limits limits);
  AuditLog(store::MetadataStore& store, Clock& clock)
      : AuditLog(store, clock, Limits()) {}

  // Gives `record` its number, time and hash, and writes it; durable on return.
  // `essential`: as Batch::Essential(). Errors: those of
  // MetadataStore::Commit().
  absl::Status Append(v1::AuditRecord record, bool essential = false);

  // Commits `batch` and the record of it in one write: both, or none.
  absl::StatusOr<uint64_t> Commit(store::Batch batch, v1::AuditRecord record);

  // Recomputes the chain from the oldest record that is kept.
  //   DATA_LOSS  it is broken: the message names the first bad record
  absl::StatusOr<v1::VerifyAuditResponse> Verify();

  // Sends what `request` asks for, oldest first, until `send` says false (the
  // client is gone) or `done` says true; with `follow`, not before.
  using Send = absl::FunctionRef<bool(const v1::AuditRecord&)>;
  using Done = absl::FunctionRef<bool()>;
  absl::Status Read(const v1::AuditRequest& request, Send send, Done done);

 private:
  struct Pending {
    v1::AuditRecord record;
    bool essential;
    bool done = false;
    absl::Status status;
  };
  struct Head {
    record::v1::AuditHead value;
    uint64_t revision = 0;
  };

  absl::StatusOr<Head> ReadHead();
  // NOT_FOUND if it is not there, DATA_LOSS if it cannot be read.
  absl::StatusOr<v1::AuditRecord> ReadRecord(int64_t sequence);
  absl::StatusOr<uint64_t> Write(store::Batch batch,
                                 std::vector<v1::AuditRecord> records)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void Chain(v1::AuditRecord record, record::v1::AuditHead& head,
             store::Batch& batch) const;
  absl::Status Rotate(record::v1::AuditHead& head, store::Batch& batch);
  // The numbers that a request without `follow` is about, oldest first.
  absl::StatusOr<int64_t> FirstOf(const v1::AuditRequest& request,
                                  const record::v1::AuditHead& head);

  store::MetadataStore& store_;
  Clock& clock_;
  const Limits limits_;

  absl::Mutex queue_mu_;
  std::vector<Pending*> queue_ ABSL_GUARDED_BY(queue_mu_);

  absl::Mutex mu_ ABSL_ACQUIRED_BEFORE(queue_mu_);
  // As stored; none: not read yet, or not sure.
  std::optional<Head> head_ ABSL_GUARDED_BY(mu_);
};

// Whether `record` is among what `request` asks for.
bool Matches(const v1::AuditRequest& request, const v1::AuditRecord& record);

}  // namespace bulwark::api

#endif  // API_AUDIT_AUDIT_LOG_H_
