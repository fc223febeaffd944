// Keeps the data plane in step with the store.
#ifndef SCHEDULER_PUBLISH_PUBLISHER_H_
#define SCHEDULER_PUBLISH_PUBLISHER_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "base/clock.h"
#include "lb/proxy.h"
#include "scheduler/endpoints.h"
#include "scheduler/events.h"
#include "scheduler/follow/follower.h"
#include "scheduler/publish/holds.h"
#include "scheduler/publish/published_objects.h"
#include "scheduler/publish/snapshot_builder.h"
#include "store/store.h"

namespace bulwark::scheduler {

struct PublisherOptions {
  std::vector<std::string> dns_upstreams;  // as PublishView's
  std::vector<std::string> dns_addresses;
  // Is told when a service has nobody for new connections, and when it has
  // again.
  TellEvent tell;
};

// Follows services, replicas and networks, and hands the data plane a new
// snapshot whenever what it should serve has changed: at once if a replica is
// ready or not any more, and after 20 ms at most otherwise, but spends no more
// than a quarter of its time on that. Each is built from all that was committed
// up to the change that led to it: what the data plane acknowledges is then
// true of that change. Everything is read anew twice a minute, and after every
// error.
//
// A service whose record cannot be read keeps what was served for it last.
//
// Also writes the condition PortsOpen of services (the only writer of it), and
// tells of connections that are held.
//
// Thread-safe. Start() and Stop() once each.
class Publisher final : public Endpoints {
 public:
  // Called without locks, from the publisher's thread, for each replica of
  // which IsOut or ActiveConnections has changed.
  using ChangeSink = std::function<void(const std::string& replica_uid)>;

  // The references must outlive this object.
  Publisher(store::MetadataStore& store, lb::Proxy& proxy, Clock& clock,
            PublisherOptions options = {});

  void Start(ChangeSink sink);
  void Stop() { follower_.Stop(); }

  bool IsOut(absl::string_view replica_uid) const override;
  int64_t ActiveConnections(absl::string_view replica_uid) const override;

  // One pass that reads everything: publishes if anything changed. Public for
  // tests.
  absl::Status PublishOnce();
  // Reads the established connections of the draining replicas.
  absl::Status SampleOnce();

 private:
  absl::StatusOr<absl::Duration> Pass(
      const std::vector<store::Change>* changes);
  absl::Status Apply();
  absl::Status KeepUnreadable(const PublishView& view,
                              dataplane::v1::Snapshot& snapshot);
  void TellOfHolds(const PublishView& view, const dataplane::v1::Snapshot& now);
  absl::Status WritePortConditions(const PublishView& view,
                                   const dataplane::v1::Applied& applied);

  store::MetadataStore& store_;
  lb::Proxy& proxy_;
  Clock& clock_;
  const PublisherOptions options_;
  ChangeSink sink_;

  // Only the publishing thread touches these.
  PublishView view_;
  PublishedObjects objects_{view_};
  // When what has changed since the last snapshot was built is to be
  // published.
  absl::Duration publish_at_ = absl::InfiniteDuration();
  absl::Duration rested_;      // when the next may be published
  absl::Duration resync_;      // when everything is looked at again
  absl::Duration guard_;       // when the keeper is looked at again
  std::string published_;      // the last acknowledged snapshot, serialized
  uint64_t version_ = 0;       // of the last acknowledged snapshot
  bool synced_ = false;        // version_ was read from the data plane
  bool ports_failed_ = false;  // a listener of it could not be opened
  // The last acknowledged snapshot; none before the first.
  std::optional<dataplane::v1::Snapshot> last_;
  // What was served for each service whose record cannot be read.
  std::map<std::string, dataplane::v1::Snapshot> kept_;
  HoldTracker holds_;
  // Services whose hold was told, with the counts of that time, if known.
  std::map<std::string, std::optional<HoldCounts>> counts_;

  mutable absl::Mutex mu_;
  // Replicas that were on their way out when the acknowledged snapshot was
  // built.
  std::set<std::string, std::less<>> out_ ABSL_GUARDED_BY(mu_);
  std::map<std::string, int64_t, std::less<>> active_ ABSL_GUARDED_BY(mu_);

  Follower follower_;  // last: its thread uses the rest
};

}  // namespace bulwark::scheduler

#endif  // SCHEDULER_PUBLISH_PUBLISHER_H_
