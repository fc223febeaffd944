#include "engine/local/overlay_view.h"

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <iterator>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "engine/standard_mounts.h"
#include "os/files.h"

namespace bulwark::engine {
namespace {

constexpr int kMaxDepth = 256;  // each level holds descriptors

// Whether a launch may have made it in the writable layer for its own mounts.
bool IsOfLaunch(const std::string& path) {
  const auto is_it = [&](const char* place) { return path == place; };
  return path == "/run/secrets" ||
         std::any_of(std::begin(kMountedFolders), std::end(kMountedFolders),
                     is_it) ||
         std::any_of(std::begin(kMountedFiles), std::end(kMountedFiles), is_it);
}

bool IsWhiteout(const struct stat& st) {
  return S_ISCHR(st.st_mode) && st.st_rdev == 0;
}

bool IsOpaque(int fd) {
  char value = 0;
  return fgetxattr(fd, "trusted.overlay.opaque", &value, 1) == 1 &&
         value == 'y';
}

UniqueFd OpenFolder(int parent, const std::string& name) {
  return UniqueFd(openat(parent, name.c_str(),
                         O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
}

// One folder as the layers below have it, topmost first.
using Below = std::vector<UniqueFd>;

bool Exists(const Below& below, const std::string& name) {
  for (const UniqueFd& layer : below) {
    struct stat st;
    if (fstatat(layer.get(), name.c_str(), &st, AT_SYMLINK_NOFOLLOW) != 0) {
      continue;
    }
    return !IsWhiteout(st);
  }
  return false;
}

Below Descend(const Below& below, const std::string& name) {
  Below child;
  for (const UniqueFd& layer : below) {
    struct stat st;
    if (fstatat(layer.get(), name.c_str(), &st, AT_SYMLINK_NOFOLLOW) != 0) {
      continue;
    }
    if (!S_ISDIR(st.st_mode)) break;
    UniqueFd fd = OpenFolder(layer.get(), name);
    if (!fd.ok()) break;
    const bool opaque = IsOpaque(fd.get());
    child.push_back(std::move(fd));
    if (opaque) break;
  }
  return child;
}

std::set<std::string> NamesOf(const Below& below) {
  std::set<std::string> names;
  for (const UniqueFd& layer : below) {
    const auto listed = os::ListDirFd(layer.get(), "layer");
    if (listed.ok()) names.insert(listed->begin(), listed->end());
  }
  return names;
}

class Differ {
 public:
  absl::Status Folder(int upper, const std::string& path, const Below& below,
                      int depth) {
    if (depth >= kMaxDepth) {
      return absl::FailedPreconditionError(
          absl::StrCat("compare ", path, ": folders deeper than ", kMaxDepth));
    }
    ASSIGN_OR_RETURN(const std::vector<std::string> names,
                     os::ListDirFd(upper, path));
    for (const std::string& name : names) {
      RETURN_IF_ERROR(
          Entry(upper, name, absl::StrCat(path, "/", name), below, depth));
    }
    if (!IsOpaque(upper)) return absl::OkStatus();
    // Nothing shows through: what it does not have is gone.
    const std::set<std::string> kept(names.begin(), names.end());
    for (const std::string& name : NamesOf(below)) {
      if (kept.count(name) == 0 && Exists(below, name)) {
        Add(FileChange::Kind::kDeleted, absl::StrCat(path, "/", name));
      }
    }
    return absl::OkStatus();
  }

  std::vector<FileChange> Take() {
    std::sort(changes_.begin(), changes_.end(),
              [](const FileChange& a, const FileChange& b) {
                return a.path < b.path;
              });
    return std::move(changes_);
  }

 private:
  absl::Status Entry(int upper, const std::string& name,
                     const std::string& path, const Below& below, int depth) {
    if (IsOfLaunch(path)) return absl::OkStatus();
    struct stat st;
    if (fstatat(upper, name.c_str(), &st, AT_SYMLINK_NOFOLLOW) != 0) {
      return errno == ENOENT ? absl::OkStatus() : ErrnoStatus("stat", path);
    }
    if (IsWhiteout(st)) {
      Add(FileChange::Kind::kDeleted, path);
      return absl::OkStatus();
    }
    Add(Exists(below, name) ? FileChange::Kind::kChanged
                            : FileChange::Kind::kAdded,
        path);
    if (!S_ISDIR(st.st_mode)) return absl::OkStatus();
    const UniqueFd fd = OpenFolder(upper, name);
    if (!fd.ok()) {
      return errno == ENOENT ? absl::OkStatus() : ErrnoStatus("open", path);
    }
    return Folder(fd.get(), path, Descend(below, name), depth + 1);
  }

  void Add(FileChange::Kind kind, std::string path) {
    changes_.push_back({kind, std::move(path)});
  }

  std::vector<FileChange> changes_;
};

absl::StatusOr<UniqueFd> OpenLayer(const std::string& path) {
  UniqueFd fd(open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd.ok()) return ErrnoStatus("open layer", path);
  return fd;
}

}  // namespace

absl::StatusOr<UniqueFd> MountLayers(const std::string& upper,
                                     const std::vector<std::string>& layers) {
  std::vector<UniqueFd> lower;
  ASSIGN_OR_RETURN(UniqueFd top, OpenLayer(upper));
  if (layers.empty()) return top;
  lower.push_back(std::move(top));
  for (auto it = layers.rbegin(); it != layers.rend(); ++it) {
    ASSIGN_OR_RETURN(UniqueFd layer, OpenLayer(*it));
    lower.push_back(std::move(layer));
  }
  const UniqueFd fs(
      static_cast<int>(syscall(SYS_fsopen, "overlay", FSOPEN_CLOEXEC)));
  if (!fs.ok()) return ErrnoStatus("open", "overlay");
  for (const UniqueFd& layer : lower) {
    const std::string path = absl::StrCat("/proc/self/fd/", layer.get());
    if (syscall(SYS_fsconfig, fs.get(), FSCONFIG_SET_STRING, "lowerdir+",
                path.c_str(), 0) == 0) {
      continue;
    }
    if (errno == EINVAL && &layer == &lower.front()) {
      return absl::FailedPreconditionError(
          "show layers: the kernel is too old for that (6.5 is needed); start "
          "the container to reach its files");
    }
    return ErrnoStatus("stack", path);
  }
  if (syscall(SYS_fsconfig, fs.get(), FSCONFIG_CMD_CREATE, nullptr, nullptr,
              0) != 0) {
    return ErrnoStatus("stack layers of", upper);
  }
  UniqueFd mount(static_cast<int>(
      syscall(SYS_fsmount, fs.get(), FSMOUNT_CLOEXEC,
              MOUNT_ATTR_RDONLY | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOSUID)));
  if (!mount.ok()) return ErrnoStatus("mount layers of", upper);
  return mount;
}

absl::StatusOr<std::vector<FileChange>> DiffLayers(
    const std::string& upper, const std::vector<std::string>& layers) {
  ASSIGN_OR_RETURN(const UniqueFd top, OpenLayer(upper));
  Below below;
  for (auto it = layers.rbegin(); it != layers.rend(); ++it) {
    ASSIGN_OR_RETURN(UniqueFd layer, OpenLayer(*it));
    below.push_back(std::move(layer));
  }
  Differ differ;
  RETURN_IF_ERROR(differ.Folder(top.get(), "", below, 0));
  return differ.Take();
}

}  // namespace bulwark::engine
