#include "api/audit/audit_log.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "api/audit/chain.h"
#include "api/convert.h"
#include "base/status.h"

namespace bulwark::api {

using record::v1::AuditHead;

AuditLog::AuditLog(store::MetadataStore& store, Clock& clock, Limits limits)
    : store_(store), clock_(clock), limits_(limits) {}

absl::StatusOr<AuditLog::Head> AuditLog::ReadHead() {
  Head head;
  const absl::StatusOr<store::Record> row = store_.Get(AuditHeadKey());
  if (absl::IsNotFound(row.status())) return head;
  RETURN_IF_ERROR(row.status());
  if (!head.value.ParseFromString(row->value)) {
    return absl::DataLossError("read the audit log: its head cannot be read");
  }
  head.revision = row->revision;
  return head;
}

absl::StatusOr<v1::AuditRecord> AuditLog::ReadRecord(int64_t sequence) {
  const absl::StatusOr<store::Record> row = store_.Get(AuditKey(sequence));
  if (absl::IsNotFound(row.status())) {
    return absl::NotFoundError(
        absl::StrCat("read the audit log: record ", sequence, " is missing"));
  }
  RETURN_IF_ERROR(row.status());
  v1::AuditRecord record;
  if (!record.ParseFromString(row->value)) {
    return absl::DataLossError(absl::StrCat("read the audit log: record ",
                                            sequence, " cannot be read"));
  }
  return record;
}

absl::Status AuditLog::Append(v1::AuditRecord record, bool essential) {
  Pending me{std::move(record), essential};
  {
    absl::MutexLock lock(&queue_mu_);
    queue_.push_back(&me);
  }
  absl::MutexLock lock(&mu_);
  if (me.done) return me.status;
  std::vector<Pending*> group;
  {
    absl::MutexLock queue_lock(&queue_mu_);
    group.swap(queue_);
  }
  // On a full disk the essential ones must not fail with the others.
  for (const bool wanted : {true, false}) {
    std::vector<v1::AuditRecord> records;
    for (Pending* pending : group) {
      if (pending->essential != wanted) continue;
      records.push_back(std::move(pending->record));
    }
    if (records.empty()) continue;
    store::Batch batch;
    if (wanted) batch.Essential();
    absl::Status status = Write(batch, records).status();
    // The head was another one: it has been read again.
    if (absl::IsAborted(status)) status = Write(batch, records).status();
    for (Pending* pending : group) {
      if (pending->essential == wanted) pending->status = status;
    }
  }
  for (Pending* pending : group) pending->done = true;
  return me.status;
}

absl::StatusOr<uint64_t> AuditLog::Commit(store::Batch batch,
                                          v1::AuditRecord record) {
  std::vector<v1::AuditRecord> records;
  records.push_back(std::move(record));
  absl::MutexLock lock(&mu_);
  return Write(std::move(batch), std::move(records));
}

absl::StatusOr<uint64_t> AuditLog::Write(store::Batch batch,
                                         std::vector<v1::AuditRecord> records) {
  if (!head_.has_value()) {
    ASSIGN_OR_RETURN(head_, ReadHead());
  }
  AuditHead head = head_->value;
  for (v1::AuditRecord& record : records) {
    Chain(std::move(record), head, batch);
  }
  if (head.last() - head.removed() > limits_.records) {
    RETURN_IF_ERROR(Rotate(head, batch));
  }
  batch.Put(AuditHeadKey(), head.SerializeAsString(), head_->revision);
  const absl::StatusOr<uint64_t> revision = store_.Commit(batch);
  if (!revision.ok()) {
    // Another's write, or not known whether it was written: look again.
    head_.reset();
    return revision;
  }
  head_ = Head{std::move(head), *revision};
  return revision;
}

void AuditLog::Chain(v1::AuditRecord record, AuditHead& head,
                     store::Batch& batch) const {
  record.set_sequence(head.last() + 1);
  *record.mutable_time() = ToTimestamp(clock_.Now());
  record.set_hash(ChainHash(head.last_hash(), record));
  batch.Put(AuditKey(record.sequence()), record.SerializeAsString(), 0);
  head.set_last(record.sequence());
  head.set_last_hash(record.hash());
}

// Removes the oldest records, and adds one that says so. What it removes must
// be as it was: otherwise the trace of a change would go with it.
absl::Status AuditLog::Rotate(AuditHead& head, store::Batch& batch) {
  const int64_t until =
      std::min(head.removed() + limits_.removed_at_once, head.last() - 1);
  std::string hash = head.removed_hash();
  for (int64_t sequence = head.removed() + 1; sequence <= until; ++sequence) {
    const absl::StatusOr<v1::AuditRecord> record = ReadRecord(sequence);
    const absl::Status good =
        record.ok() ? CheckLink(hash, sequence, *record) : record.status();
    // It stays, for `ctl audit verify` to find; the log grows meanwhile.
    if (absl::IsDataLoss(good) || absl::IsNotFound(good)) {
      return absl::OkStatus();
    }
    RETURN_IF_ERROR(good);
    hash = record->hash();
    batch.Delete(AuditKey(sequence));
  }
  head.set_removed(until);
  head.set_removed_hash(hash);
  v1::AuditRecord record;
  record.mutable_actor()->set_name("system");
  record.set_method(std::string(kRotation));
  record.set_detail(RotationDetail(until, hash));
  Chain(std::move(record), head, batch);
  return absl::OkStatus();
}

}  // namespace bulwark::api
