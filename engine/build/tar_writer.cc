#include "engine/build/tar_writer.h"

#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <limits>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/status.h"

namespace bulwark::engine::build {

using image::TarEntry;

TarWriter::TarWriter(Write write, absl::Time latest)
    : latest_(latest == absl::InfiniteFuture()
                  ? std::numeric_limits<int64_t>::max()
                  : absl::ToUnixSeconds(latest)),
      archive_(std::move(write)) {}

TarEntry TarWriter::NewEntry(TarEntry::Type type, const std::string& path,
                             const struct stat& st) const {
  TarEntry entry;
  entry.type = type;
  entry.path = path;
  entry.mode = st.st_mode & 07777;
  entry.uid = st.st_uid;
  entry.gid = st.st_gid;
  entry.mtime.tv_sec = std::min<int64_t>(st.st_mtim.tv_sec, latest_);
  return entry;
}

absl::Status TarWriter::Begin(const TarEntry& entry) {
  ++entries_;
  return archive_.Begin(entry);
}

absl::Status TarWriter::Mark(const std::string& path, const struct stat& like) {
  struct stat st = like;
  st.st_mode = 0;
  st.st_uid = st.st_gid = 0;
  return Begin(NewEntry(TarEntry::Type::kFile, path, st));
}

absl::StatusOr<bool> TarWriter::Directory(const std::string& path,
                                          const struct stat& st, int fd) {
  TarEntry entry = NewEntry(TarEntry::Type::kDirectory, path + "/", st);
  ASSIGN_OR_RETURN(const bool opaque, AddXattrs(fd, path, entry));
  RETURN_IF_ERROR(Begin(entry));
  return opaque;
}

absl::Status TarWriter::Symlink(const std::string& path, const struct stat& st,
                                const std::string& target) {
  TarEntry entry = NewEntry(TarEntry::Type::kSymlink, path, st);
  entry.link = target;
  return Begin(entry);
}

absl::Status TarWriter::Fifo(const std::string& path, const struct stat& st) {
  return Begin(NewEntry(TarEntry::Type::kFifo, path, st));
}

absl::StatusOr<bool> TarWriter::HardLink(const std::string& path,
                                         const struct stat& st) {
  if (st.st_nlink <= 1 || S_ISDIR(st.st_mode)) return false;
  auto [it, inserted] =
      links_.emplace(std::make_pair(st.st_dev, st.st_ino), path);
  if (inserted) return false;
  TarEntry entry = NewEntry(TarEntry::Type::kHardlink, path, st);
  entry.link = it->second;
  RETURN_IF_ERROR(Begin(entry));
  return true;
}

absl::Status TarWriter::File(const std::string& path, const struct stat& st,
                             int fd) {
  TarEntry entry = NewEntry(TarEntry::Type::kFile, path, st);
  entry.size = st.st_size;
  RETURN_IF_ERROR(AddXattrs(fd, path, entry).status());
  RETURN_IF_ERROR(Begin(entry));
  std::vector<char> buffer(std::min<int64_t>(st.st_size + 1, 128 << 10));
  int64_t left = st.st_size;
  while (left > 0) {
    ssize_t n = read(fd, buffer.data(), buffer.size());
    if (n < 0) return ErrnoStatus("read", path);
    if (n == 0) break;
    n = std::min<int64_t>(n, left);
    left -= n;
    RETURN_IF_ERROR(archive_.Data(
        absl::string_view(buffer.data(), static_cast<size_t>(n))));
  }
  if (left > 0) {
    return absl::AbortedError(
        absl::StrCat("pack /", path, ": it shrank while it was read"));
  }
  return absl::OkStatus();
}

absl::StatusOr<bool> TarWriter::AddXattrs(int fd, const std::string& path,
                                          TarEntry& entry) {
  std::vector<char> names(64 << 10);
  ssize_t size = flistxattr(fd, names.data(), names.size());
  if (size < 0) {
    return errno == ENOTSUP ? absl::StatusOr<bool>(false)
                            : ErrnoStatus("list xattrs", path);
  }
  bool opaque = false;
  std::vector<char> value;
  for (absl::string_view name : absl::StrSplit(
           absl::string_view(names.data(), size), '\0', absl::SkipEmpty())) {
    std::string key(name);
    value.resize(64 << 10);
    ssize_t n = fgetxattr(fd, key.c_str(), value.data(), value.size());
    if (n < 0) continue;
    if (key == "trusted.overlay.opaque") opaque = n == 1 && value[0] == 'y';
    if (key == "trusted.overlay.redirect" ||
        key == "trusted.overlay.metacopy") {
      return absl::FailedPreconditionError(
          absl::StrCat("pack /", path, ": the overlay redirects it (", key,
                       "); mount it with redirect_dir=off,metacopy=off"));
    }
    if (key == "security.capability" ||
        (absl::StartsWith(key, "user.") &&
         !absl::StartsWith(key, "user.overlay."))) {
      entry.xattrs.emplace_back(
          key, std::string(value.data(), static_cast<size_t>(n)));
    }
  }
  return opaque;
}

}  // namespace bulwark::engine::build
