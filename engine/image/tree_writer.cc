#include "engine/image/tree_writer.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <limits>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "base/status.h"
#include "os/files.h"

namespace bulwark::engine::image {
namespace {

constexpr absl::string_view kWhiteout = ".wh.";
constexpr absl::string_view kWhiteoutMeta = ".wh..wh.";
constexpr absl::string_view kOpaque = ".wh..wh..opq";
constexpr size_t kMaxName = 255;

absl::Status Refuse(absl::string_view path, absl::string_view why) {
  return absl::InvalidArgumentError(
      absl::StrCat("unpack \"", path.substr(0, 300), "\": ", why));
}

bool IsWhiteoutDevice(const struct stat& st) {
  return S_ISCHR(st.st_mode) && st.st_rdev == makedev(0, 0);
}

bool WantedXattr(absl::string_view name) {
  if (name == "security.capability") return true;
  return absl::StartsWith(name, "user.") &&
         !absl::StartsWith(name, "user.overlay.");
}

// File capabilities as they hold in the image's own user namespace: version 3
// names the root user of another one, which means nothing here.
std::string WithoutNamespaceRoot(const std::string& value) {
  constexpr uint32_t kRevisionMask = 0xff000000;
  constexpr uint32_t kRevision2 = 0x02000000;
  constexpr uint32_t kRevision3 = 0x03000000;
  uint32_t magic;
  if (value.size() != 24) return value;
  std::memcpy(&magic, value.data(), 4);
  if ((magic & kRevisionMask) != kRevision3) return value;
  magic = (magic & ~kRevisionMask) | kRevision2;
  std::string result = value.substr(0, 20);
  std::memcpy(result.data(), &magic, 4);
  return result;
}

absl::Status SetXattrs(int fd, const TarEntry& entry) {
  for (const auto& [name, value] : entry.xattrs) {
    if (!WantedXattr(name)) continue;
    const std::string data =
        name == "security.capability" ? WithoutNamespaceRoot(value) : value;
    if (fsetxattr(fd, name.c_str(), data.data(), data.size(), 0) != 0 &&
        errno != ENOTSUP) {
      return ErrnoStatus(absl::StrCat("set attribute ", name, " of"),
                         entry.path);
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<std::pair<uid_t, gid_t>> OwnerOf(const TarEntry& entry) {
  // The last value is "unchanged" to chown.
  constexpr int64_t kMax = std::numeric_limits<uid_t>::max() - 1;
  if (entry.uid < 0 || entry.uid > kMax || entry.gid < 0 || entry.gid > kMax) {
    return Refuse(entry.path, absl::StrCat("owner ", entry.uid, ":", entry.gid,
                                           " is out of range"));
  }
  return std::pair<uid_t, gid_t>(entry.uid, entry.gid);
}

timespec ClampTime(timespec t) {
  t.tv_nsec = std::clamp<int64_t>(t.tv_nsec, 0, 999'999'999);
  return t;
}

// Order matters: chown clears setuid bits and capabilities.
absl::Status SetAttributes(int fd, const TarEntry& entry) {
  ASSIGN_OR_RETURN(auto owner, OwnerOf(entry));
  if (fchown(fd, owner.first, owner.second) != 0) {
    return ErrnoStatus("set owner of", entry.path);
  }
  if (fchmod(fd, entry.mode) != 0)
    return ErrnoStatus("set mode of", entry.path);
  return SetXattrs(fd, entry);
}

absl::Status MakeOpaque(int dir_fd, absl::string_view path) {
  if (fsetxattr(dir_fd, "trusted.overlay.opaque", "y", 1, 0) != 0) {
    return ErrnoStatus("mark opaque", path);
  }
  return absl::OkStatus();
}

absl::StatusOr<UniqueFd> OpenChild(int parent, const std::string& name) {
  UniqueFd fd(openat(parent, name.c_str(),
                     O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!fd.ok()) return ErrnoStatus("open directory", name);
  return fd;
}

}  // namespace

absl::StatusOr<TreeWriter::Parts> TreeWriter::Split(
    absl::string_view path) const {
  if (path.size() > options_.max_path) return Refuse(path, "path too long");
  Parts parts;
  for (absl::string_view part : absl::StrSplit(path, '/')) {
    if (part.empty() || part == ".") continue;
    if (part == "..") return Refuse(path, "\"..\" would leave the root");
    if (part.size() > kMaxName) return Refuse(path, "name too long");
    parts.emplace_back(part);
  }
  if (static_cast<int>(parts.size()) > options_.max_depth) {
    return Refuse(
        path, absl::StrCat("deeper than ", options_.max_depth, " directories"));
  }
  return parts;
}

absl::StatusOr<int> TreeWriter::OpenParent(const Parts& parts, size_t count) {
  if (count == 0) return root_fd_;
  std::string path = absl::StrJoin(parts.begin(), parts.begin() + count, "/");
  if (path == cached_path_) return cached_fd_.get();
  absl::StatusOr<UniqueFd> fd =
      os::OpenInRoot(root_fd_, path, O_RDONLY | O_DIRECTORY);
  if (!fd.ok()) {
    // Missing, or under a whiteout made earlier: walk, and make what is not
    // there.
    fd = WalkTo(parts, count);
    if (!fd.ok()) return Annotate(fd.status(), absl::StrCat("unpack ", path));
  }
  cached_fd_ = *std::move(fd);
  cached_path_ = std::move(path);
  return cached_fd_.get();
}

absl::StatusOr<UniqueFd> TreeWriter::WalkTo(const Parts& parts, size_t count) {
  UniqueFd current;
  std::string path;
  for (size_t i = 0; i < count; ++i) {
    absl::StrAppend(&path, i == 0 ? "" : "/", parts[i]);
    absl::StatusOr<UniqueFd> next =
        os::OpenInRoot(root_fd_, path, O_RDONLY | O_DIRECTORY);
    if (!next.ok()) {
      next =
          MakeImplied(current.ok() ? current.get() : root_fd_, parts[i], path);
    }
    if (!next.ok()) return next.status();
    current = *std::move(next);
  }
  return current;
}

absl::StatusOr<UniqueFd> TreeWriter::MakeImplied(int parent,
                                                 const std::string& name,
                                                 const std::string& path) {
  struct stat st;
  bool exists = fstatat(parent, name.c_str(), &st, AT_SYMLINK_NOFOLLOW) == 0;
  bool whiteout = exists && IsWhiteoutDevice(st);
  if (exists && !whiteout) {
    return Refuse(path, "it is not a directory, but something lies below it");
  }
  if (whiteout && unlinkat(parent, name.c_str(), 0) != 0) {
    return ErrnoStatus("replace", path);
  }
  if (mkdirat(parent, name.c_str(), 0755) != 0) {
    return ErrnoStatus("make directory", path);
  }
  ASSIGN_OR_RETURN(UniqueFd fd, OpenChild(parent, name));
  if (fchmod(fd.get(), 0755) != 0) return ErrnoStatus("set mode of", path);
  if (whiteout) RETURN_IF_ERROR(MakeOpaque(fd.get(), path));
  if (!whiteout) implied_.push_back(path);
  return fd;
}

absl::StatusOr<TreeWriter::Previous> TreeWriter::Clear(int parent,
                                                       const std::string& name,
                                                       bool is_directory) {
  struct stat st;
  if (fstatat(parent, name.c_str(), &st, AT_SYMLINK_NOFOLLOW) != 0) {
    if (errno == ENOENT) return Previous::kNothing;
    return ErrnoStatus("stat", name);
  }
  if (S_ISDIR(st.st_mode) && is_directory) return Previous::kDirectory;
  // A later entry must not use a directory that was reached through this name.
  if (!S_ISREG(st.st_mode)) cached_path_.clear();
  RETURN_IF_ERROR(os::RemoveTreeAt(parent, name));
  return IsWhiteoutDevice(st) ? Previous::kWhiteout : Previous::kNothing;
}

absl::Status TreeWriter::Apply(const TarEntry& entry, TarReader* reader) {
  ASSIGN_OR_RETURN(Parts parts, Split(entry.path));
  if (parts.empty()) return ApplyRoot(entry);
  if (options_.whiteouts && absl::StartsWith(parts.back(), kWhiteout)) {
    return ApplyWhiteout(parts);
  }
  if (entry.type == TarEntry::Type::kOther) return absl::OkStatus();
  ASSIGN_OR_RETURN(int parent, OpenParent(parts, parts.size() - 1));
  const std::string& name = parts.back();
  switch (entry.type) {
    case TarEntry::Type::kDirectory:
      return MakeDirectory(parent, parts, entry);
    case TarEntry::Type::kHardlink:
      return MakeHardlink(parent, name, entry);
    case TarEntry::Type::kFile:
      return MakeFile(parent, name, entry, reader);
    default:
      return MakeLinkOrFifo(parent, name, entry);
  }
}

absl::Status TreeWriter::ApplyRoot(const TarEntry& entry) {
  if (entry.type != TarEntry::Type::kDirectory) {
    return Refuse(entry.path, "the root can only be a directory");
  }
  RETURN_IF_ERROR(SetAttributes(root_fd_, entry));
  directory_times_.emplace_back(".", ClampTime(entry.mtime));
  return absl::OkStatus();
}

absl::Status TreeWriter::ApplyWhiteout(const Parts& parts) {
  const std::string& mark = parts.back();
  ASSIGN_OR_RETURN(int parent, OpenParent(parts, parts.size() - 1));
  if (mark == kOpaque) return MakeOpaque(parent, absl::StrJoin(parts, "/"));
  if (absl::StartsWith(mark, kWhiteoutMeta)) return absl::OkStatus();
  std::string name = mark.substr(kWhiteout.size());
  if (name.empty() || name == "." || name == "..") {
    return Refuse(absl::StrJoin(parts, "/"), "it hides nothing that can exist");
  }
  struct stat st;
  if (fstatat(parent, name.c_str(), &st, AT_SYMLINK_NOFOLLOW) == 0) {
    // This layer has the name too: its own entry hides what is below.
    if (!S_ISDIR(st.st_mode)) return absl::OkStatus();
    ASSIGN_OR_RETURN(UniqueFd fd, OpenChild(parent, name));
    return MakeOpaque(fd.get(), name);
  }
  if (mknodat(parent, name.c_str(), S_IFCHR, makedev(0, 0)) != 0) {
    return ErrnoStatus("make whiteout", absl::StrJoin(parts, "/"));
  }
  return absl::OkStatus();
}

absl::Status TreeWriter::MakeDirectory(int parent, const Parts& parts,
                                       const TarEntry& entry) {
  const std::string& name = parts.back();
  ASSIGN_OR_RETURN(Previous previous, Clear(parent, name, true));
  if (previous != Previous::kDirectory &&
      mkdirat(parent, name.c_str(), 0700) != 0) {
    return ErrnoStatus("make directory", entry.path);
  }
  ASSIGN_OR_RETURN(UniqueFd fd, OpenChild(parent, name));
  RETURN_IF_ERROR(SetAttributes(fd.get(), entry));
  std::string path = absl::StrJoin(parts, "/");
  if (previous == Previous::kWhiteout) {
    RETURN_IF_ERROR(MakeOpaque(fd.get(), path));
  }
  if (previous == Previous::kDirectory && !implied_.empty()) {
    implied_.erase(std::remove(implied_.begin(), implied_.end(), path),
                   implied_.end());
  }
  directory_times_.emplace_back(std::move(path), ClampTime(entry.mtime));
  return absl::OkStatus();
}

absl::Status TreeWriter::MakeFile(int parent, const std::string& name,
                                  const TarEntry& entry, TarReader* reader) {
  constexpr int kNew = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
  UniqueFd fd(openat(parent, name.c_str(), kNew, 0600));
  if (!fd.ok() && errno == EEXIST) {
    RETURN_IF_ERROR(Clear(parent, name, false).status());
    fd.Reset(openat(parent, name.c_str(), kNew, 0600));
  }
  if (!fd.ok()) return ErrnoStatus("create", entry.path);
  int64_t end = 0;
  RETURN_IF_ERROR(reader->ReadData([&](int64_t offset, absl::string_view data) {
    while (!data.empty()) {
      ssize_t n = pwrite(fd.get(), data.data(), data.size(), offset);
      if (n < 0) return ErrnoStatus("write", entry.path);
      data.remove_prefix(n);
      offset += n;
    }
    end = std::max(end, offset);
    return absl::OkStatus();
  }));
  // A hole at the end was not written.
  if (end < entry.size && ftruncate(fd.get(), entry.size) != 0) {
    return ErrnoStatus("extend", entry.path);
  }
  RETURN_IF_ERROR(SetAttributes(fd.get(), entry));
  timespec times[2] = {ClampTime(entry.mtime), ClampTime(entry.mtime)};
  if (futimens(fd.get(), times) != 0) {
    return ErrnoStatus("set time of", entry.path);
  }
  return absl::OkStatus();
}

absl::Status TreeWriter::MakeHardlink(int parent, const std::string& name,
                                      const TarEntry& entry) {
  ASSIGN_OR_RETURN(Parts target, Split(entry.link));
  if (target.empty()) return Refuse(entry.path, "a hard link to the root");
  UniqueFd owned;
  int target_dir = root_fd_;
  if (target.size() > 1) {
    std::string path = absl::StrJoin(target.begin(), target.end() - 1, "/");
    absl::StatusOr<UniqueFd> fd =
        os::OpenInRoot(root_fd_, path, O_PATH | O_DIRECTORY);
    if (fd.ok()) owned = *std::move(fd);
    target_dir = owned.get();
  }
  struct stat st;
  if (target_dir < 0 || fstatat(target_dir, target.back().c_str(), &st,
                                AT_SYMLINK_NOFOLLOW) != 0) {
    return Refuse(entry.path, absl::StrCat("hard link to \"", entry.link,
                                           "\", which is not in this layer"));
  }
  if (!S_ISREG(st.st_mode) && !S_ISLNK(st.st_mode) && !S_ISFIFO(st.st_mode)) {
    return Refuse(entry.path, absl::StrCat("hard link to \"", entry.link,
                                           "\", which is not a file"));
  }
  struct stat old;
  if (fstatat(parent, name.c_str(), &old, AT_SYMLINK_NOFOLLOW) == 0 &&
      old.st_ino == st.st_ino && old.st_dev == st.st_dev) {
    return absl::OkStatus();  // a link to itself
  }
  RETURN_IF_ERROR(Clear(parent, name, false).status());
  if (linkat(target_dir, target.back().c_str(), parent, name.c_str(), 0) != 0) {
    return ErrnoStatus("make hard link", entry.path);
  }
  return absl::OkStatus();
}

absl::Status TreeWriter::MakeLinkOrFifo(int parent, const std::string& name,
                                        const TarEntry& entry) {
  ASSIGN_OR_RETURN(auto owner, OwnerOf(entry));
  RETURN_IF_ERROR(Clear(parent, name, false).status());
  if (entry.type == TarEntry::Type::kSymlink) {
    if (symlinkat(entry.link.c_str(), parent, name.c_str()) != 0) {
      return ErrnoStatus("make link", entry.path);
    }
  } else if (mkfifoat(parent, name.c_str(), 0600) != 0) {
    return ErrnoStatus("make fifo", entry.path);
  }
  if (fchownat(parent, name.c_str(), owner.first, owner.second,
               AT_SYMLINK_NOFOLLOW) != 0) {
    return ErrnoStatus("set owner of", entry.path);
  }
  if (entry.type == TarEntry::Type::kFifo &&
      fchmodat(parent, name.c_str(), entry.mode, 0) != 0) {
    return ErrnoStatus("set mode of", entry.path);
  }
  timespec times[2] = {ClampTime(entry.mtime), ClampTime(entry.mtime)};
  if (utimensat(parent, name.c_str(), times, AT_SYMLINK_NOFOLLOW) != 0) {
    return ErrnoStatus("set time of", entry.path);
  }
  return absl::OkStatus();
}

absl::Status TreeWriter::Finish() {
  cached_path_.clear();
  for (auto it = directory_times_.rbegin(); it != directory_times_.rend();
       ++it) {
    absl::StatusOr<UniqueFd> fd =
        os::OpenInRoot(root_fd_, it->first, O_RDONLY | O_DIRECTORY);
    if (!fd.ok()) continue;  // a later entry replaced it
    timespec times[2] = {it->second, it->second};
    if (futimens(fd->get(), times) != 0) {
      return ErrnoStatus("set time of", it->first);
    }
  }
  return absl::OkStatus();
}

}  // namespace bulwark::engine::image
