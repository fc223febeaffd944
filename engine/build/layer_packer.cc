#include "engine/build/layer_packer.h"

#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <climits>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/check.h"
#include "base/status.h"
#include "engine/build/gzip_sink.h"
#include "os/files.h"

namespace bulwark::engine::build {
namespace {

// What unpacking takes, too; each level holds a descriptor.
constexpr int kMaxDepth = 256;

struct FreeArchive {
  void operator()(archive* a) const { archive_write_free(a); }
};
struct FreeEntry {
  void operator()(archive_entry* e) const { archive_entry_free(e); }
};
using Entry = std::unique_ptr<archive_entry, FreeEntry>;

bool IsWhiteout(const struct stat& st) {
  return S_ISCHR(st.st_mode) && st.st_rdev == 0;
}

// Writes one tree; see PackLayer.
class Packer {
 public:
  Packer(GzipSink* sink, const std::function<bool()>& cancelled)
      : sink_(sink), cancelled_(cancelled), archive_(archive_write_new()) {
    CHECK(archive_ != nullptr);
    archive_write_set_format_pax_restricted(archive_.get());
    archive_write_set_options(archive_.get(),
                              "xattrheader=SCHILY,hdrcharset=BINARY");
    archive_write_add_filter_none(archive_.get());
    archive_write_set_bytes_in_last_block(archive_.get(), 1);
    CHECK(archive_write_open(archive_.get(), this, nullptr, &Packer::OnData,
                             nullptr) == ARCHIVE_OK);
  }

  absl::Status Directory(int dir_fd, const std::string& path) {
    if (std::count(path.begin(), path.end(), '/') >= kMaxDepth) {
      return absl::FailedPreconditionError(
          absl::StrCat("pack layer: directories deeper than ", kMaxDepth));
    }
    ASSIGN_OR_RETURN(std::vector<std::string> names,
                     os::ListDirFd(dir_fd, path));
    for (const std::string& name : names) {
      if (cancelled_ != nullptr && cancelled_()) {
        return absl::CancelledError("cancelled");
      }
      RETURN_IF_ERROR(
          Child(dir_fd, name, path.empty() ? name : path + "/" + name));
    }
    return absl::OkStatus();
  }

  absl::Status Finish() {
    if (archive_write_close(archive_.get()) != ARCHIVE_OK) return Error("");
    return sink_->Finish();
  }

  int64_t entries() const { return entries_; }

 private:
  static la_ssize_t OnData(archive* a, void* self, const void* data,
                           size_t size) {
    auto* packer = static_cast<Packer*>(self);
    packer->status_ = packer->sink_->Write(
        absl::string_view(static_cast<const char*>(data), size));
    if (packer->status_.ok()) return size;
    archive_set_error(a, EIO, "sink failed");
    return -1;
  }

  absl::Status Error(const std::string& path) const {
    if (!status_.ok()) return status_;
    const char* text = archive_error_string(archive_.get());
    return absl::InternalError(
        absl::StrCat("pack /", path, ": ", text != nullptr ? text : "error"));
  }

  static Entry NewEntry(const std::string& path, const struct stat& st) {
    Entry entry(archive_entry_new());
    archive_entry_copy_pathname(entry.get(), path.c_str());
    archive_entry_set_mode(entry.get(), st.st_mode);
    archive_entry_set_uid(entry.get(), st.st_uid);
    archive_entry_set_gid(entry.get(), st.st_gid);
    archive_entry_set_mtime(entry.get(), st.st_mtim.tv_sec, 0);
    archive_entry_set_size(entry.get(), 0);
    return entry;
  }

  absl::Status WriteHeader(const Entry& entry, const std::string& path) {
    ++entries_;
    int result = archive_write_header(archive_.get(), entry.get());
    return result >= ARCHIVE_WARN ? absl::OkStatus() : Error(path);
  }

  // An empty file whose name is a mark.
  absl::Status Mark(const std::string& path, const struct stat& like) {
    struct stat st = like;
    st.st_mode = S_IFREG;
    st.st_uid = st.st_gid = 0;
    return WriteHeader(NewEntry(path, st), path);
  }

  absl::Status Child(int parent, const std::string& name,
                     const std::string& path) {
    struct stat st;
    if (fstatat(parent, name.c_str(), &st, AT_SYMLINK_NOFOLLOW) != 0) {
      return ErrnoStatus("stat", path);
    }
    if (IsWhiteout(st)) {
      return Mark(path.substr(0, path.size() - name.size()) + ".wh." + name,
                  st);
    }
    if (absl::StartsWith(name, ".wh.")) {
      return absl::FailedPreconditionError(absl::StrCat(
          "pack /", path, ": a layer cannot hold a file of this name"));
    }
    if (S_ISDIR(st.st_mode)) return Subdirectory(parent, name, path, st);
    Entry entry = NewEntry(path, st);
    if (st.st_nlink > 1 && !S_ISDIR(st.st_mode)) {
      auto [it, inserted] =
          links_.emplace(std::make_pair(st.st_dev, st.st_ino), path);
      if (!inserted) {
        archive_entry_copy_hardlink(entry.get(), it->second.c_str());
        return WriteHeader(entry, path);
      }
    }
    if (S_ISREG(st.st_mode)) return File(parent, name, path, st, entry);
    if (S_ISLNK(st.st_mode)) {
      char target[PATH_MAX];
      ssize_t n = readlinkat(parent, name.c_str(), target, sizeof(target));
      if (n < 0) return ErrnoStatus("read link", path);
      archive_entry_copy_symlink(entry.get(), std::string(target, n).c_str());
      return WriteHeader(entry, path);
    }
    return S_ISFIFO(st.st_mode) ? WriteHeader(entry, path) : absl::OkStatus();
  }

  absl::Status Subdirectory(int parent, const std::string& name,
                            const std::string& path, const struct stat& st) {
    UniqueFd fd(openat(parent, name.c_str(),
                       O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!fd.ok()) return ErrnoStatus("open", path);
    Entry entry = NewEntry(path + "/", st);
    ASSIGN_OR_RETURN(bool opaque, AddXattrs(fd.get(), path, entry));
    RETURN_IF_ERROR(WriteHeader(entry, path));
    if (opaque) RETURN_IF_ERROR(Mark(path + "/.wh..wh..opq", st));
    return Directory(fd.get(), path);
  }

  absl::Status File(int parent, const std::string& name,
                    const std::string& path, const struct stat& st,
                    const Entry& entry) {
    UniqueFd fd(openat(parent, name.c_str(),
                       O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK));
    if (!fd.ok()) return ErrnoStatus("open", path);
    archive_entry_set_size(entry.get(), st.st_size);
    RETURN_IF_ERROR(AddXattrs(fd.get(), path, entry).status());
    RETURN_IF_ERROR(WriteHeader(entry, path));
    std::vector<char> buffer(128 << 10);
    int64_t left = st.st_size;
    while (left > 0) {
      ssize_t n = read(fd.get(), buffer.data(), buffer.size());
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

  // Copies what layers may have; true if the directory is opaque.
  absl::StatusOr<bool> AddXattrs(int fd, const std::string& path,
                                 const Entry& entry) {
    std::vector<char> names(64 << 10);
    ssize_t size = flistxattr(fd, names.data(), names.size());
    if (size < 0)
      return errno == ENOTSUP ? absl::StatusOr<bool>(false)
                              : ErrnoStatus("list xattrs", path);
    bool opaque = false;
    for (absl::string_view name : absl::StrSplit(
             absl::string_view(names.data(), size), '\0', absl::SkipEmpty())) {
      std::string key(name);
      std::vector<char> value(64 << 10);
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
        archive_entry_xattr_add_entry(entry.get(), key.c_str(), value.data(),
                                      n);
      }
    }
    return opaque;
  }

  GzipSink* sink_;
  const std::function<bool()>& cancelled_;
  absl::Status status_;
  std::map<std::pair<dev_t, ino_t>, std::string> links_;
  int64_t entries_ = 0;
  // Goes first: its end calls OnData() once more.
  std::unique_ptr<archive, FreeArchive> archive_;
};

}  // namespace

absl::StatusOr<PackedLayer> PackLayer(
    const std::string& dir, image::BlobStore* blobs,
    const std::function<void(absl::string_view)>& hold,
    const std::function<bool()>& cancelled) {
  UniqueFd root(open(dir.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!root.ok()) return ErrnoStatus("open", dir);
  ASSIGN_OR_RETURN(std::unique_ptr<image::Ingest> ingest, blobs->NewIngest());
  GzipSink sink(ingest.get());
  Packer packer(&sink, cancelled);
  RETURN_IF_ERROR(packer.Directory(root.get(), ""));
  RETURN_IF_ERROR(packer.Finish());
  PackedLayer result;
  result.diff_id = sink.Digest();
  result.entries = packer.entries();
  result.size = ingest->size();
  result.blob = ingest->Finish();
  hold(result.blob);
  hold(result.diff_id);
  RETURN_IF_ERROR(ingest->Commit(""));
  return result;
}

}  // namespace bulwark::engine::build
