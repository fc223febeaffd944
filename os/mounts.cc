#include "os/mounts.h"

#include <sys/mount.h>
#include <unistd.h>

#include <cerrno>
#include <set>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "base/status.h"
#include "os/files.h"

namespace bulwark::os {
namespace {

constexpr int64_t kMaxMountInfo = int64_t{64} << 20;

// The kernel writes these four in octal.
std::string Plain(absl::string_view text) {
  return absl::StrReplaceAll(
      text,
      {{"\\040", " "}, {"\\011", "\t"}, {"\\012", "\n"}, {"\\134", "\\"}});
}

// "mnt:[4026531841]"; empty if the process has ended.
std::string NamespaceOf(const std::string& process) {
  char link[64];
  const ssize_t n = readlink(absl::StrCat("/proc/", process, "/ns/mnt").c_str(),
                             link, sizeof(link));
  return n <= 0 ? "" : std::string(link, static_cast<size_t>(n));
}

bool IsAtOrBelow(absl::string_view path, absl::string_view directory) {
  return absl::ConsumePrefix(&path, directory) &&
         (path.empty() || path[0] == '/');
}

}  // namespace

std::vector<MountPoint> ParseMounts(absl::string_view mountinfo) {
  std::vector<MountPoint> mounts;
  for (absl::string_view line : absl::StrSplit(mountinfo, '\n')) {
    const std::pair<absl::string_view, absl::string_view> halves =
        absl::StrSplit(line, absl::MaxSplits(" - ", 1));
    const std::vector<absl::string_view> left =
        absl::StrSplit(halves.first, ' ');
    const std::vector<absl::string_view> right =
        absl::StrSplit(halves.second, ' ');
    if (left.size() < 5 || right.size() < 2) continue;
    mounts.push_back({Plain(left[4]), std::string(right[0]), Plain(right[1])});
  }
  return mounts;
}

absl::StatusOr<std::vector<MountPoint>> ListMounts() {
  ASSIGN_OR_RETURN(const std::string text,
                   ReadFile("/proc/self/mountinfo", kMaxMountInfo));
  return ParseMounts(text);
}

absl::StatusOr<bool> IsMountedElsewhere(const std::string& source) {
  ASSIGN_OR_RETURN(const std::vector<std::string> names, ListDir("/proc"));
  std::set<std::string> seen = {NamespaceOf("self")};
  for (const std::string& name : names) {
    if (name.find_first_not_of("0123456789") != std::string::npos) continue;
    const std::string ns = NamespaceOf(name);
    if (ns.empty() || !seen.insert(ns).second) continue;
    const absl::StatusOr<std::string> text =
        ReadFile(absl::StrCat("/proc/", name, "/mountinfo"), kMaxMountInfo);
    if (!text.ok()) continue;  // it has ended
    for (const MountPoint& mount : ParseMounts(*text)) {
      if (mount.source == source) return true;
    }
  }
  return false;
}

absl::Status Mount(const std::string& source, const std::string& path,
                   const std::string& type, unsigned long flags,
                   const std::string& options) {
  if (mount(source.c_str(), path.c_str(), type.c_str(), flags,
            options.c_str()) != 0) {
    return ErrnoStatus(absl::StrCat("mount ", source, " on"), path);
  }
  return absl::OkStatus();
}

absl::Status Unmount(const std::string& path) {
  if (umount2(path.c_str(), UMOUNT_NOFOLLOW) == 0 || errno == EINVAL ||
      errno == ENOENT) {
    return absl::OkStatus();
  }
  if (errno == EBUSY) {
    return absl::FailedPreconditionError(
        absl::StrCat("unmount ", path, ": a program of this host uses it"));
  }
  return ErrnoStatus("unmount", path);
}

absl::Status UnmountBelow(const std::string& path) {
  ASSIGN_OR_RETURN(const std::vector<MountPoint> mounts, ListMounts());
  absl::Status first;
  for (auto it = mounts.rbegin(); it != mounts.rend(); ++it) {
    if (!IsAtOrBelow(it->path, path)) continue;
    if (Unmount(it->path).ok()) continue;
    if (umount2(it->path.c_str(), UMOUNT_NOFOLLOW | MNT_DETACH) != 0) {
      first.Update(ErrnoStatus("unmount", it->path));
    }
  }
  return first;
}

}  // namespace bulwark::os
