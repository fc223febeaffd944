#include "scheduler/names.h"

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace bulwark::scheduler {
namespace {

constexpr size_t kMaxContainerName = 40;
constexpr size_t kMaxSandboxId = 20;

// FNV-1a: these names outlive the process, absl::Hash does not.
uint64_t StableHash(absl::string_view text) {
  uint64_t hash = 14695981039346656037u;
  for (unsigned char c : text) hash = (hash ^ c) * 1099511628211u;
  return hash;
}

std::string Base36(uint64_t value) {
  std::string digits;
  do {
    digits.insert(digits.begin(),
                  "0123456789abcdefghijklmnopqrstuvwxyz"[value % 36]);
    value /= 36;
  } while (value != 0);
  return digits;
}

}  // namespace

std::string ContainerId(absl::string_view replica_uid, absl::string_view name,
                        int attempt) {
  std::string cut(name);
  if (cut.size() > kMaxContainerName) {
    cut = absl::StrFormat("%s-%08x", name.substr(0, kMaxContainerName - 9),
                          static_cast<uint32_t>(StableHash(name)));
  }
  std::string id = absl::StrCat(replica_uid, "-", cut);
  if (attempt > 0) absl::StrAppend(&id, ".", attempt);
  return id;
}

std::string ReplicaUidOf(absl::string_view container_id) {
  return std::string(container_id.substr(0, container_id.find('-')));
}

std::string SandboxId(absl::string_view service_uid, int slot) {
  std::string id = absl::StrCat(service_uid, Base36(slot));
  if (id.size() > kMaxSandboxId) {
    id = absl::StrCat("h",
                      Base36(StableHash(absl::StrCat(service_uid, "/", slot))));
  }
  return id;
}

std::string ReplicaName(absl::string_view service, int slot,
                        absl::string_view uid) {
  return absl::StrCat(service, "-", slot, "-", uid.substr(0, 5));
}

std::string RevisionName(absl::string_view service, int64_t number) {
  return absl::StrCat(service, "-", number);
}

std::string JobRevisionName(absl::string_view job, int64_t number) {
  return absl::StrCat("job.", job, "-", number);
}

std::string PinnedReference(absl::string_view image, absl::string_view digest) {
  if (absl::StrContains(image, '@')) return std::string(image);
  const size_t slash = image.rfind('/');
  const size_t colon = image.rfind(':');
  const bool tagged = colon != absl::string_view::npos &&
                      (slash == absl::string_view::npos || colon > slash);
  return absl::StrCat(tagged ? image.substr(0, colon) : image, "@", digest);
}

}  // namespace bulwark::scheduler
