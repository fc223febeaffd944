// The real data plane: bulwark-keeper and bulwark-proxy, reached over sockets.
#ifndef LB_LOCAL_LOCAL_PROXY_H_
#define LB_LOCAL_LOCAL_PROXY_H_

#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "base/clock.h"
#include "base/unique_fd.h"
#include "lb/proxy.h"

namespace bulwark::lb {

struct LocalProxyConfig {
  // Absolute; sockets, locks and the last snapshot. Made (0700) if missing.
  // At most 90 characters, for the sockets in it.
  std::string runtime_dir;
  // Absolute; the log, dataplane.log. Made if missing.
  std::string state_dir;
  // Programs, absolute.
  std::string keeper_path;
  std::string proxy_path;
  // The pinned namespace; "": everything runs in our own.
  std::string dataplane_netns;
  // 0: one for each processor.
  int workers = 0;
  // "auto", "io_uring" or "epoll".
  std::string engine = "auto";
};

// Thread-safe; calls of Apply are served one at a time, and so are those of
// Stats, beside them. Start() is cheap when all runs,
// and may be called again at any time: it brings back a keeper that was killed.
// Once it has succeeded, Apply and Stats do the same, at most once a second.
class LocalProxy final : public Proxy {
 public:
  // `clock` outlives it.
  LocalProxy(LocalProxyConfig config, Clock& clock);
  // Leaves keeper and proxy running.
  ~LocalProxy() override;

  // INVALID_ARGUMENT for a wrong configuration, FAILED_PRECONDITION with the
  // keeper's own words if it cannot start.
  absl::Status Start() override;
  absl::StatusOr<dataplane::v1::Applied> Apply(
      const dataplane::v1::Snapshot& snapshot, absl::Duration timeout) override;
  absl::StatusOr<dataplane::v1::Stats> Stats(absl::Duration timeout) override;
  absl::StatusOr<dataplane::v1::Snapshot> LastApplied() override;
  absl::Status Shutdown() override;

 private:
  absl::Status Spawn();
  // Brings keeper and proxy back if they are gone; a failure is logged, since
  // the call itself will tell.
  void Revive();
  // A connection to the proxy, for one call at a time.
  struct Channel {
    absl::Mutex mu;
    UniqueFd fd ABSL_GUARDED_BY(mu);
  };

  absl::Status Connect(Channel& channel)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(channel.mu);
  // Sends until it is answered, over a new connection if the old one breaks.
  absl::StatusOr<dataplane::v1::Response> Call(
      Channel& channel, const dataplane::v1::Request& request,
      absl::Duration timeout);
  absl::StatusOr<dataplane::v1::Response> TryOnce(
      Channel& channel, const dataplane::v1::Request& request,
      absl::Duration deadline) ABSL_EXCLUSIVE_LOCKS_REQUIRED(channel.mu);

  const LocalProxyConfig config_;
  Clock& clock_;
  Channel apply_;
  // Nobody who only reads numbers waits for a change of the configuration.
  Channel stats_;
  absl::Mutex mu_;
  bool started_ ABSL_GUARDED_BY(mu_) = false;
  absl::Duration last_check_ ABSL_GUARDED_BY(mu_);
  // Highest version acknowledged to us.
  uint64_t applied_version_ ABSL_GUARDED_BY(mu_) = 0;
};

}  // namespace bulwark::lb

#endif  // LB_LOCAL_LOCAL_PROXY_H_
