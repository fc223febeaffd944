#include "engine/image/tree_diff.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstring>
#include <map>
#include <set>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/status.h"
#include "base/unique_fd.h"
#include "os/files.h"

namespace bulwark::engine::image {
namespace {

using Attributes = std::map<std::string, std::string>;

constexpr size_t kBuffer = 128 << 10;
constexpr size_t kMaxAttribute = 64 << 10;
constexpr int kDirectory = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;

bool IsWhiteout(const struct stat& st) {
  return S_ISCHR(st.st_mode) && st.st_rdev == 0;
}

// What no layer holds, but the writable directory that became one may.
bool IsForeign(const struct stat& st) {
  return S_ISSOCK(st.st_mode) || S_ISBLK(st.st_mode) ||
         (S_ISCHR(st.st_mode) && st.st_rdev != 0);
}

bool BelongsToLayers(absl::string_view name) {
  return name == "security.capability" || name == "trusted.overlay.opaque" ||
         (absl::StartsWith(name, "user.") &&
          !absl::StartsWith(name, "user.overlay."));
}

absl::StatusOr<Attributes> AttributesOf(int fd, const std::string& path) {
  Attributes result;
  std::vector<char> names(kMaxAttribute);
  const ssize_t size = flistxattr(fd, names.data(), names.size());
  if (size < 0 && errno == ENOTSUP) return result;
  if (size < 0) return ErrnoStatus("list the attributes of", path);
  for (absl::string_view name : absl::StrSplit(
           absl::string_view(names.data(), static_cast<size_t>(size)), '\0',
           absl::SkipEmpty())) {
    if (!BelongsToLayers(name)) continue;
    const std::string key(name);
    std::vector<char> value(kMaxAttribute);
    const ssize_t n = fgetxattr(fd, key.c_str(), value.data(), value.size());
    if (n < 0) return ErrnoStatus("read the attributes of", path);
    result[key] = std::string(value.data(), static_cast<size_t>(n));
  }
  return result;
}

// Reads until the buffer is full or the file ends; below zero: errno.
ssize_t ReadFull(int fd, char* buffer, size_t size) {
  size_t done = 0;
  while (done < size) {
    const ssize_t n = read(fd, buffer + done, size - done);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return n;
    if (n == 0) break;
    done += static_cast<size_t>(n);
  }
  return static_cast<ssize_t>(done);
}

class Comparer {
 public:
  explicit Comparer(const std::function<bool()>& cancelled)
      : cancelled_(cancelled) {}

  absl::Status Directory(int good, int actual, const std::string& path) {
    ASSIGN_OR_RETURN(const std::vector<std::string> expected,
                     os::ListDirFd(good, path));
    ASSIGN_OR_RETURN(const std::vector<std::string> present,
                     os::ListDirFd(actual, path));
    for (const std::string& name : present) {
      struct stat st;
      if (std::binary_search(expected.begin(), expected.end(), name) ||
          fstatat(actual, name.c_str(), &st, AT_SYMLINK_NOFOLLOW) != 0 ||
          IsForeign(st)) {
        continue;
      }
      Differs(Join(path, name), "it does not belong there");
    }
    for (const std::string& name : expected) {
      if (cancelled_ != nullptr && cancelled_()) {
        return absl::CancelledError("cancelled");
      }
      RETURN_IF_ERROR(Entry(good, actual, name, Join(path, name)));
    }
    return absl::OkStatus();
  }

  std::vector<TreeDifference> Take() { return std::move(differences_); }

 private:
  static std::string Join(const std::string& path, const std::string& name) {
    return path.empty() ? name : absl::StrCat(path, "/", name);
  }
  void Differs(const std::string& path, absl::string_view what) {
    differences_.push_back({path, std::string(what)});
  }

  absl::Status Entry(int good, int actual, const std::string& name,
                     const std::string& path) {
    struct stat want, have;
    if (fstatat(good, name.c_str(), &want, AT_SYMLINK_NOFOLLOW) != 0) {
      return ErrnoStatus("stat", path);
    }
    if (fstatat(actual, name.c_str(), &have, AT_SYMLINK_NOFOLLOW) != 0) {
      Differs(path, errno == ENOENT ? "it is missing" : "it cannot be read");
      return absl::OkStatus();
    }
    const auto kind = [](const struct stat& st) { return st.st_mode & S_IFMT; };
    if (kind(want) != kind(have) || IsWhiteout(want) != IsWhiteout(have)) {
      Differs(path, "it is of another kind");
      return absl::OkStatus();
    }
    if (IsWhiteout(want)) return absl::OkStatus();
    if (want.st_uid != have.st_uid || want.st_gid != have.st_gid) {
      Differs(path,
              absl::StrCat("its owner is ", have.st_uid, ":", have.st_gid,
                           " instead of ", want.st_uid, ":", want.st_gid));
    } else if (want.st_mode != have.st_mode) {
      Differs(path, "its mode differs");
    } else if (!S_ISDIR(want.st_mode) && want.st_nlink != have.st_nlink) {
      Differs(path, "its hard links differ");
    } else if (S_ISLNK(want.st_mode)) {
      return Link(good, actual, name, path);
    } else if (S_ISREG(want.st_mode) && want.st_size != have.st_size) {
      Differs(path, "its size differs");
    } else if (S_ISREG(want.st_mode) || S_ISDIR(want.st_mode)) {
      return Open(good, actual, name, path, want);
    }
    // Its own attributes differ; what is below may, too.
    if (!S_ISDIR(want.st_mode)) return absl::OkStatus();
    return Open(good, actual, name, path, want);
  }

  absl::Status Link(int good, int actual, const std::string& name,
                    const std::string& path) {
    char want[PATH_MAX], have[PATH_MAX];
    const ssize_t n = readlinkat(good, name.c_str(), want, sizeof(want));
    if (n < 0) return ErrnoStatus("read link", path);
    const ssize_t m = readlinkat(actual, name.c_str(), have, sizeof(have));
    if (n != m || std::memcmp(want, have, static_cast<size_t>(n)) != 0) {
      Differs(path, "it points elsewhere");
    }
    return absl::OkStatus();
  }

  // A file or a directory that is there on both sides.
  absl::Status Open(int good, int actual, const std::string& name,
                    const std::string& path, const struct stat& want) {
    const bool directory = S_ISDIR(want.st_mode);
    const int flags =
        directory ? kDirectory : O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC;
    const UniqueFd a(openat(good, name.c_str(), flags));
    if (!a.ok()) return ErrnoStatus("open", path);
    const UniqueFd b(openat(actual, name.c_str(), flags));
    absl::StatusOr<Attributes> have =
        b.ok() ? AttributesOf(b.get(), path) : ErrnoStatus("open", path);
    if (!have.ok()) {
      Differs(path, "it cannot be read");
      return absl::OkStatus();
    }
    ASSIGN_OR_RETURN(const Attributes wanted, AttributesOf(a.get(), path));
    if (wanted != *have) Differs(path, "its extended attributes differ");
    if (directory) return Directory(a.get(), b.get(), path);
    if (wanted == *have) return Contents(a.get(), b.get(), path);
    return absl::OkStatus();
  }

  absl::Status Contents(int good, int actual, const std::string& path) {
    want_.resize(kBuffer);
    have_.resize(kBuffer);
    for (;;) {
      const ssize_t n = ReadFull(good, want_.data(), want_.size());
      if (n < 0) return ErrnoStatus("read", path);
      const ssize_t m = ReadFull(actual, have_.data(), have_.size());
      if (m < 0) {
        Differs(path, absl::StrCat("it cannot be read: ", strerror(errno)));
        return absl::OkStatus();
      }
      if (n != m || std::memcmp(want_.data(), have_.data(),
                                static_cast<size_t>(n)) != 0) {
        Differs(path, "its content differs");
        return absl::OkStatus();
      }
      if (n == 0) return absl::OkStatus();
    }
  }

  const std::function<bool()>& cancelled_;
  std::vector<TreeDifference> differences_;
  std::vector<char> want_, have_;
};

// A directory that keeps its times whatever is done in it.
class KeptTimes {
 public:
  explicit KeptTimes(int fd) : fd_(fd), known_(fstat(fd, &st_) == 0) {}
  ~KeptTimes() {
    const timespec times[2] = {st_.st_atim, st_.st_mtim};
    if (known_) futimens(fd_, times);
  }
  KeptTimes(const KeptTimes&) = delete;
  KeptTimes& operator=(const KeptTimes&) = delete;

 private:
  const int fd_;
  struct stat st_;
  const bool known_;
};

absl::StatusOr<UniqueFd> OpenRoot(const std::string& path) {
  UniqueFd fd(open(path.c_str(), kDirectory));
  if (!fd.ok()) return ErrnoStatus("open", path);
  return fd;
}

absl::StatusOr<UniqueFd> OpenParent(int root, const std::string& path) {
  const size_t slash = path.rfind('/');
  return os::OpenInRoot(
      root, slash == std::string::npos ? "." : path.substr(0, slash),
      O_RDONLY | O_DIRECTORY);
}

std::string NameOf(const std::string& path) {
  return path.substr(path.rfind('/') + 1);  // npos + 1 is 0
}

// Owner, mode and attributes of a directory that is there.
absl::Status CopyAttributes(int from, int to, const std::string& path) {
  struct stat st;
  if (fstat(from, &st) != 0) return ErrnoStatus("stat", path);
  ASSIGN_OR_RETURN(const Attributes wanted, AttributesOf(from, path));
  ASSIGN_OR_RETURN(const Attributes present, AttributesOf(to, path));
  for (const auto& [name, value] : present) {
    if (wanted.count(name) == 0) fremovexattr(to, name.c_str());
  }
  if (fchown(to, st.st_uid, st.st_gid) != 0 ||
      fchmod(to, st.st_mode & 07777) != 0) {
    return ErrnoStatus("set owner and mode of", path);
  }
  for (const auto& [name, value] : wanted) {
    if (fsetxattr(to, name.c_str(), value.data(), value.size(), 0) != 0) {
      return ErrnoStatus("set the attributes of", path);
    }
  }
  return absl::OkStatus();
}

absl::Status MendOne(int good, int actual, const std::string& path) {
  const std::string name = NameOf(path);
  ASSIGN_OR_RETURN(const UniqueFd to, OpenParent(actual, path));
  const KeptTimes kept(to.get());
  const absl::StatusOr<UniqueFd> from = OpenParent(good, path);
  struct stat want, have;
  const bool wanted = from.ok() && fstatat(from->get(), name.c_str(), &want,
                                           AT_SYMLINK_NOFOLLOW) == 0;
  const bool present =
      fstatat(to.get(), name.c_str(), &have, AT_SYMLINK_NOFOLLOW) == 0;
  if (!wanted) return os::RemoveTreeAt(to.get(), name);
  if (present && S_ISDIR(want.st_mode) && S_ISDIR(have.st_mode)) {
    const UniqueFd a(openat(from->get(), name.c_str(), kDirectory));
    const UniqueFd b(openat(to.get(), name.c_str(), kDirectory));
    if (!a.ok() || !b.ok()) return ErrnoStatus("open", path);
    return CopyAttributes(a.get(), b.get(), path);
  }
  // A file takes a file's place in one step; a directory cannot.
  if (present && (S_ISDIR(want.st_mode) || S_ISDIR(have.st_mode))) {
    RETURN_IF_ERROR(os::RemoveTreeAt(to.get(), name));
  }
  if (renameat(from->get(), name.c_str(), to.get(), name.c_str()) != 0) {
    return ErrnoStatus("replace", path);
  }
  return absl::OkStatus();
}

// All names of each file that has several, by inode.
absl::Status FindLinks(int dir, const std::string& path,
                       std::map<ino_t, std::vector<std::string>>& links) {
  ASSIGN_OR_RETURN(const std::vector<std::string> names,
                   os::ListDirFd(dir, path));
  for (const std::string& name : names) {
    const std::string child =
        path.empty() ? name : absl::StrCat(path, "/", name);
    struct stat st;
    if (fstatat(dir, name.c_str(), &st, AT_SYMLINK_NOFOLLOW) != 0) {
      return ErrnoStatus("stat", child);
    }
    if (S_ISDIR(st.st_mode)) {
      const UniqueFd fd(openat(dir, name.c_str(), kDirectory));
      if (!fd.ok()) return ErrnoStatus("open", child);
      RETURN_IF_ERROR(FindLinks(fd.get(), child, links));
    } else if (st.st_nlink > 1) {
      links[st.st_ino].push_back(child);
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::vector<TreeDifference>> CompareTrees(
    const std::string& good, const std::string& actual,
    const std::function<bool()>& cancelled) {
  ASSIGN_OR_RETURN(const UniqueFd a, OpenRoot(good));
  ASSIGN_OR_RETURN(const UniqueFd b, OpenRoot(actual));
  Comparer comparer(cancelled);
  RETURN_IF_ERROR(comparer.Directory(a.get(), b.get(), ""));
  return comparer.Take();
}

absl::Status MendTree(const std::string& good, const std::string& actual,
                      const std::vector<TreeDifference>& differences) {
  ASSIGN_OR_RETURN(const UniqueFd a, OpenRoot(good));
  ASSIGN_OR_RETURN(const UniqueFd b, OpenRoot(actual));
  // A file that goes takes its other names along, or they would part.
  std::map<ino_t, std::vector<std::string>> links;
  RETURN_IF_ERROR(FindLinks(a.get(), "", links));
  std::set<std::string> paths;
  for (const TreeDifference& difference : differences) {
    paths.insert(difference.path);
  }
  for (const auto& [inode, names] : links) {
    const bool one = std::any_of(
        names.begin(), names.end(),
        [&paths](const std::string& name) { return paths.count(name) > 0; });
    if (one) paths.insert(names.begin(), names.end());
  }
  for (const std::string& path : paths) {
    struct stat st;
    // It may have come with a directory above it.
    const absl::StatusOr<UniqueFd> from = OpenParent(a.get(), path);
    if (!from.ok() &&
        fstatat(b.get(), path.c_str(), &st, AT_SYMLINK_NOFOLLOW) == 0) {
      continue;
    }
    RETURN_IF_ERROR(MendOne(a.get(), b.get(), path));
  }
  return os::SyncFs(actual);
}

}  // namespace bulwark::engine::image
