#include "engine/build/cache_mounts.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <vector>

#include "absl/memory/memory.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/log.h"
#include "base/status.h"
#include "engine/image/digest.h"
#include "os/files.h"
#include "os/measure.h"

namespace bulwark::engine::build {
namespace {

constexpr absl::Duration kKeep = absl::Hours(30 * 24);
constexpr absl::Duration kTick = absl::Milliseconds(200);
// Of directories in the making, and on their way out.
constexpr char kTemporary[] = ".tmp";

}  // namespace

absl::StatusOr<std::unique_ptr<CacheMounts>> CacheMounts::Open(
    const std::string& state_dir, Clock* clock) {
  std::string dir = absl::StrCat(state_dir, "/build-mounts");
  RETURN_IF_ERROR(os::MakeDirs(dir, 0700));
  // What a crash left half made.
  ASSIGN_OR_RETURN(const std::vector<std::string> names, os::ListDir(dir));
  for (const std::string& name : names) {
    if (!absl::EndsWith(name, kTemporary)) continue;
    absl::Status removed = os::RemoveTree(absl::StrCat(dir, "/", name));
    if (!removed.ok()) {
      LOG_WARN("cannot remove a directory of builds", {{"cause", removed}});
    }
  }
  auto mounts = absl::WrapUnique(new CacheMounts(std::move(dir), clock));
  mounts->Expire();
  return mounts;
}

// The name of the directory to use, which is entered then; empty: not now.
std::string CacheMounts::Enter(const std::string& prefix,
                               CacheSharing sharing) {
  for (int n = 0;; ++n) {
    std::string name = absl::StrCat(prefix, "-", n);
    State& state = used_[name];
    const bool free = state.users == 0;
    const bool shared = sharing == CacheSharing::kShared && !state.alone;
    if (free || shared) {
      ++state.users;
      state.alone = sharing != CacheSharing::kShared;
      return name;
    }
    if (sharing != CacheSharing::kPrivate) return "";
  }
}

absl::StatusOr<std::unique_ptr<CacheMounts::Use>> CacheMounts::Acquire(
    const std::string& id, CacheSharing sharing, const Fill& fill,
    const std::function<bool()>& cancelled) {
  const std::string prefix(image::HexOf(image::DigestOf(id)));
  std::string name;
  for (;;) {
    {
      absl::MutexLock lock(&mu_);
      name = Enter(prefix, sharing);
    }
    if (!name.empty()) break;
    if (cancelled != nullptr && cancelled()) {
      return absl::CancelledError("cancelled");
    }
    clock_->Sleep(kTick);
  }
  auto use = std::make_unique<Use>(this, name);
  const std::string path = use->path();
  struct stat st;
  if (lstat(path.c_str(), &st) != 0) {
    RETURN_IF_ERROR(Make(name, fill));
  }
  timespec now = absl::ToTimespec(clock_->Now());
  timespec times[2] = {now, now};
  utimensat(AT_FDCWD, path.c_str(), times, 0);
  return use;
}

absl::Status CacheMounts::Make(const std::string& name, const Fill& fill) {
  std::string draft;
  for (int n = 0;; ++n) {
    draft = absl::StrCat(dir_, "/", name, ".", n, kTemporary);
    if (mkdir(draft.c_str(), 0755) == 0) break;
    if (errno != EEXIST) return ErrnoStatus("make directory", draft);
  }
  absl::Status status = fill == nullptr ? absl::OkStatus() : fill(draft);
  const std::string path = absl::StrCat(dir_, "/", name);
  if (status.ok() && renameat2(AT_FDCWD, draft.c_str(), AT_FDCWD, path.c_str(),
                               RENAME_NOREPLACE) == 0) {
    return absl::OkStatus();
  }
  const int error = errno;
  os::RemoveTree(draft).IgnoreError();  // goes with the next start else
  if (!status.ok()) return status;
  // Another that shares it was first.
  if (error == EEXIST) return absl::OkStatus();
  errno = error;
  return ErrnoStatus("rename", draft);
}

void CacheMounts::Release(const std::string& name) {
  absl::MutexLock lock(&mu_);
  auto it = used_.find(name);
  if (it != used_.end() && --it->second.users <= 0) used_.erase(it);
}

int64_t CacheMounts::Count() const {
  return static_cast<int64_t>(
      os::ListDir(dir_).value_or(std::vector<std::string>()).size());
}

int64_t CacheMounts::Bytes() const {
  absl::StatusOr<os::TreeUsage> usage = os::MeasureTree(dir_);
  return usage.ok() ? usage->bytes : 0;
}

absl::Status CacheMounts::Remove(const std::string& name) {
  const std::string path = absl::StrCat(dir_, "/", name);
  const std::string aside = absl::StrCat(path, ".old", kTemporary);
  {
    absl::MutexLock lock(&mu_);
    auto it = used_.find(name);
    if (it != used_.end() && it->second.users > 0) {
      return absl::FailedPreconditionError("in use");
    }
    if (rename(path.c_str(), aside.c_str()) != 0) {
      return errno == ENOENT ? absl::OkStatus() : ErrnoStatus("rename", path);
    }
  }
  return os::RemoveTree(aside);
}

absl::StatusOr<int64_t> CacheMounts::Clear() {
  ASSIGN_OR_RETURN(const std::vector<std::string> names, os::ListDir(dir_));
  int64_t removed = 0;
  for (const std::string& name : names) {
    if (absl::EndsWith(name, kTemporary)) continue;
    absl::Status status = Remove(name);
    if (absl::IsFailedPrecondition(status)) continue;
    RETURN_IF_ERROR(status);
    ++removed;
  }
  return removed;
}

void CacheMounts::Expire() {
  const absl::Time oldest = clock_->Now() - kKeep;
  for (const std::string& name :
       os::ListDir(dir_).value_or(std::vector<std::string>())) {
    struct stat st;
    const std::string path = absl::StrCat(dir_, "/", name);
    if (absl::EndsWith(name, kTemporary) || stat(path.c_str(), &st) != 0 ||
        absl::TimeFromTimespec(st.st_mtim) >= oldest) {
      continue;
    }
    absl::Status status = Remove(name);
    if (!status.ok()) {
      LOG_WARN("cannot remove a directory of builds",
               {{"path", path}, {"cause", status}});
    }
  }
}

}  // namespace bulwark::engine::build
