#include "api/audit/secret_reads.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "api/audit/describe.h"
#include "base/status.h"

namespace bulwark::api {
namespace {

constexpr absl::Duration kWindow = absl::Hours(1);
constexpr size_t kMostWindows = 10000;
// Of one record, so that its text is not cut.
constexpr size_t kMostSecrets = 10;

using Versions = std::vector<std::pair<std::string, int64_t>>;

std::string TextOf(Versions::const_iterator begin,
                   Versions::const_iterator end) {
  return absl::StrJoin(
      begin, end, ", ", [](std::string* out, const auto& secret) {
        absl::StrAppend(out, secret.first, " version ", secret.second);
      });
}

// What makes two of them the same.
std::string KeyOf(const secrets::SecretReads& reads) {
  return absl::StrCat(reads.project, "/", reads.owner_kind, "/", reads.owner,
                      "/", reads.slot, "/", reads.container, " ",
                      TextOf(reads.secrets.begin(), reads.secrets.end()));
}

v1::ObjectReference Reference(const std::string& kind,
                              const std::string& project,
                              const std::string& name) {
  v1::ObjectReference reference;
  reference.set_kind(kind);
  reference.set_project(project);
  reference.set_name(name);
  return reference;
}

v1::AuditRecord RecordOf(const secrets::SecretReads& reads,
                         Versions::const_iterator begin,
                         Versions::const_iterator end, int64_t left_out) {
  v1::AuditRecord record;
  record.mutable_actor()->set_name("system");
  record.set_method(std::string(kDelivery));
  record.set_project(reads.project);
  *record.add_objects() =
      Reference(reads.owner_kind, reads.project, reads.owner);
  for (auto secret = begin; secret != end; ++secret) {
    *record.add_objects() = Reference("secret", reads.project, secret->first);
  }
  std::string detail =
      absl::StrCat("container ", reads.container, " of replica ", reads.replica,
                   " got ", TextOf(begin, end));
  if (left_out > 0) {
    absl::StrAppend(&detail, ", after ", left_out,
                    " times in its slot that are not kept");
  }
  record.set_detail(ShortText(detail));
  return record;
}

}  // namespace

bool SecretReadLog::Wanted(const std::string& key, int64_t& left_out) {
  const absl::Duration now = clock_.Steady();
  absl::MutexLock lock(&mu_);
  if (windows_.size() > kMostWindows) windows_.clear();
  Window& window = windows_.try_emplace(key, Window{now}).first->second;
  if (now - window.start >= kWindow) {
    window.start = now;
    window.kept = 0;
  }
  if (window.kept >= kAnHour) {
    ++window.left_out;
    return false;
  }
  left_out = window.left_out;
  return true;
}

void SecretReadLog::Kept(const std::string& key, int64_t told) {
  absl::MutexLock lock(&mu_);
  const auto found = windows_.find(key);
  if (found == windows_.end()) return;
  ++found->second.kept;
  found->second.left_out = std::max(int64_t{0}, found->second.left_out - told);
}

absl::Status SecretReadLog::Record(const secrets::SecretReads& reads) {
  const std::string key = KeyOf(reads);
  int64_t left_out = 0;
  if (!Wanted(key, left_out)) return absl::OkStatus();
  const Versions& all = reads.secrets;
  for (size_t at = 0; at < all.size(); at += kMostSecrets) {
    const auto begin = all.begin() + static_cast<ptrdiff_t>(at);
    const auto end = all.begin() + static_cast<ptrdiff_t>(
                                       std::min(all.size(), at + kMostSecrets));
    RETURN_IF_ERROR(log_.Append(RecordOf(reads, begin, end, left_out), true));
  }
  Kept(key, left_out);
  return absl::OkStatus();
}

}  // namespace bulwark::api
