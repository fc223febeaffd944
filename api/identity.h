// Who is at the other end of a connection.
//
// gRPC does not tell the peer's credentials, so the server accepts connections
// itself, asks the kernel (SO_PEERCRED: the credentials at connect, which no
// later change of the peer's alters), and hands the descriptor to gRPC, which
// then names the connection "fd:N". See docs/adr/0010-identity-at-accept.md.
#ifndef API_IDENTITY_H_
#define API_IDENTITY_H_

#include <sys/types.h>

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "base/unique_fd.h"
#include "proto/bulwark/v1/meta.pb.h"

namespace bulwark::api {

// Names of users and groups, from the system's database, cached: it may ask a
// server. Thread-safe.
class UserNames {
 public:
  // "uid:N" if there is no such user.
  std::string Find(uid_t uid);
  // "gid:N" if there is no such group.
  std::string FindGroup(gid_t gid);

 private:
  absl::Mutex mu_;
  std::map<uid_t, std::string> names_ ABSL_GUARDED_BY(mu_);
  std::map<gid_t, std::string> groups_ ABSL_GUARDED_BY(mu_);
};

// Who is at the other end.
struct Peer {
  v1::Identity identity;
  // Beside the one in `identity`.
  std::vector<gid_t> groups;
};

// The credentials of a connected unix socket's peer.
absl::StatusOr<Peer> PeerOf(int fd, UserNames& names);

// Identities of the connections that gRPC holds. Entries cannot be mistaken
// for one another when a descriptor's number is used again: each remembers the
// socket's inode, and numbers are dealt out in turn from a high range, so that
// one comes again only after all others. Thread-safe.
class IdentityTable {
 public:
  // Numbers from `first` up to the limit of open files are dealt out.
  explicit IdentityTable(int first = 512);

  // Moves `connection` to the next number and remembers who it is. The result
  // belongs to the caller, who gives it to gRPC. RESOURCE_EXHAUSTED if no
  // descriptor is left.
  absl::StatusOr<int> Add(UniqueFd connection, Peer who);

  // Who is behind `peer`, "fd:N"; none for anything else, and once the
  // connection is closed.
  std::optional<Peer> Find(absl::string_view peer) const;

  // Forgets closed connections, and counts the others.
  size_t Sweep();

 private:
  struct Entry {
    ino_t inode;
    Peer peer;
  };

  const int first_;
  mutable absl::Mutex mu_;
  int next_ ABSL_GUARDED_BY(mu_);
  std::map<int, Entry> entries_ ABSL_GUARDED_BY(mu_);
};

}  // namespace bulwark::api

#endif  // API_IDENTITY_H_
