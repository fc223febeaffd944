#include "api/listen_socket.h"

#include <fcntl.h>
#include <grp.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <cerrno>
#include <cstring>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "base/rollback.h"
#include "base/status.h"

namespace bulwark::api {
namespace {

constexpr int kBacklog = 128;
constexpr char kTemporary[] = ".new";

absl::StatusOr<gid_t> FindGroup(const std::string& name) {
  gid_t id = 0;
  if (absl::SimpleAtoi(name, &id)) return id;
  std::vector<char> buffer(4096);
  while (true) {
    group entry;
    group* found = nullptr;
    const int error =
        getgrnam_r(name.c_str(), &entry, buffer.data(), buffer.size(), &found);
    if (error == EINTR) continue;
    if (error == ERANGE && buffer.size() < (size_t{1} << 20)) {
      buffer.resize(buffer.size() * 2);
      continue;
    }
    if (found != nullptr) return entry.gr_gid;
    return absl::NotFoundError(absl::StrCat(
        "look up group ", name, ": there is no such group on this host"));
  }
}

absl::StatusOr<sockaddr_un> AddressOf(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof(address.sun_path)) {
    return absl::InvalidArgumentError(absl::StrCat(
        "listen on ", path, ": a socket's path has 1 to ",
        sizeof(address.sun_path) - 1 - strlen(kTemporary), " characters"));
  }
  memcpy(address.sun_path, path.data(), path.size());
  return address;
}

// The lock is the kernel's: it goes with the process, however that ends.
absl::StatusOr<UniqueFd> Lock(const std::string& path) {
  const std::string name = path + ".lock";
  UniqueFd lock(
      open(name.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!lock.ok()) return ErrnoStatus("open", name);
  if (flock(lock.get(), LOCK_EX | LOCK_NB) == 0) return lock;
  if (errno != EWOULDBLOCK) return ErrnoStatus("lock", name);
  return absl::FailedPreconditionError(
      absl::StrCat("listen on ", path, ": another daemon serves it"));
}

// OK if nothing is at `path`, or a socket that nobody listens on.
absl::Status CheckReplaceable(const std::string& path,
                              const sockaddr_un& address) {
  struct stat info;
  if (lstat(path.c_str(), &info) != 0) {
    return errno == ENOENT ? absl::OkStatus() : ErrnoStatus("stat", path);
  }
  if (!S_ISSOCK(info.st_mode)) {
    return absl::AlreadyExistsError(
        absl::StrCat("listen on ", path, ": it exists and is no socket"));
  }
  UniqueFd probe(
      socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!probe.ok()) return ErrnoStatus("make", "a socket");
  if (connect(probe.get(), reinterpret_cast<const sockaddr*>(&address),
              sizeof(address)) != 0 &&
      errno == ECONNREFUSED) {
    return absl::OkStatus();
  }
  return absl::FailedPreconditionError(
      absl::StrCat("listen on ", path, ": another process serves it"));
}

absl::Status Prepare(int fd, const std::string& name,
                     const std::string& group) {
  // Nobody can connect before listen(), so that the order is safe.
  if (chmod(name.c_str(), 0660) != 0) return ErrnoStatus("chmod", name);
  if (!group.empty()) {
    ASSIGN_OR_RETURN(const gid_t id, FindGroup(group));
    if (lchown(name.c_str(), static_cast<uid_t>(-1), id) != 0) {
      return ErrnoStatus("chown", name);
    }
  }
  if (listen(fd, kBacklog) != 0) return ErrnoStatus("listen on", name);
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<ListenSocket> ListenSocket::Open(const std::string& path,
                                                const std::string& group) {
  // Too long a path is told before the lock's file is made.
  RETURN_IF_ERROR(AddressOf(path + kTemporary).status());
  ASSIGN_OR_RETURN(UniqueFd lock, Lock(path));
  ASSIGN_OR_RETURN(Bound bound, Bind(path, group));
  return ListenSocket(path, group, std::move(lock), std::move(bound));
}

absl::StatusOr<ListenSocket::Bound> ListenSocket::Bind(
    const std::string& path, const std::string& group) {
  const std::string name = path + kTemporary;
  ASSIGN_OR_RETURN(const sockaddr_un address, AddressOf(name));
  ASSIGN_OR_RETURN(const sockaddr_un final_address, AddressOf(path));
  RETURN_IF_ERROR(CheckReplaceable(path, final_address));

  UniqueFd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd.ok()) return ErrnoStatus("make", "a socket");
  unlink(name.c_str());  // of a daemon that died right here
  if (bind(fd.get(), reinterpret_cast<const sockaddr*>(&address),
           sizeof(address)) != 0) {
    return ErrnoStatus("bind", name);
  }
  Rollback undo;
  undo.Add([&name] { unlink(name.c_str()); });
  RETURN_IF_ERROR(Prepare(fd.get(), name, group));
  struct stat info;
  if (lstat(name.c_str(), &info) != 0) return ErrnoStatus("stat", name);
  if (rename(name.c_str(), path.c_str()) != 0) {
    return ErrnoStatus("rename", name);
  }
  undo.Commit();
  return Bound{std::move(fd), info.st_ino};
}

bool ListenSocket::IsGone() const {
  struct stat info;
  return lstat(path_.c_str(), &info) != 0 && errno == ENOENT;
}

absl::Status ListenSocket::Restore() {
  ASSIGN_OR_RETURN(Bound bound, Bind(path_, group_));
  socket_ = std::move(bound.socket);
  inode_ = bound.inode;
  return absl::OkStatus();
}

ListenSocket::~ListenSocket() {
  if (!socket_.ok()) return;
  struct stat info;
  if (lstat(path_.c_str(), &info) == 0 && S_ISSOCK(info.st_mode) &&
      info.st_ino == inode_) {
    unlink(path_.c_str());
  }
}

}  // namespace bulwark::api
