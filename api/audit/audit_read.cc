// Reading and checking the audit log.
#include <algorithm>
#include <memory>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "api/audit/audit_log.h"
#include "api/audit/chain.h"
#include "api/convert.h"
#include "api/errors.h"
#include "api/stopper.h"
#include "base/status.h"

namespace bulwark::api {
namespace {

using record::v1::AuditHead;

constexpr absl::string_view kBroken =
    "somebody changed the store beside bulwarkd, or its disk lost data: "
    "compare "
    "with an older copy of the log, and keep this one";

bool IsObject(const v1::ObjectReference& object, const std::string& wanted) {
  return wanted == object.name() ||
         wanted == absl::StrCat(object.kind(), "/", object.name());
}

absl::Status Broken(absl::string_view what) {
  return WithRemedy(
      absl::DataLossError(absl::StrCat("verify the audit log: ", what)),
      kBroken);
}

// The name of the first record after number `last`, whatever is missing between
// them; "" if there is none. Does not read those before: of two numbers of as
// many digits, the greater has a greater digit behind what both begin with.
absl::StatusOr<std::string> FirstAfter(store::MetadataStore& store,
                                       int64_t last) {
  const store::Key key = AuditKey(last);
  store::Filter filter;
  filter.kind = key.kind;
  filter.project = key.project;
  for (size_t i = key.name.size(); i-- > 0;) {
    for (char digit = key.name[i]; ++digit <= '9';) {
      filter.name_prefix = key.name.substr(0, i) + digit;
      ASSIGN_OR_RETURN(const store::Listing found, store.List(filter));
      if (!found.records.empty()) return found.records[0].key.name;
    }
  }
  return "";
}

}  // namespace

bool Matches(const v1::AuditRequest& request, const v1::AuditRecord& record) {
  if (request.has_since() && ToTime(record.time()) < ToTime(request.since())) {
    return false;
  }
  if (!request.actor().empty() && request.actor() != record.actor().name() &&
      request.actor() != absl::StrCat(record.actor().uid())) {
    return false;
  }
  if (request.kind().empty() && request.object().empty()) return true;
  return std::any_of(
      record.objects().begin(), record.objects().end(),
      [&](const v1::ObjectReference& object) {
        return (request.kind().empty() || request.kind() == object.kind()) &&
               (request.object().empty() || IsObject(object, request.object()));
      });
}

absl::StatusOr<v1::VerifyAuditResponse> AuditLog::Verify() {
  ASSIGN_OR_RETURN(Head head, ReadHead());
  v1::VerifyAuditResponse response;
  std::string hash = head.value.removed_hash();
  std::string rotation;
  const int64_t end = head.value.last();
  const std::string end_hash = head.value.last_hash();
  for (int64_t next = head.value.removed() + 1; next <= end; ++next) {
    const absl::StatusOr<v1::AuditRecord> record = ReadRecord(next);
    if (absl::IsNotFound(record.status())) {
      // Removed by the log itself while we read?
      ASSIGN_OR_RETURN(head, ReadHead());
      if (head.value.removed() < next) {
        return Broken(absl::StrCat("record ", next, " is missing"));
      }
      // More of it than there was at the start: begin anew with what is there.
      if (head.value.removed() >= end) return Verify();
      next = head.value.removed();
      hash = head.value.removed_hash();
      response.set_records(0);
      continue;
    }
    if (!record.ok()) return WithRemedy(record.status(), kBroken);
    if (absl::Status s = CheckLink(hash, next, *record); !s.ok()) {
      return WithRemedy(s, kBroken);
    }
    hash = record->hash();
    if (record->method() == kRotation) rotation = record->detail();
    response.set_records(response.records() + 1);
  }
  if (hash != end_hash) return Broken("its head names another last record");
  ASSIGN_OR_RETURN(const std::string after, FirstAfter(store_, end));
  if (!after.empty()) {
    // Written while we read?
    ASSIGN_OR_RETURN(const Head now, ReadHead());
    if (now.revision == 0) return Broken("its head is missing");
    if (after > AuditKey(now.value.last()).name) {
      return Broken(absl::StrCat("record ",
                                 after.substr(after.find_first_not_of('0')),
                                 " follows the last one"));
    }
  }
  if (head.value.removed() > 0 && end == head.value.last() &&
      rotation !=
          RotationDetail(head.value.removed(), head.value.removed_hash())) {
    return Broken(absl::StrCat("the records up to ", head.value.removed(),
                               " were removed by another hand"));
  }
  response.set_last_hash(hash);
  return response;
}

absl::StatusOr<int64_t> AuditLog::FirstOf(const v1::AuditRequest& request,
                                          const AuditHead& head) {
  if (!request.has_tail()) return head.removed() + 1;
  int64_t wanted = request.tail();
  int64_t first = head.last() + 1;
  while (first > head.removed() + 1 && wanted > 0) {
    const absl::StatusOr<v1::AuditRecord> record = ReadRecord(--first);
    // What is missing or broken is for Verify() to tell.
    if (absl::IsNotFound(record.status()) || absl::IsDataLoss(record.status()))
      continue;
    RETURN_IF_ERROR(record.status());
    if (Matches(request, *record)) --wanted;
  }
  return first;
}

absl::Status AuditLog::Read(const v1::AuditRequest& request, Send send,
                            Done done) {
  if (request.tail() < 0) {
    return absl::InvalidArgumentError("read the audit log: tail is negative");
  }
  ASSIGN_OR_RETURN(Head head, ReadHead());
  ASSIGN_OR_RETURN(int64_t next, FirstOf(request, head.value));
  store::Filter filter;
  filter.kind = AuditHeadKey().kind;
  std::unique_ptr<store::Watcher> watcher;
  while (!done()) {
    for (; next <= head.value.last() && !done(); ++next) {
      const absl::StatusOr<v1::AuditRecord> record = ReadRecord(next);
      if (absl::IsNotFound(record.status()) ||
          absl::IsDataLoss(record.status())) {
        continue;
      }
      RETURN_IF_ERROR(record.status());
      if (Matches(request, *record) && !send(*record)) return absl::OkStatus();
    }
    if (!request.follow()) return absl::OkStatus();
    if (watcher == nullptr) {
      ASSIGN_OR_RETURN(watcher, store_.Watch(store_.CurrentRevision(), filter));
    } else if (const auto changes = watcher->Next(kCancelPoll);
               absl::IsOutOfRange(changes.status())) {
      watcher = nullptr;
    } else {
      RETURN_IF_ERROR(changes.status());
    }
    ASSIGN_OR_RETURN(head, ReadHead());
  }
  return absl::OkStatus();
}

}  // namespace bulwark::api
