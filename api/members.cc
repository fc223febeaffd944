#include "api/members.h"

#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "api/demands.h"
#include "base/status.h"
#include "store/objects.h"
#include "store/readable.h"

namespace bulwark::api {
namespace {

store::Filter Projects() {
  store::Filter filter;
  filter.kind = "project";
  return filter;
}

// Digits are a number, never a name.
bool IsNumber(const std::string& text) {
  for (const char c : text) {
    if (!absl::ascii_isdigit(c)) return false;
  }
  return !text.empty();
}

bool IsGroup(const std::string& wanted, gid_t gid, UserNames& names) {
  if (!IsNumber(wanted)) return names.FindGroup(gid) == wanted;
  gid_t number = 0;
  return absl::SimpleAtoi(wanted, &number) && number == gid;
}

}  // namespace

bool Means(const v1::Member& member, const Peer& peer, UserNames& names) {
  if (!member.user().empty()) {
    if (!IsNumber(member.user())) {
      return member.user() == peer.identity.name();
    }
    int64_t number = -1;
    return absl::SimpleAtoi(member.user(), &number) &&
           number == peer.identity.uid();
  }
  if (member.group().empty()) return false;
  if (IsGroup(member.group(), static_cast<gid_t>(peer.identity.gid()), names)) {
    return true;
  }
  for (const gid_t gid : peer.groups) {
    if (IsGroup(member.group(), gid, names)) return true;
  }
  return false;
}

absl::StatusOr<Rights> Members::RightsOf(const Peer& peer,
                                         const std::string& project) {
  const uid_t uid = static_cast<uid_t>(peer.identity.uid());
  if (uid == 0 || uid == own_uid_) return Rights::All();
  std::vector<std::shared_ptr<const v1::ProjectSpec>> specs;
  {
    absl::MutexLock lock(&mu_);
    RETURN_IF_ERROR_CTX(CatchUp(), "read the members of projects");
    for (const auto& [name, spec] : projects_) {
      if (project == kAnyProject || project == name) specs.push_back(spec);
    }
  }
  Rights rights;
  for (const auto& spec : specs) {
    for (const v1::Member& member : spec->members()) {
      if (Means(member, peer, names_)) rights.Add(api::RightsOf(member));
    }
  }
  return rights;
}

absl::Status Members::CatchUp() {
  const uint64_t revision = store_.CurrentRevision();
  while (watcher_ != nullptr && watcher_->Revision() < revision) {
    absl::StatusOr<std::vector<store::Change>> changes =
        watcher_->Next(absl::ZeroDuration());
    if (absl::IsOutOfRange(changes.status())) {
      watcher_ = nullptr;
      break;
    }
    RETURN_IF_ERROR(changes.status());
    for (const store::Change& change : *changes) {
      // Half of a change must not stay: everything is read again.
      if (absl::Status status = Take(change); !status.ok()) {
        watcher_ = nullptr;
        return status;
      }
    }
  }
  return watcher_ == nullptr ? ReadAll() : absl::OkStatus();
}

absl::Status Members::ReadAll() {
  // A project that cannot be read gives nobody a right.
  ASSIGN_OR_RETURN(const store::ReadableListing listing,
                   store::ListReadable(store_, "project"));
  ASSIGN_OR_RETURN(std::unique_ptr<store::Watcher> watcher,
                   store_.Watch(listing.revision, Projects()));
  projects_.clear();
  for (const v1::Object& object : listing.objects) {
    projects_[store::MetadataOf(object).name()] =
        std::make_shared<const v1::ProjectSpec>(object.project().spec());
  }
  watcher_ = std::move(watcher);
  return absl::OkStatus();
}

absl::Status Members::Take(const store::Change& change) {
  if (change.op == store::Change::Op::kDelete) {
    projects_.erase(change.key.name);
    return absl::OkStatus();
  }
  const absl::StatusOr<v1::Object> object =
      store::Decode(change.key, change.value, change.revision);
  if (!object.ok()) {
    projects_.erase(change.key.name);
    return absl::OkStatus();
  }
  projects_[change.key.name] =
      std::make_shared<const v1::ProjectSpec>(object->project().spec());
  return absl::OkStatus();
}

}  // namespace bulwark::api
