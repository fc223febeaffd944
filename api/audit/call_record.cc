#include "api/audit/call_record.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "api/audit/describe.h"
#include "api/errors.h"
#include "base/log.h"
#include "base/status.h"

namespace bulwark::api {
namespace {

constexpr absl::Duration kWindow = absl::Minutes(1);
constexpr size_t kMostUsers = 10000;

std::string Joined(absl::string_view first, absl::string_view second) {
  return absl::StrCat(first, first.empty() || second.empty() ? "" : ": ",
                      second);
}

}  // namespace

bool Refusals::Keep(int64_t uid, int64_t& left_out) {
  const absl::Duration now = clock_.Steady();
  absl::MutexLock lock(&mu_);
  if (windows_.size() > kMostUsers) windows_.clear();
  Window& window = windows_.try_emplace(uid, Window{now}).first->second;
  if (now - window.start >= kWindow) {
    window.start = now;
    window.kept = 0;
  }
  if (window.kept >= kAMinute) {
    ++window.left_out;
    return false;
  }
  ++window.kept;
  left_out = std::exchange(window.left_out, 0);
  return true;
}

CallRecord::CallRecord(AuditLog* log, Refusals* refusals,
                       const AccessRule& rule, v1::AuditRecord record)
    : log_(log), refusals_(refusals), rule_(rule), record_(std::move(record)) {}

absl::Status CallRecord::Begin() {
  if (log_ == nullptr) return absl::OkStatus();
  if (rule_.audited != Audited::kAround &&
      rule_.audited != Audited::kAroundAlways) {
    return absl::OkStatus();
  }
  v1::AuditRecord record = record_;
  record.set_detail(ShortText(Joined("begins", record.detail())));
  const absl::Status status =
      log_->Append(std::move(record), rule_.audited == Audited::kAroundAlways);
  if (!status.ok()) {
    return WithRemedy(Annotate(status, "write the call to the audit log"),
                      "nothing was done: what cannot be recorded is not begun");
  }
  begun_ = true;
  return absl::OkStatus();
}

absl::StatusOr<uint64_t> CallRecord::Commit(store::MetadataStore& store,
                                            store::Batch batch) {
  if (log_ == nullptr) return store.Commit(batch);
  const absl::StatusOr<uint64_t> revision =
      log_->Commit(std::move(batch), record_);
  if (revision.ok()) committed_ = true;
  return revision;
}

void CallRecord::End(const absl::Status& status) {
  // The record of the change says that it is done.
  if (log_ == nullptr || (committed_ && status.ok())) return;
  v1::AuditRecord record = record_;
  record.set_code(static_cast<int32_t>(status.code()));
  // What follows are lines of a file that somebody sent.
  const absl::string_view message = status.message();
  record.set_error(ShortText(message.substr(0, message.find('\n'))));
  const bool refused =
      absl::IsPermissionDenied(status) || absl::IsUnauthenticated(status);
  if (begun_) {
    record.set_detail(
        ShortText(Joined(status.ok() ? "done" : "failed", record.detail())));
  } else if (!refused) {
    return;
  } else if (int64_t left_out = 0; refusals_ != nullptr) {
    if (!refusals_->Keep(record.actor().uid(), left_out)) return;
    if (left_out > 0) {
      record.set_detail(ShortText(
          absl::StrCat("refused after ", left_out,
                       " more that are not kept: ", record.detail())));
    }
  }
  const absl::Status kept = log_->Append(std::move(record), begun_);
  if (!kept.ok()) {
    LOG_ERROR("cannot write the end of a call to the audit log",
              {{"method", rule_.method},
               {"by", record_.actor().name()},
               {"error", kept}});
  }
}

}  // namespace bulwark::api
