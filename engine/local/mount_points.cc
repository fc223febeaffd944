#include "engine/local/mount_points.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <iterator>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "base/unique_fd.h"
#include "engine/standard_mounts.h"
#include "os/files.h"

namespace bulwark::engine {
namespace {

std::vector<std::string> Folders() {
  std::vector<std::string> folders = {"", "/etc"};
  folders.insert(folders.end(), std::begin(kMountedFolders),
                 std::end(kMountedFolders));
  return folders;
}

absl::Status Changed(const std::string& path) {
  return absl::FailedPreconditionError(
      absl::StrCat(path,
                   " is not as it was made, and every container would have it; "
                   "remove it, and start the daemon again"));
}

absl::Status CheckFile(const std::string& path, mode_t type, mode_t mode) {
  struct stat st;
  if (lstat(path.c_str(), &st) != 0) return ErrnoStatus("stat", path);
  if ((st.st_mode & S_IFMT) != type || (type == S_IFREG && st.st_size != 0)) {
    return Changed(path);
  }
  // Not so if our umask was in the way.
  if ((st.st_mode & 07777) != mode && chmod(path.c_str(), mode) != 0) {
    return ErrnoStatus("set the mode of", path);
  }
  return absl::OkStatus();
}

// Nothing but what is made here.
absl::Status CheckFolder(const std::string& root, const std::string& folder) {
  ASSIGN_OR_RETURN(const std::vector<std::string> names,
                   os::ListDir(root + folder));
  const std::vector<std::string> folders = Folders();
  for (const std::string& name : names) {
    const std::string path = absl::StrCat(folder, "/", name);
    const auto is_it = [&](absl::string_view ours) { return path == ours; };
    if (std::none_of(folders.begin(), folders.end(), is_it) &&
        std::none_of(std::begin(kMountedFiles), std::end(kMountedFiles),
                     is_it)) {
      return Changed(root + path);
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status MakeMountPoints(const std::string& root) {
  for (const std::string& name : Folders()) {
    const std::string path = root + name;
    if (mkdir(path.c_str(), 0755) != 0 && errno != EEXIST) {
      return ErrnoStatus("make", path);
    }
    RETURN_IF_ERROR(CheckFile(path, S_IFDIR, 0755));
  }
  for (const char* name : kMountedFiles) {
    const std::string path = root + name;
    UniqueFd fd(
        open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644));
    if (!fd.ok() && errno != EEXIST) return ErrnoStatus("create", path);
    RETURN_IF_ERROR(CheckFile(path, S_IFREG, 0644));
  }
  for (const std::string& name : Folders()) {
    RETURN_IF_ERROR(CheckFolder(root, name));
  }
  return absl::OkStatus();
}

}  // namespace bulwark::engine
