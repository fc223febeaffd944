#include "os/files.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <memory>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/status.h"

namespace bulwark::os {
namespace {

std::string ParentOf(const std::string& path) {
  size_t slash = path.find_last_of('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

absl::StatusOr<UniqueFd> OpenDir(const std::string& path) {
  UniqueFd fd(open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd.ok()) return ErrnoStatus("open directory", path);
  return fd;
}

// A name for a temporary file that no other thread or process uses.
std::string TemporaryName(absl::string_view base) {
  static std::atomic<uint64_t> counter{0};
  return absl::StrCat(base, ".", getpid(), "-", counter.fetch_add(1), ".tmp");
}

absl::Status WriteAndSync(int fd, absl::string_view contents, mode_t mode,
                          const std::string& path) {
  RETURN_IF_ERROR(WriteAll(fd, contents, path));
  if (fchmod(fd, mode) != 0) return ErrnoStatus("set mode of", path);
  if (fsync(fd) != 0) return ErrnoStatus("flush", path);
  return absl::OkStatus();
}

absl::StatusOr<UniqueFd> OpenChildDir(int dir_fd, const std::string& name) {
  open_how how = {};
  how.flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
  how.resolve = RESOLVE_NO_XDEV | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_SYMLINKS;
  UniqueFd fd(static_cast<int>(
      syscall(SYS_openat2, dir_fd, name.c_str(), &how, sizeof(how))));
  if (fd.ok()) return fd;
  if (errno == EXDEV) {
    return absl::FailedPreconditionError(
        absl::StrCat("remove ", name, ": it is a mount point"));
  }
  return ErrnoStatus("open directory", name);
}

// Deeper than this, a directory is first moved up to the top.
constexpr size_t kMaxOpenLevels = 64;

// One directory being emptied: its name in its parent, and what is left to do.
struct Level {
  UniqueFd fd;
  std::string name;
  std::vector<std::string> children;
};

// Removes everything inside `top`.
class TreeRemover {
 public:
  explicit TreeRemover(int top) : top_(top) {}

  absl::Status Run() {
    do {  // once more for each round of directories that were moved up
      moved_up_ = false;
      ASSIGN_OR_RETURN(std::vector<std::string> names, ListDirFd(top_, "tree"));
      for (const std::string& name : names) {
        RETURN_IF_ERROR(RemoveChild(top_, name));
        RETURN_IF_ERROR(EmptyStack());
      }
    } while (moved_up_);
    return absl::OkStatus();
  }

 private:
  absl::Status EmptyStack() {
    while (!stack_.empty()) {
      Level& level = stack_.back();
      if (!level.children.empty()) {
        std::string child = std::move(level.children.back());
        level.children.pop_back();
        RETURN_IF_ERROR(RemoveChild(level.fd.get(), child));
        continue;
      }
      std::string name = std::move(level.name);
      stack_.pop_back();
      int parent = stack_.empty() ? top_ : stack_.back().fd.get();
      if (unlinkat(parent, name.c_str(), AT_REMOVEDIR) != 0 &&
          errno != ENOENT) {
        return ErrnoStatus("remove directory", name);
      }
    }
    return absl::OkStatus();
  }

  // Removes `name`, or pushes it on the stack if it is a directory with
  // contents.
  absl::Status RemoveChild(int fd, const std::string& name) {
    if (unlinkat(fd, name.c_str(), 0) == 0 || errno == ENOENT) {
      return absl::OkStatus();
    }
    if (errno != EISDIR && errno != EPERM) return ErrnoStatus("remove", name);
    if (unlinkat(fd, name.c_str(), AT_REMOVEDIR) == 0) return absl::OkStatus();
    if (errno != ENOTEMPTY && errno != EEXIST && errno != EBUSY) {
      return ErrnoStatus("remove directory", name);
    }
    if (stack_.size() >= kMaxOpenLevels) {
      std::string moved = TemporaryName("bulwark-removed");
      if (renameat(fd, name.c_str(), top_, moved.c_str()) != 0) {
        return ErrnoStatus("move up", name);
      }
      moved_up_ = true;
      return absl::OkStatus();
    }
    ASSIGN_OR_RETURN(UniqueFd child, OpenChildDir(fd, name));
    ASSIGN_OR_RETURN(std::vector<std::string> children,
                     ListDirFd(child.get(), name));
    stack_.push_back({std::move(child), name, std::move(children)});
    return absl::OkStatus();
  }

  int top_;
  std::vector<Level> stack_;
  bool moved_up_ = false;
};

}  // namespace

absl::Status WriteAll(int fd, absl::string_view data, absl::string_view name) {
  while (!data.empty()) {
    ssize_t n = write(fd, data.data(), data.size());
    if (n < 0) {
      if (errno == EINTR) continue;
      return ErrnoStatus("write", name);
    }
    data.remove_prefix(n);
  }
  return absl::OkStatus();
}

absl::Status WriteFileDurably(const std::string& path,
                              absl::string_view contents, mode_t mode) {
  std::string temporary = TemporaryName(path);
  UniqueFd fd(open(temporary.c_str(),
                   O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!fd.ok()) return ErrnoStatus("create", temporary);
  absl::Status status = WriteAndSync(fd.get(), contents, mode, temporary);
  if (status.ok() && rename(temporary.c_str(), path.c_str()) != 0) {
    status = ErrnoStatus("rename to", path);
  }
  if (!status.ok()) {
    unlink(temporary.c_str());
    return status;
  }
  return SyncDir(ParentOf(path));
}

absl::StatusOr<std::string> ReadFile(const std::string& path,
                                     int64_t max_bytes) {
  UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!fd.ok()) return ErrnoStatus("open", path);
  struct stat st;
  if (fstat(fd.get(), &st) != 0) return ErrnoStatus("stat", path);
  if (!S_ISREG(st.st_mode)) {
    return absl::FailedPreconditionError(
        absl::StrCat("read ", path, ": not a regular file"));
  }
  return ReadFd(fd.get(), path, max_bytes);
}

absl::StatusOr<std::string> ReadFd(int fd, absl::string_view name,
                                   int64_t max_bytes) {
  std::string result;
  char buffer[16384];
  for (;;) {
    ssize_t n = pread(fd, buffer, sizeof(buffer), result.size());
    if (n < 0) {
      if (errno == EINTR) continue;
      return ErrnoStatus("read", name);
    }
    if (n == 0) return result;
    if (static_cast<int64_t>(result.size()) + n > max_bytes) {
      return absl::ResourceExhaustedError(absl::StrCat(
          "read ", name, ": larger than the limit of ", max_bytes, " bytes"));
    }
    result.append(buffer, n);
  }
}

absl::Status MakeDirs(const std::string& path, mode_t mode) {
  if (mkdir(path.c_str(), mode) == 0) return absl::OkStatus();
  if (errno == ENOENT) {
    std::string parent = ParentOf(path);
    if (parent == path) return ErrnoStatus("make directory", path);
    RETURN_IF_ERROR(MakeDirs(parent, mode));
    if (mkdir(path.c_str(), mode) == 0) return absl::OkStatus();
  }
  int error = errno;
  struct stat st;
  if (error == EEXIST && stat(path.c_str(), &st) == 0 && S_ISDIR(st.st_mode)) {
    return absl::OkStatus();
  }
  return ErrnoStatus(error, "make directory", path);
}

absl::Status SyncDir(const std::string& path) {
  ASSIGN_OR_RETURN(UniqueFd fd, OpenDir(path));
  if (fsync(fd.get()) != 0) return ErrnoStatus("flush directory", path);
  return absl::OkStatus();
}

absl::Status SyncFs(const std::string& path) {
  UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd.ok()) return ErrnoStatus("open", path);
  if (syncfs(fd.get()) != 0) return ErrnoStatus("flush file system of", path);
  return absl::OkStatus();
}

absl::Status RemoveTree(const std::string& path) {
  std::string trimmed = path;
  while (trimmed.size() > 1 && trimmed.back() == '/') trimmed.pop_back();
  UniqueFd parent(
      open(ParentOf(trimmed).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!parent.ok()) {
    if (errno == ENOENT) return absl::OkStatus();
    return ErrnoStatus("open directory", ParentOf(trimmed));
  }
  size_t slash = trimmed.find_last_of('/');
  return Annotate(RemoveTreeAt(parent.get(), slash == std::string::npos
                                                 ? trimmed
                                                 : trimmed.substr(slash + 1)),
                  absl::StrCat("remove ", path));
}

absl::Status RemoveTreeAt(int dir_fd, const std::string& name) {
  if (name.empty() || name == "." || name == ".." ||
      absl::StrContains(name, "/")) {
    return absl::InvalidArgumentError(
        absl::StrCat("remove \"", name, "\": not a name in a directory"));
  }
  if (unlinkat(dir_fd, name.c_str(), 0) == 0 || errno == ENOENT) {
    return absl::OkStatus();
  }
  if (errno != EISDIR && errno != EPERM) return ErrnoStatus("remove", name);
  ASSIGN_OR_RETURN(UniqueFd top, OpenChildDir(dir_fd, name));
  RETURN_IF_ERROR(TreeRemover(top.get()).Run());
  if (unlinkat(dir_fd, name.c_str(), AT_REMOVEDIR) != 0 && errno != ENOENT) {
    return ErrnoStatus("remove directory", name);
  }
  return absl::OkStatus();
}

absl::StatusOr<UniqueFd> OpenInRoot(int root_fd, const std::string& path,
                                    int flags, mode_t mode) {
  open_how how = {};
  how.flags = static_cast<uint64_t>(flags) | O_CLOEXEC;
  how.mode = mode;
  how.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS;
  for (int attempt = 0;; ++attempt) {
    UniqueFd fd(static_cast<int>(
        syscall(SYS_openat2, root_fd, path.c_str(), &how, sizeof(how))));
    if (fd.ok()) return fd;
    // EAGAIN: something was renamed on the way while ".." was resolved.
    if (errno != EINTR && !(errno == EAGAIN && attempt < 64)) {
      return ErrnoStatus("open", path);
    }
  }
}

absl::StatusOr<std::vector<std::string>> ListDir(const std::string& path) {
  ASSIGN_OR_RETURN(UniqueFd fd, OpenDir(path));
  return ListDirFd(fd.get(), path);
}

absl::StatusOr<std::vector<std::string>> ListDirFd(int dir_fd,
                                                   absl::string_view name) {
  UniqueFd own(openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!own.ok()) return ErrnoStatus("open directory", name);
  std::unique_ptr<DIR, int (*)(DIR*)> dir(fdopendir(own.get()), closedir);
  if (dir == nullptr) return ErrnoStatus("open directory", name);
  own.Release();  // closedir closes it
  std::vector<std::string> names;
  errno = 0;
  while (const dirent* entry = readdir(dir.get())) {
    absl::string_view entry_name = entry->d_name;
    if (entry_name != "." && entry_name != "..") {
      names.emplace_back(entry_name);
    }
  }
  if (errno != 0) return ErrnoStatus("list directory", name);
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace bulwark::os
