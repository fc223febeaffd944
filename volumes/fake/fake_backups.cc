#include "volumes/fake/fake_backups.h"

#include <filesystem>
#include <fstream>
#include <sstream>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status.h"

namespace bulwark::volumes {
namespace {

namespace fs = std::filesystem;
using Files = std::map<std::string, std::string>;

Files ReadFiles(const fs::path& top) {
  Files files;
  std::error_code error;
  if (!fs::is_directory(top, error)) return files;
  for (const auto& entry : fs::recursive_directory_iterator(top)) {
    if (!entry.is_regular_file()) continue;
    std::stringstream text;
    text << std::ifstream(entry.path(), std::ios::binary).rdbuf();
    files[fs::relative(entry.path(), top)] = text.str();
  }
  return files;
}

void WriteFiles(const fs::path& top, const Files& files) {
  for (const auto& [path, text] : files) {
    fs::create_directories((top / path).parent_path());
    std::ofstream(top / path, std::ios::binary) << text;
  }
}

int64_t SizeOf(const Files& files) {
  int64_t size = 0;
  for (const auto& [path, text] : files) {
    size += static_cast<int64_t>(text.size());
  }
  return size;
}

absl::Status Cancelled(const std::string& verb) {
  return absl::CancelledError(absl::StrCat(verb, ": nobody waits for it"));
}

}  // namespace

void FakeBackups::FailNext(absl::Status status, int count) {
  absl::MutexLock lock(&mu_);
  failure_ = std::move(status);
  failures_ = count;
}

void FakeBackups::Lose(const std::string& path) {
  absl::MutexLock lock(&mu_);
  repositories_.erase(path);
}

void FakeBackups::SetRoom(int64_t bytes) {
  absl::MutexLock lock(&mu_);
  room_ = bytes;
}

int64_t FakeBackups::UsedBytes() {
  int64_t used = 0;
  for (const auto& [path, stored] : repositories_) {
    for (const auto& [owner, backups] : stored.backups) {
      for (const Kept& kept : backups) used += SizeOf(kept.files);
    }
  }
  return used;
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
  if (repository.password.empty()) {
    return absl::InvalidArgumentError(absl::StrCat(
        "open repository ", repository.path, ": its password is empty"));
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
    const Repository& repository, const std::string& parent,
    const std::string& owner, int keep,
    const std::function<void(const BackupProgress&)>& on_progress,
    const Wanted& wanted) {
  if (on_progress) on_progress({1, 1});
  const bool go_on = !wanted || wanted();
  absl::MutexLock lock(&mu_);
  ASSIGN_OR_RETURN(Stored * stored, Open(repository));
  if (!go_on) return Cancelled("back up");
  Kept made;
  made.files = ReadFiles(fs::path(parent) / kContentName);
  made.info.size_bytes = SizeOf(made.files);
  if (made.info.size_bytes > room_ - UsedBytes()) {
    return absl::ResourceExhaustedError(absl::StrCat(
        "back up to repository ", repository.path, ": no space left there"));
  }
  made.info.id = absl::StrCat("backup", ++made_);
  made.info.create_time = absl::FromUnixSeconds(1'900'000'000 + made_);
  BackupInfo info = made.info;
  std::vector<Kept>& backups = stored->backups[owner];
  backups.insert(backups.begin(), std::move(made));
  if (keep > 0 && backups.size() > static_cast<size_t>(keep)) {
    backups.resize(static_cast<size_t>(keep));
  }
  return info;
}

absl::StatusOr<std::vector<BackupInfo>> FakeBackups::List(
    const Repository& repository, const std::string& owner) {
  absl::MutexLock lock(&mu_);
  ASSIGN_OR_RETURN(Stored * stored, Open(repository));
  std::vector<BackupInfo> found;
  for (const Kept& kept : stored->backups[owner]) found.push_back(kept.info);
  return found;
}

absl::Status FakeBackups::Restore(const Repository& repository,
                                  const std::string& owner,
                                  const std::string& id,
                                  const std::string& parent,
                                  const Wanted& wanted) {
  const bool go_on = !wanted || wanted();
  absl::MutexLock lock(&mu_);
  ASSIGN_OR_RETURN(Stored * stored, Open(repository));
  for (const Kept& kept : stored->backups[owner]) {
    if (!id.empty() && kept.info.id != id) continue;
    if (!go_on) return Cancelled("restore");
    const fs::path content = fs::path(parent) / kContentName;
    std::error_code error;
    if (fs::is_directory(content, error)) WriteFiles(content, kept.files);
    ++restores_;
    return absl::OkStatus();
  }
  return absl::NotFoundError(
      absl::StrCat("restore from repository ", repository.path,
                   ": it has no backup ", id, " of volume ", owner));
}

}  // namespace bulwark::volumes
