#include "api/identity.h"

#include <fcntl.h>
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

std::string LookUp(uid_t uid) {
  std::vector<char> buffer(4096);
  while (true) {
    passwd entry;
    passwd* found = nullptr;
    const int error =
        getpwuid_r(uid, &entry, buffer.data(), buffer.size(), &found);
    if (error == EINTR) continue;
    if (error == ERANGE && buffer.size() < (size_t{1} << 20)) {
      buffer.resize(buffer.size() * 2);
      continue;
    }
    if (error != 0 || found == nullptr || entry.pw_name == nullptr ||
        entry.pw_name[0] == '\0') {
      return absl::StrCat("uid:", uid);
    }
    return entry.pw_name;
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
  std::string name = LookUp(uid);
  absl::MutexLock lock(&mu_);
  if (names_.size() >= kMaxNames) names_.clear();
  return names_[uid] = std::move(name);
}

absl::StatusOr<v1::Identity> PeerIdentity(int fd, UserNames& names) {
  ucred credentials;
  socklen_t size = sizeof(credentials);
  if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &size) != 0) {
    return ErrnoStatus("read credentials of", absl::StrCat("fd ", fd));
  }
  v1::Identity identity;
  identity.set_name(names.Find(credentials.uid));
  identity.set_uid(credentials.uid);
  identity.set_gid(credentials.gid);
  identity.set_pid(credentials.pid);
  return identity;
}

IdentityTable::IdentityTable(int first)
    : first_(std::min(first, OpenFilesLimit() / 2)), next_(first_) {}

absl::StatusOr<int> IdentityTable::Add(UniqueFd connection,
                                       v1::Identity identity) {
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
  entries_[moved.get()] = {*inode, std::move(identity)};
  return moved.Release();
}

std::optional<v1::Identity> IdentityTable::Find(absl::string_view peer) const {
  int fd = -1;
  if (!absl::ConsumePrefix(&peer, "fd:") || !absl::SimpleAtoi(peer, &fd)) {
    return std::nullopt;
  }
  absl::MutexLock lock(&mu_);
  const auto found = entries_.find(fd);
  if (found == entries_.end() || SocketInode(fd) != found->second.inode) {
    return std::nullopt;
  }
  return found->second.identity;
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
