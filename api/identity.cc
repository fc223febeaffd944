#include "api/identity.h"

#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "base/status.h"

namespace bulwark::api {
namespace {

// More users than this share no host; the cache starts anew then.
constexpr size_t kMaxNames = 10000;

// The name that `get` (getpwuid_r, getgrgid_r) finds; `name` is that field of
// its entry. `fallback` if there is none.
template <typename Entry, typename Id>
std::string LookUp(Id id, int (*get)(Id, Entry*, char*, size_t, Entry**),
                   char* Entry::*name, const std::string& fallback) {
  std::vector<char> buffer(4096);
  while (true) {
    Entry entry;
    Entry* found = nullptr;
    const int error = get(id, &entry, buffer.data(), buffer.size(), &found);
    if (error == EINTR) continue;
    if (error == ERANGE && buffer.size() < (size_t{1} << 20)) {
      buffer.resize(buffer.size() * 2);
      continue;
    }
    if (error != 0 || found == nullptr || entry.*name == nullptr ||
        (entry.*name)[0] == '\0') {
      return fallback;
    }
    return entry.*name;
  }
}

// The supplementary groups of the socket's peer. Kernels before 4.13 do not
// tell; a peer then has its first group alone.
absl::StatusOr<std::vector<gid_t>> PeerGroups(int fd) {
  std::vector<gid_t> groups(32);
  while (true) {
    socklen_t size = static_cast<socklen_t>(groups.size() * sizeof(gid_t));
    if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups.data(), &size) == 0) {
      groups.resize(size / sizeof(gid_t));
      return groups;
    }
    if (errno == ERANGE && size > groups.size() * sizeof(gid_t)) {
      groups.resize(size / sizeof(gid_t));
      continue;
    }
    if (errno == ENOPROTOOPT || errno == ENODATA) return std::vector<gid_t>();
    return ErrnoStatus("read groups of", absl::StrCat("fd ", fd));
  }
}

// The inode of the socket behind `fd`, which is the socket's own for its life.
std::optional<ino_t> SocketInode(int fd) {
  struct stat info;
  if (fstat(fd, &info) != 0 || !S_ISSOCK(info.st_mode)) return std::nullopt;
  return info.st_ino;
}

int OpenFilesLimit() {
  rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return 1024;
  return static_cast<int>(std::min<rlim_t>(limit.rlim_cur, 1 << 16));
}

}  // namespace

std::string UserNames::Find(uid_t uid) {
  {
    absl::MutexLock lock(&mu_);
    const auto found = names_.find(uid);
    if (found != names_.end()) return found->second;
  }
  std::string name = LookUp<passwd, uid_t>(uid, getpwuid_r, &passwd::pw_name,
                                           absl::StrCat("uid:", uid));
  absl::MutexLock lock(&mu_);
  if (names_.size() >= kMaxNames) names_.clear();
  return names_[uid] = std::move(name);
}

std::string UserNames::FindGroup(gid_t gid) {
  {
    absl::MutexLock lock(&mu_);
    const auto found = groups_.find(gid);
    if (found != groups_.end()) return found->second;
  }
  std::string name = LookUp<group, gid_t>(gid, getgrgid_r, &group::gr_name,
                                          absl::StrCat("gid:", gid));
  absl::MutexLock lock(&mu_);
  if (groups_.size() >= kMaxNames) groups_.clear();
  return groups_[gid] = std::move(name);
}

absl::StatusOr<Peer> PeerOf(int fd, UserNames& names) {
  ucred credentials;
  socklen_t size = sizeof(credentials);
  if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &size) != 0) {
    return ErrnoStatus("read credentials of", absl::StrCat("fd ", fd));
  }
  Peer peer;
  peer.identity.set_name(names.Find(credentials.uid));
  peer.identity.set_uid(credentials.uid);
  peer.identity.set_gid(credentials.gid);
  peer.identity.set_pid(credentials.pid);
  ASSIGN_OR_RETURN(peer.groups, PeerGroups(fd));
  return peer;
}

IdentityTable::IdentityTable(int first)
    : first_(std::min(first, OpenFilesLimit() / 2)), next_(first_) {}

absl::StatusOr<int> IdentityTable::Add(UniqueFd connection, Peer who) {
  absl::MutexLock lock(&mu_);
  UniqueFd moved(fcntl(connection.get(), F_DUPFD_CLOEXEC, next_));
  // Past the limit: from the start again, where old numbers are free by now.
  if (!moved.ok() && (errno == EINVAL || errno == EMFILE)) {
    moved.Reset(fcntl(connection.get(), F_DUPFD_CLOEXEC, first_));
  }
  if (!moved.ok()) {
    return absl::ResourceExhaustedError(
        "accept a connection: no file descriptor is left");
  }
  const std::optional<ino_t> inode = SocketInode(moved.get());
  if (!inode.has_value()) return ErrnoStatus("stat", "an accepted connection");
  next_ = moved.get() + 1;
  entries_[moved.get()] = {*inode, std::move(who)};
  return moved.Release();
}

std::optional<Peer> IdentityTable::Find(absl::string_view peer) const {
  int fd = -1;
  if (!absl::ConsumePrefix(&peer, "fd:") || !absl::SimpleAtoi(peer, &fd)) {
    return std::nullopt;
  }
  absl::MutexLock lock(&mu_);
  const auto found = entries_.find(fd);
  if (found == entries_.end() || SocketInode(fd) != found->second.inode) {
    return std::nullopt;
  }
  return found->second.peer;
}

size_t IdentityTable::Sweep() {
  absl::MutexLock lock(&mu_);
  for (auto it = entries_.begin(); it != entries_.end();) {
    if (SocketInode(it->first) == it->second.inode) {
      ++it;
    } else {
      it = entries_.erase(it);
    }
  }
  return entries_.size();
}

}  // namespace bulwark::api
