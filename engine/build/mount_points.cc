#include "engine/build/mount_points.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "os/files.h"

namespace bulwark::engine::build {
namespace {

class Remover {
 public:
  Remover(const FileTree& below, int upper) : below_(below), upper_(upper) {}

  // Removes `path` and then its parents as long as they go.
  void Remove(std::string path) {
    bool removed = Leaf(path);
    while (removed) {
      const size_t slash = path.rfind('/');
      if (slash == std::string::npos) return;
      path.resize(slash);
      removed = Leaf(path);
    }
  }

 private:
  // True if it is not there (any more).
  bool Leaf(const std::string& path) {
    const size_t slash = path.rfind('/');
    const std::string parent =
        slash == std::string::npos ? "." : path.substr(0, slash);
    const std::string name =
        slash == std::string::npos ? path : path.substr(slash + 1);
    absl::StatusOr<UniqueFd> fd =
        os::OpenInRoot(upper_, parent, O_RDONLY | O_DIRECTORY);
    if (!fd.ok()) return absl::IsNotFound(fd.status());
    struct stat st;
    if (fstatat(fd->get(), name.c_str(), &st, AT_SYMLINK_NOFOLLOW) != 0) {
      return errno == ENOENT;
    }
    absl::StatusOr<FileTree::Node> old = below_.Lookup(path, false);
    if (old.ok() && !Unchanged(*old, st, path)) return false;
    // Directories only go if they are empty.
    if (S_ISDIR(st.st_mode)) {
      return unlinkat(fd->get(), name.c_str(), AT_REMOVEDIR) == 0;
    }
    if (old.ok() || !S_ISREG(st.st_mode) || st.st_size != 0) return false;
    return unlinkat(fd->get(), name.c_str(), 0) == 0;
  }

  // Whether a directory was only copied up.
  bool Unchanged(const FileTree::Node& old, const struct stat& st,
                 const std::string& path) const {
    if (!old.IsDirectory() || old.stat.st_mode != st.st_mode ||
        old.stat.st_uid != st.st_uid || old.stat.st_gid != st.st_gid) {
      return false;
    }
    absl::StatusOr<UniqueFd> fd =
        os::OpenInRoot(upper_, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
    char mark;
    return fd.ok() &&
           fgetxattr(fd->get(), "trusted.overlay.opaque", &mark, 1) != 1;
  }

  const FileTree& below_;
  const int upper_;
};

}  // namespace

absl::Status RemoveMountPoints(const FileTree& below,
                               const std::string& upper_dir,
                               const std::vector<std::string>& paths) {
  UniqueFd upper(open(upper_dir.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!upper.ok()) return ErrnoStatus("open", upper_dir);
  Remover remover(below, upper.get());
  for (const std::string& path : paths) {
    // A link on the way led the mount elsewhere.
    absl::StatusOr<std::string> real = below.Resolve(path);
    if (real.ok() && !real->empty()) remover.Remove(*std::move(real));
  }
  return absl::OkStatus();
}

}  // namespace bulwark::engine::build
