// The unix socket that clients connect to.
#ifndef API_LISTEN_SOCKET_H_
#define API_LISTEN_SOCKET_H_

#include <sys/types.h>

#include <string>

#include "absl/status/statusor.h"
#include "base/unique_fd.h"

namespace bulwark::api {

// A listening socket at a path. It appears there complete: it gets its mode
// and group under another name, and is renamed when it listens. A lock file
// beside it, PATH.lock, is held for the life of this object, so that two
// daemons never share a path; a socket that a dead one left is replaced.
// Thread-compatible.
class ListenSocket {
 public:
  // Mode 0660, owned by this process and `group` (a name or number; empty:
  // the process's own).
  //   FAILED_PRECONDITION  another process serves `path`
  //   ALREADY_EXISTS       there is something that is no socket
  //   NOT_FOUND            no such group, or no such directory
  //   INVALID_ARGUMENT     the path is too long for a socket
  static absl::StatusOr<ListenSocket> Open(const std::string& path,
                                           const std::string& group);

  ListenSocket(ListenSocket&&) = default;
  ListenSocket& operator=(ListenSocket&&) = delete;
  // Removes the path, if it still is this socket's.
  ~ListenSocket();

  int fd() const { return socket_.get(); }

  // Whether nothing is at the path any more: somebody removed it.
  bool IsGone() const;
  // A socket at the path anew, with the same owner and mode; fd() changes.
  // Whoever waits to be accepted on the old one is cut off: accept first.
  // Errors are Open()'s, and leave all as it is.
  absl::Status Restore();

 private:
  // A listening socket whose name is complete.
  struct Bound {
    UniqueFd socket;
    ino_t inode = 0;
  };
  static absl::StatusOr<Bound> Bind(const std::string& path,
                                    const std::string& group);

  ListenSocket(std::string path, std::string group, UniqueFd lock, Bound bound)
      : path_(std::move(path)),
        group_(std::move(group)),
        lock_(std::move(lock)),
        socket_(std::move(bound.socket)),
        inode_(bound.inode) {}

  std::string path_;
  std::string group_;
  UniqueFd lock_;
  UniqueFd socket_;
  ino_t inode_;
};

}  // namespace bulwark::api

#endif  // API_LISTEN_SOCKET_H_
