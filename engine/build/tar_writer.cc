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
#include "base/check.h"
#include "base/status.h"

namespace bulwark::engine::build {

TarWriter::TarWriter(Write write, absl::Time latest)
    : write_(std::move(write)),
      latest_(latest == absl::InfiniteFuture()
                  ? std::numeric_limits<int64_t>::max()
                  : absl::ToUnixSeconds(latest)),
      archive_(archive_write_new()) {
  CHECK(archive_ != nullptr);
  archive_write_set_format_pax_restricted(archive_.get());
  archive_write_set_options(archive_.get(),
                            "xattrheader=SCHILY,hdrcharset=BINARY");
  archive_write_add_filter_none(archive_.get());
  archive_write_set_bytes_in_last_block(archive_.get(), 1);
  CHECK(archive_write_open(archive_.get(), this, nullptr, &TarWriter::OnData,
                           nullptr) == ARCHIVE_OK);
}

la_ssize_t TarWriter::OnData(archive* a, void* self, const void* data,
                             size_t size) {
  auto* writer = static_cast<TarWriter*>(self);
  writer->status_ =
      writer->write_(absl::string_view(static_cast<const char*>(data), size));
  if (writer->status_.ok()) return size;
  archive_set_error(a, EIO, "sink failed");
  return -1;
}

absl::Status TarWriter::Error(const std::string& path) const {
  if (!status_.ok()) return status_;
  const char* text = archive_error_string(archive_.get());
  return absl::InternalError(
      absl::StrCat("pack /", path, ": ", text != nullptr ? text : "error"));
}

TarWriter::Entry TarWriter::NewEntry(const std::string& path,
                                     const struct stat& st) const {
  Entry entry(archive_entry_new());
  archive_entry_copy_pathname(entry.get(), path.c_str());
  archive_entry_set_mode(entry.get(), st.st_mode);
  archive_entry_set_uid(entry.get(), st.st_uid);
  archive_entry_set_gid(entry.get(), st.st_gid);
  archive_entry_set_mtime(entry.get(),
                          std::min<int64_t>(st.st_mtim.tv_sec, latest_), 0);
  archive_entry_set_size(entry.get(), 0);
  return entry;
}

absl::Status TarWriter::WriteHeader(const Entry& entry,
                                    const std::string& path) {
  ++entries_;
  int result = archive_write_header(archive_.get(), entry.get());
  return result >= ARCHIVE_WARN ? absl::OkStatus() : Error(path);
}

absl::Status TarWriter::Mark(const std::string& path, const struct stat& like) {
  struct stat st = like;
  st.st_mode = S_IFREG;
  st.st_uid = st.st_gid = 0;
  return WriteHeader(NewEntry(path, st), path);
}

absl::StatusOr<bool> TarWriter::Directory(const std::string& path,
                                          const struct stat& st, int fd) {
  Entry entry = NewEntry(path + "/", st);
  ASSIGN_OR_RETURN(bool opaque, AddXattrs(fd, path, entry));
  RETURN_IF_ERROR(WriteHeader(entry, path));
  return opaque;
}

absl::Status TarWriter::Symlink(const std::string& path, const struct stat& st,
                                const std::string& target) {
  Entry entry = NewEntry(path, st);
  archive_entry_copy_symlink(entry.get(), target.c_str());
  return WriteHeader(entry, path);
}

absl::Status TarWriter::Fifo(const std::string& path, const struct stat& st) {
  return WriteHeader(NewEntry(path, st), path);
}

absl::StatusOr<bool> TarWriter::HardLink(const std::string& path,
                                         const struct stat& st) {
  if (st.st_nlink <= 1 || S_ISDIR(st.st_mode)) return false;
  auto [it, inserted] =
      links_.emplace(std::make_pair(st.st_dev, st.st_ino), path);
  if (inserted) return false;
  Entry entry = NewEntry(path, st);
  archive_entry_copy_hardlink(entry.get(), it->second.c_str());
  RETURN_IF_ERROR(WriteHeader(entry, path));
  return true;
}

absl::Status TarWriter::File(const std::string& path, const struct stat& st,
                             int fd) {
  Entry entry = NewEntry(path, st);
  archive_entry_set_size(entry.get(), st.st_size);
  RETURN_IF_ERROR(AddXattrs(fd, path, entry).status());
  RETURN_IF_ERROR(WriteHeader(entry, path));
  std::vector<char> buffer(std::min<int64_t>(st.st_size + 1, 128 << 10));
  int64_t left = st.st_size;
  while (left > 0) {
    ssize_t n = read(fd, buffer.data(), buffer.size());
    if (n < 0) return ErrnoStatus("read", path);
    if (n == 0) break;
    n = std::min<int64_t>(n, left);
    left -= n;
    if (archive_write_data(archive_.get(), buffer.data(), n) != n) {
      return Error(path);
    }
  }
  if (left > 0) {
    return absl::AbortedError(
        absl::StrCat("pack /", path, ": it shrank while it was read"));
  }
  return absl::OkStatus();
}

absl::Status TarWriter::Finish() {
  if (archive_write_close(archive_.get()) != ARCHIVE_OK) return Error("");
  return absl::OkStatus();
}

absl::StatusOr<bool> TarWriter::AddXattrs(int fd, const std::string& path,
                                          const Entry& entry) {
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
      archive_entry_xattr_add_entry(entry.get(), key.c_str(), value.data(), n);
    }
  }
  return opaque;
}

}  // namespace bulwark::engine::build
