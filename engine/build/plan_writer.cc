// Carries out a CopyPlan.
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <map>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/status.h"
#include "engine/build/copy_plan.h"
#include "os/files.h"

namespace bulwark::engine::build {
namespace {

std::pair<std::string, std::string> SplitPath(const std::string& path) {
  size_t slash = path.rfind('/');
  if (slash == std::string::npos) return {"", path};
  return {path.substr(0, slash), path.substr(slash + 1)};
}

class PlanWriter {
 public:
  PlanWriter(const CopyAttributes& attributes, const FileTree& below,
             int root_fd, const std::function<bool()>& cancelled)
      : attributes_(attributes),
        below_(below),
        root_fd_(root_fd),
        cancelled_(cancelled) {}

  absl::Status Run(const CopyPlan& plan) {
    if (!plan.directory.empty()) {
      RETURN_IF_ERROR(EnsureDirectory(plan.directory).status());
    }
    for (const CopyItem& item : plan.items) {
      if (cancelled_ != nullptr && cancelled_()) {
        return absl::CancelledError("cancelled");
      }
      RETURN_IF_ERROR_CTX(Write(item),
                          absl::StrCat("copy to /", item.destination));
    }
    return SetTimes();
  }

 private:
  static absl::Status Clash(absl::string_view path, absl::string_view what) {
    return absl::InvalidArgumentError(
        absl::StrCat("/", path, " exists, and is ", what));
  }

  absl::StatusOr<UniqueFd> OpenDirectory(const std::string& path) {
    return os::OpenInRoot(root_fd_, path.empty() ? "." : path,
                          O_RDONLY | O_DIRECTORY);
  }

  // Makes a directory of the image present in the layer, with its parents; its
  // real path, since a link below may lead elsewhere.
  absl::StatusOr<std::string> EnsureDirectory(const std::string& path) {
    if (path.empty()) return std::string();
    auto known = directories_.find(path);
    if (known != directories_.end()) return known->second;
    auto [parent_path, name] = SplitPath(path);
    ASSIGN_OR_RETURN(std::string parent, EnsureDirectory(parent_path));
    std::string real = parent.empty() ? name : absl::StrCat(parent, "/", name);
    absl::StatusOr<FileTree::Node> node = below_.Lookup(real, false);
    if (node.ok() && S_ISLNK(node->stat.st_mode)) {
      ASSIGN_OR_RETURN(std::string target, below_.Resolve(real));
      ASSIGN_OR_RETURN(real, EnsureDirectory(target));
      directories_[path] = real;
      return real;
    }
    if (node.ok() && !node->IsDirectory())
      return Clash(real, "not a directory");
    ASSIGN_OR_RETURN(const bool is_new, MakeDirectory(parent, name));
    if (node.ok()) {
      RETURN_IF_ERROR(TakeOver(*node, real));
    } else {
      if (is_new) RETURN_IF_ERROR(GiveAway(real));
      times_.emplace_back(real, timespec{0, 0});
    }
    directories_[path] = real;
    return real;
  }

  // Whether it was not there.
  absl::StatusOr<bool> MakeDirectory(const std::string& parent,
                                     const std::string& name) {
    ASSIGN_OR_RETURN(UniqueFd fd, OpenDirectory(parent));
    if (mkdirat(fd.get(), name.c_str(), 0755) == 0) {
      if (fchmodat(fd.get(), name.c_str(), 0755, 0) != 0) {
        return ErrnoStatus("set mode of", name);
      }
      return true;
    }
    struct stat st;
    if (errno == EEXIST &&
        fstatat(fd.get(), name.c_str(), &st, AT_SYMLINK_NOFOLLOW) == 0) {
      if (S_ISDIR(st.st_mode)) return false;
      return Clash(name, "not a directory");
    }
    return ErrnoStatus("make directory", name);
  }

  // A directory that is made on the way belongs to whom the copy does.
  absl::Status GiveAway(const std::string& real) {
    if (!attributes_.owner.has_value()) return absl::OkStatus();
    ASSIGN_OR_RETURN(UniqueFd fd, OpenDirectory(real));
    if (fchown(fd.get(), attributes_.owner->uid, attributes_.owner->gid) != 0) {
      return ErrnoStatus("set owner of", real);
    }
    return absl::OkStatus();
  }

  // Gives the layer's directory the attributes of the one below.
  absl::Status TakeOver(const FileTree::Node& node, const std::string& real) {
    ASSIGN_OR_RETURN(UniqueFd fd, OpenDirectory(real));
    if (fchown(fd.get(), node.stat.st_uid, node.stat.st_gid) != 0 ||
        fchmod(fd.get(), node.stat.st_mode & 07777) != 0) {
      return ErrnoStatus("set owner and mode of", real);
    }
    times_.emplace_back(real, node.stat.st_mtim);
    return absl::OkStatus();
  }

  absl::Status Write(const CopyItem& item) {
    if (item.node.IsDirectory()) return WriteDirectory(item);
    auto [parent_path, name] = SplitPath(item.destination);
    ASSIGN_OR_RETURN(std::string parent, EnsureDirectory(parent_path));
    std::string real = parent.empty() ? name : absl::StrCat(parent, "/", name);
    absl::StatusOr<FileTree::Node> node = below_.Lookup(real, false);
    if (node.ok() && node->IsDirectory()) return Clash(real, "a directory");
    ASSIGN_OR_RETURN(UniqueFd fd, OpenDirectory(parent));
    if (unlinkat(fd.get(), name.c_str(), 0) != 0 && errno != ENOENT) {
      return errno == EISDIR ? Clash(real, "a directory")
                             : ErrnoStatus("replace", real);
    }
    if (S_ISLNK(item.node.stat.st_mode)) return WriteLink(item, fd.get(), name);
    if (S_ISFIFO(item.node.stat.st_mode)) {
      return WriteFifo(item, fd.get(), name);
    }
    ASSIGN_OR_RETURN(const bool linked,
                     LinkToFirst(item, fd.get(), name, real));
    if (linked) return absl::OkStatus();
    return WriteFile(item, fd.get(), name);
  }

  absl::Status WriteDirectory(const CopyItem& item) {
    ASSIGN_OR_RETURN(std::string real, EnsureDirectory(item.destination));
    if (real.empty()) return absl::OkStatus();
    if (item.keep_existing && below_.Lookup(real, false).ok()) {
      return absl::OkStatus();
    }
    ASSIGN_OR_RETURN(UniqueFd fd, OpenDirectory(real));
    times_.emplace_back(real, item.node.stat.st_mtim);
    return SetAttributes(item, fd.get());
  }

  absl::Status WriteLink(const CopyItem& item, int parent,
                         const std::string& name) {
    ASSIGN_OR_RETURN(std::string target, item.tree->ReadLink(item.node));
    Owner owner = OwnerOf(item);
    timespec times[2] = {item.node.stat.st_mtim, item.node.stat.st_mtim};
    if (symlinkat(target.c_str(), parent, name.c_str()) != 0 ||
        fchownat(parent, name.c_str(), owner.uid, owner.gid,
                 AT_SYMLINK_NOFOLLOW) != 0 ||
        utimensat(parent, name.c_str(), times, AT_SYMLINK_NOFOLLOW) != 0) {
      return ErrnoStatus("make link", name);
    }
    return absl::OkStatus();
  }

  absl::Status WriteFifo(const CopyItem& item, int parent,
                         const std::string& name) {
    const Owner owner = OwnerOf(item);
    timespec times[2] = {item.node.stat.st_mtim, item.node.stat.st_mtim};
    if (mkfifoat(parent, name.c_str(), 0600) != 0 ||
        fchownat(parent, name.c_str(), owner.uid, owner.gid,
                 AT_SYMLINK_NOFOLLOW) != 0 ||
        fchmodat(parent, name.c_str(), ModeOf(item), 0) != 0 ||
        utimensat(parent, name.c_str(), times, AT_SYMLINK_NOFOLLOW) != 0) {
      return ErrnoStatus("make pipe", name);
    }
    return absl::OkStatus();
  }

  // Further names of a file that was written already.
  absl::StatusOr<bool> LinkToFirst(const CopyItem& item, int parent,
                                   const std::string& name,
                                   const std::string& real) {
    const struct stat& st = item.node.stat;
    if (st.st_nlink <= 1) return false;
    const auto [it, is_first] =
        first_names_.try_emplace({st.st_dev, st.st_ino}, real);
    if (is_first) return false;
    auto [directory, first] = SplitPath(it->second);
    ASSIGN_OR_RETURN(UniqueFd fd, OpenDirectory(directory));
    if (linkat(fd.get(), first.c_str(), parent, name.c_str(), 0) == 0) {
      return true;
    }
    // It was replaced meanwhile, or has as many names as it can have.
    if (errno == ENOENT || errno == EMLINK) return false;
    return ErrnoStatus("link", name);
  }

  absl::Status WriteFile(const CopyItem& item, int parent,
                         const std::string& name) {
    ASSIGN_OR_RETURN(UniqueFd from, item.tree->OpenFile(item.node));
    UniqueFd to(openat(parent, name.c_str(),
                       O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
                       0600));
    if (!to.ok()) return ErrnoStatus("create", name);
    for (;;) {
      ssize_t n = copy_file_range(from.get(), nullptr, to.get(), nullptr,
                                  int64_t{1} << 30, 0);
      if (n == 0) break;
      if (n < 0 && (errno == EXDEV || errno == EINVAL || errno == ENOSYS ||
                    errno == EOPNOTSUPP)) {
        RETURN_IF_ERROR(CopyByHand(from.get(), to.get(), name));
        break;
      }
      if (n < 0) return ErrnoStatus("copy", name);
    }
    RETURN_IF_ERROR(SetAttributes(item, to.get()));
    RETURN_IF_ERROR(CopyXattrs(from.get(), to.get(), name));
    timespec times[2] = {item.node.stat.st_mtim, item.node.stat.st_mtim};
    if (futimens(to.get(), times) != 0) return ErrnoStatus("set time of", name);
    return absl::OkStatus();
  }

  static absl::Status CopyByHand(int from, int to, const std::string& name) {
    std::vector<char> buffer(256 << 10);
    for (;;) {
      ssize_t n = read(from, buffer.data(), buffer.size());
      if (n < 0) return ErrnoStatus("read", name);
      if (n == 0) return absl::OkStatus();
      RETURN_IF_ERROR(
          os::WriteAll(to, absl::string_view(buffer.data(), n), name));
    }
  }

  static absl::Status CopyXattrs(int from, int to, const std::string& name) {
    char names[16 << 10];
    const ssize_t size = flistxattr(from, names, sizeof(names));
    if (size <= 0) return absl::OkStatus();  // none, or not to be had
    std::vector<char> value(64 << 10);
    for (absl::string_view key : absl::StrSplit(absl::string_view(names, size),
                                                '\0', absl::SkipEmpty())) {
      const std::string text(key);
      // Those that a layer may have.
      if (text != "security.capability" &&
          (!absl::StartsWith(key, "user.") ||
           absl::StartsWith(key, "user.overlay."))) {
        continue;
      }
      const ssize_t n =
          fgetxattr(from, text.c_str(), value.data(), value.size());
      if (n >= 0 && fsetxattr(to, text.c_str(), value.data(), n, 0) != 0) {
        return ErrnoStatus(absl::StrCat("set ", text, " of"), name);
      }
    }
    return absl::OkStatus();
  }

  Owner OwnerOf(const CopyItem& item) const {
    if (item.keep_owner && !attributes_.owner_asked_for) {
      return {item.node.stat.st_uid, item.node.stat.st_gid};
    }
    return attributes_.owner.value_or(
        Owner{item.node.stat.st_uid, item.node.stat.st_gid});
  }

  mode_t ModeOf(const CopyItem& item) const {
    const mode_t mode = item.node.stat.st_mode;
    return attributes_.mode.has_value() ? attributes_.mode->Apply(mode)
                                        : mode & 07777;
  }

  absl::Status SetAttributes(const CopyItem& item, int fd) {
    Owner owner = OwnerOf(item);
    if (fchown(fd, owner.uid, owner.gid) != 0 ||
        fchmod(fd, ModeOf(item)) != 0) {
      return ErrnoStatus("set owner and mode of", item.destination);
    }
    return absl::OkStatus();
  }

  // Last, since making entries changes the times of directories.
  absl::Status SetTimes() {
    for (const auto& [path, time] : times_) {
      ASSIGN_OR_RETURN(UniqueFd fd, OpenDirectory(path));
      timespec times[2] = {time, time};
      if (futimens(fd.get(), times) != 0) {
        return ErrnoStatus("set time of", path);
      }
    }
    return absl::OkStatus();
  }

  const CopyAttributes& attributes_;
  const FileTree& below_;
  const int root_fd_;
  const std::function<bool()>& cancelled_;
  std::map<std::string, std::string> directories_;  // as asked -> real
  // Of files with several names, where the first was written.
  std::map<std::pair<dev_t, ino_t>, std::string> first_names_;
  std::vector<std::pair<std::string, timespec>> times_;
};

}  // namespace

absl::Status WritePlan(const CopyPlan& plan, const CopyAttributes& attributes,
                       const FileTree& below, int root_fd,
                       const std::function<bool()>& cancelled) {
  return PlanWriter(attributes, below, root_fd, cancelled).Run(plan);
}

}  // namespace bulwark::engine::build
