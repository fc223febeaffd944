#include "engine/local/mount_points.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "base/unique_fd.h"

namespace bulwark::engine {
namespace {

constexpr const char* kFolders[] = {"", "/dev", "/etc", "/proc", "/sys"};
constexpr const char* kFiles[] = {"/etc/hostname", "/etc/hosts",
                                  "/etc/resolv.conf"};

// Whatever our umask was.
absl::Status Settle(const std::string& path, mode_t type, mode_t mode) {
  UniqueFd fd(open(path.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC));
  struct stat st;
  if (!fd.ok() || fstat(fd.get(), &st) != 0) return ErrnoStatus("open", path);
  if ((st.st_mode & S_IFMT) != type || (type == S_IFREG && st.st_size != 0)) {
    return absl::FailedPreconditionError(absl::StrCat(
        path, " is not the empty ", type == S_IFDIR ? "folder" : "file",
        " that it was made as; remove it, and start the daemon again"));
  }
  if (fchmod(fd.get(), mode) != 0) return ErrnoStatus("set the mode of", path);
  return absl::OkStatus();
}

}  // namespace

absl::Status MakeMountPoints(const std::string& root) {
  for (const char* name : kFolders) {
    const std::string path = root + name;
    if (mkdir(path.c_str(), 0755) != 0 && errno != EEXIST) {
      return ErrnoStatus("make", path);
    }
    RETURN_IF_ERROR(Settle(path, S_IFDIR, 0755));
  }
  for (const char* name : kFiles) {
    const std::string path = root + name;
    UniqueFd fd(
        open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644));
    if (!fd.ok() && errno != EEXIST) return ErrnoStatus("create", path);
    RETURN_IF_ERROR(Settle(path, S_IFREG, 0644));
  }
  return absl::OkStatus();
}

}  // namespace bulwark::engine
