#include "os/copy.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <map>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "base/unique_fd.h"
#include "os/files.h"

namespace bulwark::os {
namespace {

constexpr int64_t kPiece = 4 << 20;
constexpr size_t kMaxDepth = 200;  // two descriptors for each level
constexpr size_t kMaxAttribute = 64 << 10;
constexpr int kAskEvery = 256;

absl::Status Asked(const Wanted& wanted, const std::string& name) {
  if (!wanted || wanted()) return absl::OkStatus();
  return absl::CancelledError(
      absl::StrCat("copy ", name, ": nobody waits for it"));
}

// [from, to) of the file; where the file system cannot do it, by way of us.
absl::Status CopyRange(int from, int to, int64_t begin, int64_t end,
                       const std::string& name, const Wanted& wanted) {
  std::string buffer;
  while (begin < end) {
    RETURN_IF_ERROR(Asked(wanted, name));
    const size_t piece = static_cast<size_t>(std::min(kPiece, end - begin));
    off_t in = begin;
    off_t out = begin;
    ssize_t n = copy_file_range(from, &in, to, &out, piece, 0);
    if (n < 0 && errno != ENOSPC && errno != EDQUOT && errno != EIO) {
      buffer.resize(piece);
      n = pread(from, buffer.data(), piece, begin);
      if (n > 0) n = pwrite(to, buffer.data(), static_cast<size_t>(n), begin);
    }
    if (n < 0) return ErrnoStatus("copy", name);
    if (n == 0) return absl::OkStatus();  // it became shorter meanwhile
    begin += n;
  }
  return absl::OkStatus();
}

bool IsGone(int error) { return error == ENOENT || error == ESTALE; }

// Extended attributes; those that the target's file system does not take
// (another security module's) are left out.
absl::Status CopyAttributes(int from, int to, const std::string& name) {
  std::string names(kMaxAttribute, '\0');
  const ssize_t size = flistxattr(from, names.data(), names.size());
  if (size < 0) {
    if (errno == ENOTSUP || errno == ERANGE) return absl::OkStatus();
    return ErrnoStatus("list attributes of", name);
  }
  std::string value(kMaxAttribute, '\0');
  for (const char* key = names.data(); key < names.data() + size;
       key += std::string(key).size() + 1) {
    const ssize_t n = fgetxattr(from, key, value.data(), value.size());
    if (n < 0) continue;
    if (fsetxattr(to, key, value.data(), static_cast<size_t>(n), 0) != 0 &&
        errno != ENOTSUP && errno != EPERM && errno != EINVAL) {
      return ErrnoStatus(absl::StrCat("set attribute ", key, " of"), name);
    }
  }
  return absl::OkStatus();
}

// Owner first: changing it clears set-id bits and capabilities.
absl::Status CopyMetadata(int from, int to, const struct stat& info,
                          const std::string& name) {
  if (fchown(to, info.st_uid, info.st_gid) != 0) {
    return ErrnoStatus("set owner of", name);
  }
  if (fchmod(to, info.st_mode & 07777) != 0) {
    return ErrnoStatus("set mode of", name);
  }
  RETURN_IF_ERROR(CopyAttributes(from, to, name));
  const timespec times[2] = {info.st_atim, info.st_mtim};
  if (futimens(to, times) != 0) return ErrnoStatus("set times of", name);
  return absl::OkStatus();
}

struct Level {
  UniqueFd from;
  UniqueFd to;
  struct stat info;
  std::string name;  // relative to the top, for messages
  std::vector<std::string> children;
};

using Inode = std::pair<uint64_t, uint64_t>;

class Walk {
 public:
  explicit Walk(const Wanted& wanted) : wanted_(wanted) {}

  absl::StatusOr<TreeUsage> Run(UniqueFd from, UniqueFd to,
                                const std::string& name) {
    top_ = to.get();
    RETURN_IF_ERROR(Enter(std::move(from), std::move(to), name));
    while (!levels_.empty()) {
      Level& level = levels_.back();
      if (level.children.empty()) {
        RETURN_IF_ERROR(Leave(level));
        levels_.pop_back();
        continue;
      }
      const std::string child = std::move(level.children.back());
      level.children.pop_back();
      if (++size_.entries % kAskEvery == 0) {
        RETURN_IF_ERROR(Asked(wanted_, name));
      }
      RETURN_IF_ERROR(Visit(level, child));
    }
    return size_;
  }

 private:
  absl::Status Enter(UniqueFd from, UniqueFd to, const std::string& name) {
    if (levels_.size() >= kMaxDepth) {
      return absl::ResourceExhaustedError(absl::StrCat(
          "copy ", name, ": more than ", kMaxDepth, " directories deep"));
    }
    Level level;
    if (fstat(from.get(), &level.info) != 0) {
      return ErrnoStatus("look at", name);
    }
    ASSIGN_OR_RETURN(level.children, ListDirFd(from.get(), name));
    level.from = std::move(from);
    level.to = std::move(to);
    level.name = name;
    levels_.push_back(std::move(level));
    return absl::OkStatus();
  }

  // Last, since its entries have changed its times.
  absl::Status Leave(const Level& level) {
    return CopyMetadata(level.from.get(), level.to.get(), level.info,
                        level.name);
  }

  absl::Status Visit(Level& level, const std::string& child) {
    const std::string name = absl::StrCat(level.name, "/", child);
    struct stat info;
    if (fstatat(level.from.get(), child.c_str(), &info, AT_SYMLINK_NOFOLLOW) !=
        0) {
      return IsGone(errno) ? absl::OkStatus() : ErrnoStatus("look at", name);
    }
    if (S_ISDIR(info.st_mode)) return VisitDirectory(level, child, name, info);
    if (info.st_nlink > 1) {
      const Inode inode = {info.st_dev, info.st_ino};
      auto [it, first] = seen_.try_emplace(inode, name.substr(TopLength()));
      if (!first) return Link(it->second, level, child, name);
    }
    size_.bytes += info.st_blocks * 512;
    if (S_ISREG(info.st_mode)) return VisitFile(level, child, name);
    if (S_ISLNK(info.st_mode)) return CopyLink(level, child, name, info);
    return CopySpecial(level, child, name, info);
  }

  size_t TopLength() const { return levels_.front().name.size() + 1; }

  absl::Status Link(const std::string& earlier, const Level& level,
                    const std::string& child, const std::string& name) {
    if (linkat(top_, earlier.c_str(), level.to.get(), child.c_str(), 0) == 0) {
      return absl::OkStatus();
    }
    // The first name vanished before it was copied.
    return errno == ENOENT ? VisitFile(level, child, name)
                           : ErrnoStatus("link", name);
  }

  absl::Status VisitDirectory(const Level& level, const std::string& child,
                              const std::string& name,
                              const struct stat& info) {
    if (info.st_dev != levels_.front().info.st_dev) {
      return absl::OkStatus();  // another file system
    }
    size_.bytes += info.st_blocks * 512;
    UniqueFd from(openat(level.from.get(), child.c_str(),
                         O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!from.ok()) {
      return IsGone(errno) || errno == ENOTDIR || errno == ELOOP
                 ? absl::OkStatus()
                 : ErrnoStatus("open", name);
    }
    if (mkdirat(level.to.get(), child.c_str(), 0700) != 0) {
      return ErrnoStatus("make directory", name);
    }
    UniqueFd to(openat(level.to.get(), child.c_str(),
                       O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!to.ok()) return ErrnoStatus("open copy of", name);
    return Enter(std::move(from), std::move(to), name);
  }

  absl::Status VisitFile(const Level& level, const std::string& child,
                         const std::string& name) {
    // Not blocking: somebody may have put a pipe in its place.
    UniqueFd from(openat(level.from.get(), child.c_str(),
                         O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
    if (!from.ok()) {
      return IsGone(errno) || errno == ELOOP || errno == ENXIO
                 ? absl::OkStatus()
                 : ErrnoStatus("open", name);
    }
    struct stat info;
    if (fstat(from.get(), &info) != 0) return ErrnoStatus("look at", name);
    if (!S_ISREG(info.st_mode)) return absl::OkStatus();
    UniqueFd to(openat(level.to.get(), child.c_str(),
                       O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
    if (!to.ok()) return ErrnoStatus("make copy of", name);
    RETURN_IF_ERROR(CopyFile(from.get(), to.get(), name, wanted_));
    return CopyMetadata(from.get(), to.get(), info, name);
  }

  static absl::Status CopyLink(const Level& level, const std::string& child,
                               const std::string& name,
                               const struct stat& info) {
    char target[4096];
    const ssize_t n =
        readlinkat(level.from.get(), child.c_str(), target, sizeof(target) - 1);
    if (n < 0) {
      return IsGone(errno) || errno == EINVAL ? absl::OkStatus()
                                              : ErrnoStatus("read link", name);
    }
    target[n] = '\0';
    if (symlinkat(target, level.to.get(), child.c_str()) != 0) {
      return ErrnoStatus("make link", name);
    }
    return Own(level, child, name, info);
  }

  static absl::Status CopySpecial(const Level& level, const std::string& child,
                                  const std::string& name,
                                  const struct stat& info) {
    if (mknodat(level.to.get(), child.c_str(), info.st_mode, info.st_rdev) !=
        0) {
      return ErrnoStatus("make node", name);
    }
    RETURN_IF_ERROR(Own(level, child, name, info));
    if (fchmodat(level.to.get(), child.c_str(), info.st_mode & 07777, 0) != 0) {
      return ErrnoStatus("set mode of", name);
    }
    return absl::OkStatus();
  }

  static absl::Status Own(const Level& level, const std::string& child,
                          const std::string& name, const struct stat& info) {
    const timespec times[2] = {info.st_atim, info.st_mtim};
    if (fchownat(level.to.get(), child.c_str(), info.st_uid, info.st_gid,
                 AT_SYMLINK_NOFOLLOW) != 0 ||
        utimensat(level.to.get(), child.c_str(), times, AT_SYMLINK_NOFOLLOW) !=
            0) {
      return ErrnoStatus("set owner of", name);
    }
    return absl::OkStatus();
  }

  const Wanted& wanted_;
  int top_ = -1;
  std::vector<Level> levels_;
  std::map<Inode, std::string> seen_;  // files with several names: the first
  TreeUsage size_;
};

absl::StatusOr<UniqueFd> OpenTop(const std::string& path) {
  UniqueFd fd(
      open(path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!fd.ok()) return ErrnoStatus("open directory", path);
  return fd;
}

}  // namespace

absl::Status CopyFile(int from, int to, const std::string& name,
                      const Wanted& wanted) {
  if (ioctl(to, FICLONE, from) == 0) return absl::OkStatus();
  struct stat info;
  if (fstat(from, &info) != 0) return ErrnoStatus("look at", name);
  if (ftruncate(to, info.st_size) != 0) return ErrnoStatus("copy", name);
  int64_t at = 0;
  while (at < info.st_size) {
    int64_t begin = lseek(from, at, SEEK_DATA);
    if (begin < 0 && errno == ENXIO) break;  // a hole to the end
    int64_t end = begin < 0 ? -1 : lseek(from, begin, SEEK_HOLE);
    if (begin < 0 || end < 0) {  // it tells no holes
      begin = at;
      end = info.st_size;
    }
    RETURN_IF_ERROR(CopyRange(from, to, begin, end, name, wanted));
    at = end;
  }
  return absl::OkStatus();
}

bool CanReflink(const std::string& directory) {
  UniqueFd a(open(directory.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
  UniqueFd b(open(directory.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
  return a.ok() && b.ok() && pwrite(a.get(), "x", 1, 0) == 1 &&
         ioctl(b.get(), FICLONE, a.get()) == 0;
}

absl::StatusOr<TreeUsage> CopyTree(const std::string& from,
                                   const std::string& to,
                                   const Wanted& wanted) {
  ASSIGN_OR_RETURN(UniqueFd source, OpenTop(from));
  ASSIGN_OR_RETURN(UniqueFd target, OpenTop(to));
  return Walk(wanted).Run(std::move(source), std::move(target), from);
}

}  // namespace bulwark::os
