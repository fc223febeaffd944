// The proxy's and the daemon's side of the keeper's socket.
#ifndef LB_HANDOVER_KEEPER_CLIENT_H_
#define LB_HANDOVER_KEEPER_CLIENT_H_

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "base/clock.h"
#include "base/unique_fd.h"
#include "lb/handover/keeper_wire.h"
#include "lb/socket_source.h"

namespace bulwark::lb {

// One request and its answer over `fd`. The sockets that came along are
// appended to `received`. UNAVAILABLE if the keeper is gone or silent for
// `timeout`; an error of the keeper's own call carries its errno.
absl::Status CallKeeper(int fd, const KeeperRequest& request,
                        const std::vector<int>& sent, absl::Duration timeout,
                        KeeperResponse& response,
                        std::vector<UniqueFd>& received);

// Connects to the keeper's socket. UNAVAILABLE if nobody listens there,
// PERMISSION_DENIED if who listens is neither root nor our own user.
absl::StatusOr<UniqueFd> ConnectKeeper(const std::string& path);

// Sockets held by the keeper. Thread-safe. If the keeper is lost, we go on with
// the sockets we have, and Check() hands them to the next keeper: so no
// listener closes unless both die at once.
class KeeperClient final : public SocketSource {
 public:
  explicit KeeperClient(std::string path) : path_(std::move(path)) {}

  absl::StatusOr<std::shared_ptr<const SocketGroup>> Open(const SocketKey& key,
                                                          int count) override;
  absl::Status Retain(const std::vector<SocketKey>& keys) override;

  // The socket on which bulwarkd connects. Borrowed; lives as long as this.
  absl::StatusOr<int> Control();

  // `control` instead of the one that Control() gave, which is closed; also
  // with the keeper, now or with the next Check().
  void ReplaceControl(UniqueFd control);

  // A new TCP or UDP socket in another namespace, non-blocking, not connected.
  absl::StatusOr<UniqueFd> NewSocket(SocketKey::Place place,
                                     SocketKey::Protocol protocol, bool ipv6);

  // Connects again, and hands over all sockets, if the keeper is another one.
  // To be called periodically.
  absl::Status Check();

  // Blocks until the connection to the keeper ends, or `most` has passed, of
  // real time. Whether it has ended; false at once if there is none.
  bool AwaitLoss(absl::Duration most);

 private:
  absl::Status Connect() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Connects and does `f`; once more over a new connection if that one turns
  // out to be dead, since a keeper that was replaced is noticed only so.
  template <typename F>
  absl::Status WithKeeper(F f) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    const bool fresh = !connection_.ok();
    absl::Status status = Connect();
    if (status.ok()) status = f();
    if (fresh || connection_.ok() || !absl::IsUnavailable(status)) {
      return status;
    }
    status = Connect();
    return status.ok() ? f() : status;
  }
  absl::Status RetainGroups() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  absl::Status HandOver() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  absl::Status Call(const KeeperRequest& request, const std::vector<int>& sent,
                    std::vector<UniqueFd>& received)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  const std::string path_;
  absl::Mutex mu_;
  UniqueFd connection_ ABSL_GUARDED_BY(mu_);
  UniqueFd control_ ABSL_GUARDED_BY(mu_);
  std::map<SocketKey, std::shared_ptr<const SocketGroup>> groups_
      ABSL_GUARDED_BY(mu_);
};

}  // namespace bulwark::lb

#endif  // LB_HANDOVER_KEEPER_CLIENT_H_
