#include "ctl/output_file.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "ctl/errors.h"

namespace bulwark::ctl {
namespace {

namespace fs = std::filesystem;

std::string FolderOf(const std::string& path) {
  const std::string folder = fs::path(path).parent_path().string();
  return folder.empty() ? "." : folder;
}

// OK if a file of this name may be made.
absl::Status CheckName(const std::string& path, bool replace) {
  struct stat info;
  if (stat(path.c_str(), &info) != 0) {
    if (errno != ENOENT && errno != ENOTDIR) {
      return ErrnoStatus("look at", path);
    }
    // A link to nothing would be replaced.
    if (lstat(path.c_str(), &info) != 0) return absl::OkStatus();
  }
  if (!S_ISREG(info.st_mode)) {
    return WithRemedy(
        absl::AlreadyExistsError(absl::StrCat(
            "write ", path, ": it is a ",
            S_ISDIR(info.st_mode) ? "folder" : "special file or a link")),
        "name a file; - is standard output");
  }
  if (replace) return absl::OkStatus();
  return WithRemedy(absl::AlreadyExistsError(absl::StrCat(
                        "write ", path, ": there is such a file already")),
                    "name another, or give --force");
}

}  // namespace

absl::StatusOr<OutputFile> OutputFile::Create(const std::string& path,
                                              bool replace) {
  RETURN_IF_ERROR(CheckName(path, replace));
  std::error_code error;
  const fs::path real = fs::canonical(path, error);  // behind a link
  OutputFile file(error ? path : real.string(), replace);
  RETURN_IF_ERROR(file.Explain(file.Open()));
  return file;
}

OutputFile::OutputFile(OutputFile&& other) noexcept
    : path_(std::exchange(other.path_, "")),
      draft_(std::exchange(other.draft_, "")),
      replace_(other.replace_),
      folder_(std::move(other.folder_)),
      fd_(std::move(other.fd_)),
      size_(other.size_) {}

OutputFile::~OutputFile() {
  if (!draft_.empty()) unlink(draft_.c_str());
}

absl::Status OutputFile::Open() {
  const std::string folder = FolderOf(path_);
  folder_.Reset(open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!folder_.ok()) return ErrnoStatus("open folder", folder);
  fd_.Reset(openat(folder_.get(), ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
  if (fd_.ok()) return absl::OkStatus();
  if (errno != EOPNOTSUPP && errno != EISDIR && errno != EINVAL) {
    return ErrnoStatus("write", path_);
  }
  std::string draft = absl::StrCat(path_, ".part-XXXXXX");
  fd_.Reset(mkostemp(draft.data(), O_CLOEXEC));
  if (!fd_.ok()) return ErrnoStatus("write", path_);
  draft_ = draft;
  return absl::OkStatus();
}

absl::Status OutputFile::Write(absl::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t n = write(fd_.get(), bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) {
      return Explain(ErrnoStatus(n < 0 ? errno : EIO, "write", path_));
    }
    bytes.remove_prefix(static_cast<size_t>(n));
    size_ += n;
  }
  return absl::OkStatus();
}

// One that has no name yet.
absl::Status OutputFile::GiveName(const std::string& name) {
  const std::string self = absl::StrCat("/proc/self/fd/", fd_.get());
  if (linkat(AT_FDCWD, self.c_str(), AT_FDCWD, name.c_str(),
             AT_SYMLINK_FOLLOW) != 0) {
    return ErrnoStatus("write", name);
  }
  return absl::OkStatus();
}

absl::Status OutputFile::Commit() {
  if (fsync(fd_.get()) != 0) return Explain(ErrnoStatus("write", path_));
  if (draft_.empty() && !replace_) {
    RETURN_IF_ERROR(Explain(GiveName(path_)));
  } else {
    if (draft_.empty()) {
      const std::string draft = absl::StrCat(path_, ".part-", getpid());
      RETURN_IF_ERROR(Explain(GiveName(draft)));
      draft_ = draft;
    }
    // What came in between is not replaced, either.
    if (renameat2(AT_FDCWD, draft_.c_str(), AT_FDCWD, path_.c_str(),
                  replace_ ? 0 : RENAME_NOREPLACE) != 0) {
      return Explain(ErrnoStatus("write", path_));
    }
    draft_.clear();
  }
  if (fsync(folder_.get()) != 0) {
    return Explain(ErrnoStatus("write folder", FolderOf(path_)));
  }
  return absl::OkStatus();
}

absl::Status OutputFile::Explain(const absl::Status& status) const {
  switch (status.code()) {
    case absl::StatusCode::kNotFound:
      return WithRemedy(
          status, absl::StrCat("make the folder ", FolderOf(path_), " first"));
    case absl::StatusCode::kResourceExhausted:
      return WithRemedy(
          status,
          "nothing was left there; free some space, or name another "
          "disk");
    case absl::StatusCode::kAlreadyExists:
      return WithRemedy(status,
                        "it came meanwhile; name another, or give --force");
    default:
      return status;
  }
}

}  // namespace bulwark::ctl
