#include "volumes/fake/fake_backups.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status.h"

namespace bulwark::volumes {

void FakeBackups::FailNext(absl::Status status, int count) {
  absl::MutexLock lock(&mu_);
  failure_ = std::move(status);
  failures_ = count;
}

void FakeBackups::Lose(const std::string& path) {
  absl::MutexLock lock(&mu_);
  repositories_.erase(path);
}

int FakeBackups::restores() {
  absl::MutexLock lock(&mu_);
  return restores_;
}

absl::StatusOr<FakeBackups::Stored*> FakeBackups::Open(
    const Repository& repository) {
  if (failures_ > 0) {
    --failures_;
    return failure_;
  }
  auto it = repositories_.find(repository.path);
  if (it == repositories_.end()) {
    return absl::NotFoundError(
        absl::StrCat("open repository ", repository.path, ": there is none"));
  }
  if (it->second.password != repository.password) {
    return absl::PermissionDeniedError(
        absl::StrCat("open repository ", repository.path,
                     ": the password does not open it"));
  }
  return &it->second;
}

absl::Status FakeBackups::Prepare(const Repository& repository) {
  absl::MutexLock lock(&mu_);
  const absl::Status opened = Open(repository).status();
  if (!absl::IsNotFound(opened)) return opened;
  repositories_[repository.path].password = repository.password;
  return absl::OkStatus();
}

absl::StatusOr<BackupInfo> FakeBackups::Backup(
    const Repository& repository, const std::string&, const std::string& owner,
    int keep, const std::function<void(const BackupProgress&)>& on_progress,
    const Wanted&) {
  if (on_progress) on_progress({1, 1});
  absl::MutexLock lock(&mu_);
  ASSIGN_OR_RETURN(Stored * stored, Open(repository));
  BackupInfo info;
  info.id = absl::StrCat("backup", ++made_);
  info.create_time = absl::FromUnixSeconds(1'900'000'000 + made_);
  info.size_bytes = 1;
  std::vector<BackupInfo>& backups = stored->backups[owner];
  backups.insert(backups.begin(), info);
  if (keep > 0 && backups.size() > static_cast<size_t>(keep)) {
    backups.resize(static_cast<size_t>(keep));
  }
  return info;
}

absl::StatusOr<std::vector<BackupInfo>> FakeBackups::List(
    const Repository& repository, const std::string& owner) {
  absl::MutexLock lock(&mu_);
  ASSIGN_OR_RETURN(Stored * stored, Open(repository));
  return stored->backups[owner];
}

absl::Status FakeBackups::Restore(const Repository& repository,
                                  const std::string& owner,
                                  const std::string& id, const std::string&,
                                  const Wanted&) {
  absl::MutexLock lock(&mu_);
  ASSIGN_OR_RETURN(Stored * stored, Open(repository));
  for (const BackupInfo& info : stored->backups[owner]) {
    if (!id.empty() && info.id != id) continue;
    ++restores_;
    return absl::OkStatus();
  }
  return absl::NotFoundError(
      absl::StrCat("restore from repository ", repository.path,
                   ": it has no backup ", id, " of volume ", owner));
}

}  // namespace bulwark::volumes
