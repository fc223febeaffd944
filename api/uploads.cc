#include "api/uploads.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>
#include <filesystem>
#include <system_error>

#include "absl/strings/str_cat.h"
#include "base/log.h"
#include "base/status.h"
#include "base/units.h"

namespace bulwark::api {
namespace {

namespace fs = std::filesystem;

absl::Status RemoveTree(const std::string& path) {
  std::error_code error;
  fs::remove_all(path, error);
  if (error) return ErrnoStatus(error.value(), "remove", path);
  return absl::OkStatus();
}

}  // namespace

absl::Status UploadFile::Append(absl::string_view data) {
  if (static_cast<int64_t>(data.size()) > limit_ - size_) {
    return absl::ResourceExhaustedError(absl::StrCat(
        "receive upload: it is larger than ", FormatBytes(limit_)));
  }
  while (!data.empty()) {
    const ssize_t n = write(fd_.get(), data.data(), data.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return ErrnoStatus("write", "upload");
    data.remove_prefix(static_cast<size_t>(n));
    size_ += n;
  }
  return absl::OkStatus();
}

absl::Status UploadFile::Rewind() {
  if (lseek(fd_.get(), 0, SEEK_SET) < 0)
    return ErrnoStatus("seek in", "upload");
  return absl::OkStatus();
}

UploadDir::~UploadDir() {
  // What stays is removed at the next start.
  const absl::Status status = RemoveTree(path_);
  if (!status.ok()) LOG_WARN("upload is left behind", {{"error", status}});
}

absl::Status Uploads::Prepare() {
  std::error_code error;
  fs::create_directories(path_, error);
  if (error) return ErrnoStatus(error.value(), "make", path_);
  if (chmod(path_.c_str(), 0700) != 0) return ErrnoStatus("chmod", path_);
  for (auto it = fs::directory_iterator(path_, error);
       !error && it != fs::directory_iterator(); it.increment(error)) {
    RETURN_IF_ERROR(RemoveTree(it->path()));
  }
  return error ? ErrnoStatus(error.value(), "list", path_) : absl::OkStatus();
}

absl::StatusOr<UploadFile> Uploads::NewFile(int64_t limit) {
  UniqueFd fd(open(path_.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
  if (fd.ok()) return UploadFile(std::move(fd), limit);
  if (errno != EOPNOTSUPP && errno != EISDIR && errno != ENOENT) {
    return ErrnoStatus("make a file in", path_);
  }
  // A file system without O_TMPFILE.
  const std::string name = absl::StrCat(path_, "/file-", NewUid(entropy_));
  fd.Reset(open(name.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (!fd.ok()) return ErrnoStatus("make", name);
  if (unlink(name.c_str()) != 0) return ErrnoStatus("unlink", name);
  return UploadFile(std::move(fd), limit);
}

absl::StatusOr<std::unique_ptr<UploadDir>> Uploads::NewDir() {
  const std::string name = absl::StrCat(path_, "/dir-", NewUid(entropy_));
  if (mkdir(name.c_str(), 0700) != 0) return ErrnoStatus("make", name);
  return std::make_unique<UploadDir>(name);
}

}  // namespace bulwark::api
