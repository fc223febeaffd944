#include "os/measure.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <memory>
#include <set>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "base/status.h"
#include "base/unique_fd.h"

namespace bulwark::os {
namespace {

constexpr int64_t kBlock = 512;  // of st_blocks, whatever the file system's

using Directory = std::unique_ptr<DIR, int (*)(DIR*)>;

// Somebody removed it, put something else or a mount in its place, or its path
// is too long to be named.
bool IsOutside(int error) {
  return error == ENOENT || error == ESTALE || error == ENOTDIR ||
         error == ELOOP || error == EXDEV || error == ENAMETOOLONG;
}

class Measurement {
 public:
  Measurement(std::string path, int64_t max_entries)
      : path_(std::move(path)), max_entries_(max_entries) {}

  absl::StatusOr<TreeUsage> Run() {
    struct stat top;
    if (lstat(path_.c_str(), &top) != 0) {
      if (errno == ENOENT) return usage_;
      return ErrnoStatus("look at", path_);
    }
    device_ = top.st_dev;
    usage_.bytes = top.st_blocks * kBlock;
    if (!S_ISDIR(top.st_mode)) return usage_;
    top_.Reset(
        open(path_.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!top_.ok()) {
      if (IsOutside(errno)) return usage_;
      return ErrnoStatus("open", path_);
    }
    pending_.push_back(".");
    while (!pending_.empty() && usage_.entries < max_entries_) {
      const std::string name = std::move(pending_.back());
      pending_.pop_back();
      RETURN_IF_ERROR(Read(name));
    }
    return usage_;
  }

 private:
  // A directory, by its path from the top: however deep it is, one descriptor.
  absl::Status Read(const std::string& name) {
    open_how how{};
    how.flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
    how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV;
    UniqueFd fd(static_cast<int>(
        syscall(SYS_openat2, top_.get(), name.c_str(), &how, sizeof(how))));
    if (!fd.ok()) return Unless(IsOutside(errno), "open", name);
    const Directory directory(fdopendir(fd.get()), closedir);
    if (directory == nullptr) return Unless(false, "read", name);
    fd.Release();  // the directory's now
    while (usage_.entries < max_entries_) {
      errno = 0;
      const dirent* entry = readdir(directory.get());
      if (entry == nullptr) {
        return errno == 0 ? absl::OkStatus()
                          : Unless(IsOutside(errno), "read", name);
      }
      const absl::string_view child = entry->d_name;
      if (child == "." || child == "..") continue;
      RETURN_IF_ERROR(Count(dirfd(directory.get()), name, entry->d_name));
    }
    return absl::OkStatus();
  }

  absl::Status Count(int directory, const std::string& parent,
                     const char* child) {
    const std::string name = absl::StrCat(parent, "/", child);
    struct stat info;
    if (fstatat(directory, child, &info, AT_SYMLINK_NOFOLLOW) != 0) {
      return Unless(IsOutside(errno), "look at", name);
    }
    ++usage_.entries;
    if (info.st_dev != device_) return absl::OkStatus();  // a mount
    if (S_ISDIR(info.st_mode)) {
      pending_.push_back(name);
    } else if (info.st_nlink > 1 && !seen_.insert(info.st_ino).second) {
      return absl::OkStatus();
    }
    usage_.bytes += info.st_blocks * kBlock;
    return absl::OkStatus();
  }

  // OK if `ignore`, else what errno says.
  absl::Status Unless(bool ignore, const char* verb, const std::string& name) {
    if (ignore) return absl::OkStatus();
    return ErrnoStatus(verb, absl::StrCat(path_, "/", name));
  }

  const std::string path_;
  const int64_t max_entries_;
  dev_t device_ = 0;
  UniqueFd top_;
  std::vector<std::string> pending_;  // directories, as paths from the top
  std::set<ino_t> seen_;              // files with several names
  TreeUsage usage_;
};

}  // namespace

absl::StatusOr<TreeUsage> MeasureTree(const std::string& path,
                                      int64_t max_entries) {
  return Measurement(path, max_entries).Run();
}

absl::StatusOr<int64_t> FreeBytes(const std::string& path) {
  struct statvfs disk = {};
  if (statvfs(path.c_str(), &disk) != 0) {
    return ErrnoStatus("measure the disk of", path);
  }
  return static_cast<int64_t>(disk.f_bavail) *
         static_cast<int64_t>(disk.f_frsize);
}

}  // namespace bulwark::os
