// The data path as a whole: workers, configuration, numbers.
#ifndef LB_TCP_DATA_PLANE_H_
#define LB_TCP_DATA_PLANE_H_

#include <memory>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "base/clock.h"
#include "base/entropy.h"
#include "lb/config.h"
#include "lb/tcp/engine.h"
#include "lb/tcp/worker.h"
#include "proto/bulwark/dataplane/v1/snapshot.pb.h"

namespace bulwark::lb {

// Thread-safe.
class DataPlane {
 public:
  struct Options {
    int workers = 1;
    EngineKind engine = EngineKind::kAuto;
  };

  // Serves nothing until the first Apply. `sockets` and `clock` outlive it.
  static absl::StatusOr<std::unique_ptr<DataPlane>> Start(
      const Options& options, SocketSource& sockets, Clock& clock,
      Entropy& entropy);
  // Ends all connections.
  ~DataPlane();

  // On return every worker uses `snapshot`. FAILED_PRECONDITION unless its
  // version is above the current one's; INVALID_ARGUMENT if it is malformed;
  // nothing has changed then. Connections of endpoints that are neither READY
  // nor CLOSED, or no longer listed, go on.
  // `others` are sockets of the same source that somebody else uses.
  absl::StatusOr<dataplane::v1::Applied> Apply(
      const dataplane::v1::Snapshot& snapshot,
      const std::vector<SocketKey>& others = {});
  // What Apply would refuse, without doing it.
  absl::Status Check(const dataplane::v1::Snapshot& snapshot) const;

  dataplane::v1::Stats GetStats() const;

 private:
  DataPlane(SocketSource& sockets, Clock& clock)
      : sockets_(sockets), clock_(clock) {}

  absl::StatusOr<std::unique_ptr<Config>> Build(
      const dataplane::v1::Snapshot& snapshot) const;
  void OpenSockets(Config& config, dataplane::v1::Applied& applied);

  SocketSource& sockets_;
  Clock& clock_;
  std::vector<std::unique_ptr<Worker>> workers_;
  // Held through a whole Apply.
  absl::Mutex apply_mu_ ABSL_ACQUIRED_BEFORE(mu_);
  mutable absl::Mutex mu_;
  std::shared_ptr<const Config> config_ ABSL_GUARDED_BY(mu_);
};

}  // namespace bulwark::lb

#endif  // LB_TCP_DATA_PLANE_H_
