#include "engine/local/tree_tar.h"

#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <map>
#include <memory>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/check.h"
#include "base/status.h"
#include "base/unique_fd.h"
#include "os/files.h"

namespace bulwark::engine {
namespace {

constexpr int kMaxDepth = 256;  // each level holds descriptors
constexpr size_t kBuffer = 128 << 10;

struct FreeArchive {
  void operator()(archive* a) const { archive_write_free(a); }
};
struct FreeEntry {
  void operator()(archive_entry* e) const { archive_entry_free(e); }
};
using Entry = std::unique_ptr<archive_entry, FreeEntry>;

std::string SelfPath(int fd) { return absl::StrCat("/proc/self/fd/", fd); }

absl::StatusOr<uint64_t> MountOf(int fd) {
  struct statx stx;
  if (statx(fd, "", AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW, STATX_MNT_ID, &stx) !=
      0) {
    return ErrnoStatus("stat", "folder");
  }
  return stx.stx_mnt_id;
}

class Writer {
 public:
  Writer(const TreeTarOptions& options, const TarSink& sink)
      : options_(options), sink_(sink), archive_(archive_write_new()) {
    CHECK(archive_ != nullptr);
    archive_write_set_format_pax_restricted(archive_.get());
    archive_write_set_options(archive_.get(), "xattrheader=SCHILY");
    archive_write_add_filter_none(archive_.get());
    archive_write_set_bytes_per_block(archive_.get(), 64 << 10);
    archive_write_set_bytes_in_last_block(archive_.get(), 1);
    CHECK(archive_write_open(archive_.get(), this, nullptr, &Writer::OnData,
                             nullptr) == ARCHIVE_OK);
  }

  absl::Status Run(int fd, const std::string& name) {
    struct stat st;
    if (fstat(fd, &st) != 0) return ErrnoStatus("stat", name);
    if (options_.one_mount) {
      ASSIGN_OR_RETURN(mount_, MountOf(fd));
    }
    if (S_ISDIR(st.st_mode) && name.empty()) {
      RETURN_IF_ERROR(Folder(fd, "", 0));
    } else {
      RETURN_IF_ERROR(One(fd, name, st, 0));
    }
    if (entries_ == 0 && !name.empty()) {
      return absl::FailedPreconditionError(
          absl::StrCat("copy ", name, ": it is no file, folder or link"));
    }
    if (archive_write_close(archive_.get()) != ARCHIVE_OK) return Error(name);
    return absl::OkStatus();
  }

 private:
  static la_ssize_t OnData(archive* a, void* self, const void* data,
                           size_t size) {
    auto* writer = static_cast<Writer*>(self);
    writer->status_ =
        writer->sink_(absl::string_view(static_cast<const char*>(data), size));
    if (writer->status_.ok()) return static_cast<la_ssize_t>(size);
    archive_set_error(a, EIO, "sink failed");
    return -1;
  }

  absl::Status Error(const std::string& path) const {
    if (!status_.ok()) return status_;
    const char* text = archive_error_string(archive_.get());
    return absl::InternalError(
        absl::StrCat("copy ", path, ": ", text != nullptr ? text : "error"));
  }

  static uint32_t Inside(const std::vector<IdExtent>& map, uint32_t id) {
    return map.empty() ? id : ToInside(map, id);
  }

  Entry NewEntry(const std::string& path, const struct stat& st) const {
    Entry entry(archive_entry_new());
    archive_entry_copy_pathname(entry.get(), path.c_str());
    archive_entry_set_mode(entry.get(), st.st_mode);
    archive_entry_set_uid(entry.get(), Inside(options_.uids, st.st_uid));
    archive_entry_set_gid(entry.get(), Inside(options_.gids, st.st_gid));
    archive_entry_set_mtime(entry.get(), st.st_mtim.tv_sec, 0);
    archive_entry_set_size(entry.get(), 0);
    return entry;
  }

  absl::Status Header(const Entry& entry, const std::string& path) {
    ++entries_;
    return archive_write_header(archive_.get(), entry.get()) >= ARCHIVE_WARN
               ? absl::OkStatus()
               : Error(path);
  }

  // What the O_PATH descriptor is.
  absl::Status One(int fd, const std::string& path, const struct stat& st,
                   int depth) {
    if (options_.one_mount && !S_ISDIR(st.st_mode)) {
      ASSIGN_OR_RETURN(const uint64_t mount, MountOf(fd));
      if (mount != mount_) return absl::OkStatus();
    }
    if (S_ISDIR(st.st_mode)) {
      RETURN_IF_ERROR(Header(NewEntry(path + "/", st), path));
      return Folder(fd, path, depth);
    }
    Entry entry = NewEntry(path, st);
    if (st.st_nlink > 1) {
      const auto [it, is_new] =
          links_.emplace(std::make_pair(st.st_dev, st.st_ino), path);
      if (!is_new) {
        archive_entry_copy_hardlink(entry.get(), it->second.c_str());
        return Header(entry, path);
      }
    }
    if (S_ISREG(st.st_mode)) return File(fd, path, st, entry);
    if (S_ISLNK(st.st_mode)) {
      char target[PATH_MAX];
      const ssize_t n = readlinkat(fd, "", target, sizeof(target));
      if (n < 0) return ErrnoStatus("read link", path);
      archive_entry_copy_symlink(
          entry.get(), std::string(target, static_cast<size_t>(n)).c_str());
      return Header(entry, path);
    }
    return S_ISFIFO(st.st_mode) ? Header(entry, path) : absl::OkStatus();
  }

  absl::Status Folder(int fd, const std::string& path, int depth) {
    if (IsKernelFs(fd)) return absl::OkStatus();
    if (options_.one_mount) {
      ASSIGN_OR_RETURN(const uint64_t mount, MountOf(fd));
      if (mount != mount_) return absl::OkStatus();
    }
    if (depth >= kMaxDepth) {
      return absl::FailedPreconditionError(
          absl::StrCat("copy ", path, ": folders deeper than ", kMaxDepth));
    }
    const UniqueFd dir(
        open(SelfPath(fd).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!dir.ok()) return ErrnoStatus("open", path);
    ASSIGN_OR_RETURN(const std::vector<std::string> names,
                     os::ListDirFd(dir.get(), path));
    for (const std::string& name : names) {
      const UniqueFd child(
          openat(dir.get(), name.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
      struct stat st;
      if (!child.ok() || fstat(child.get(), &st) != 0) {
        if (errno == ENOENT) continue;  // it has just gone
        return ErrnoStatus("open", absl::StrCat(path, "/", name));
      }
      RETURN_IF_ERROR(One(child.get(),
                          path.empty() ? name : absl::StrCat(path, "/", name),
                          st, depth + 1));
    }
    return absl::OkStatus();
  }

  absl::Status File(int fd, const std::string& path, const struct stat& st,
                    const Entry& entry) {
    // The very file that was looked at: no device, no pipe.
    const UniqueFd file(
        open(SelfPath(fd).c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
    if (!file.ok()) return ErrnoStatus("open", path);
    archive_entry_set_size(entry.get(), st.st_size);
    AddAttributes(file.get(), entry);
    RETURN_IF_ERROR(Header(entry, path));
    buffer_.resize(kBuffer);
    int64_t left = st.st_size;
    bool ended = false;
    while (left > 0) {
      ssize_t n = 0;
      if (!ended) n = read(file.get(), buffer_.data(), buffer_.size());
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return ErrnoStatus("read", path);
      if (n == 0) {
        ended = true;
        std::fill(buffer_.begin(), buffer_.end(), '\0');
        n = static_cast<ssize_t>(buffer_.size());
      }
      n = static_cast<ssize_t>(std::min<int64_t>(n, left));
      left -= n;
      if (archive_write_data(archive_.get(), buffer_.data(),
                             static_cast<size_t>(n)) != n) {
        return Error(path);
      }
    }
    return absl::OkStatus();
  }

  static void AddAttributes(int fd, const Entry& entry) {
    std::vector<char> names(64 << 10);
    const ssize_t size = flistxattr(fd, names.data(), names.size());
    if (size <= 0) return;
    for (absl::string_view name : absl::StrSplit(
             absl::string_view(names.data(), static_cast<size_t>(size)), '\0',
             absl::SkipEmpty())) {
      const std::string key(name);
      if (key != "security.capability" &&
          (!absl::StartsWith(key, "user.") ||
           absl::StartsWith(key, "user.overlay."))) {
        continue;
      }
      std::vector<char> value(64 << 10);
      const ssize_t n = fgetxattr(fd, key.c_str(), value.data(), value.size());
      if (n < 0) continue;
      archive_entry_xattr_add_entry(entry.get(), key.c_str(), value.data(),
                                    static_cast<size_t>(n));
    }
  }

  const TreeTarOptions& options_;
  const TarSink& sink_;
  absl::Status status_;
  std::map<std::pair<dev_t, ino_t>, std::string> links_;
  std::vector<char> buffer_;
  uint64_t mount_ = 0;
  int64_t entries_ = 0;
  // Goes first: its end calls OnData() once more.
  std::unique_ptr<archive, FreeArchive> archive_;
};

}  // namespace

bool IsKernelFs(int fd) {
  struct statfs fs;
  if (fstatfs(fd, &fs) != 0) return true;
  switch (static_cast<unsigned long>(fs.f_type)) {
    case PROC_SUPER_MAGIC:
    case SYSFS_MAGIC:
    case CGROUP_SUPER_MAGIC:
    case CGROUP2_SUPER_MAGIC:
    case DEBUGFS_MAGIC:
    case TRACEFS_MAGIC:
    case SECURITYFS_MAGIC:
    case BPF_FS_MAGIC:
    case DEVPTS_SUPER_MAGIC:
      return true;
    default:
      return false;
  }
}

absl::Status WriteTreeTar(int fd, const std::string& name,
                          const TreeTarOptions& options, const TarSink& sink) {
  return Writer(options, sink).Run(fd, name);
}

}  // namespace bulwark::engine
