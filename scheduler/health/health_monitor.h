// Runs the probes of every running replica and records what they say.
#ifndef SCHEDULER_HEALTH_HEALTH_MONITOR_H_
#define SCHEDULER_HEALTH_HEALTH_MONITOR_H_

#include <deque>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "base/clock.h"
#include "engine/images.h"
#include "proto/bulwark/v1/objects.pb.h"
#include "scheduler/events.h"
#include "scheduler/follow/follower.h"
#include "scheduler/health/probe_plan.h"
#include "scheduler/health/prober.h"
#include "store/store.h"

namespace bulwark::scheduler {

// The only writer of ReplicaStatus.ready, ready_time, liveness_failed and
// probe_message. It writes transitions, not results, and does not fsync them:
// probing again finds them out. A replica with a paused container is not ready,
// and its probes wait: it is not replaced for that. A replica that was ready
// before a restart of ours counts as ready until its probe fails `failure`
// times.
//
// Thread-safe. Start() and Stop() once each.
class HealthMonitor {
 public:
  // The references must outlive this object. `threads` bounds the probes that
  // run at once. `tell` is told why a replica is not ready, and when one that
  // was is so again; it may be null.
  HealthMonitor(store::MetadataStore& store, engine::Images& images,
                Prober& prober, Clock& clock, int threads = 16,
                TellEvent tell = nullptr);
  ~HealthMonitor();

  void Start();
  void Stop();

 private:
  struct Probe {
    PlannedProbe plan;
    ProbeState state;
    absl::Duration due;  // steady time
    bool running = false;
  };
  struct Tracked {
    store::Key key;
    std::vector<Probe> probes;
    std::string paused;            // a container that is; empty: none
    bool ready = false;            // as last written
    bool was_ready = false;        // ever, as far as it is written
    bool liveness_failed = false;  // as last written
    std::string told;              // why it is not ready, as last written
    absl::Duration tell_from;      // steady; no new reason before that
    std::string complaint;         // why writing failed, as last logged
  };
  // What is to be written of a replica.
  struct Verdict {
    store::Key key;
    std::string uid;
    bool ready;
    bool liveness_failed;
    std::string message;
  };

  absl::StatusOr<absl::Duration> Pass(
      const std::vector<store::Change>* changes);
  absl::Status Resync();
  void Update(const v1::Object& object);
  absl::StatusOr<std::vector<PlannedProbe>> Plan(const v1::Replica& replica);
  void WorkLoop();
  // The probe that is due first, with its due time; null if there is none.
  Probe* Earliest(std::string& uid) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Waits until a probe is due; null: it is to stop.
  Probe* AwaitDue(std::string& uid) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Whether that changes something. Tells it then.
  bool NotePause(const v1::Replica& replica);
  void Judge(const std::string& uid, Tracked& tracked, std::string message)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void WriteVerdicts();
  absl::Status Write(const Verdict& verdict, bool was_ready);
  // Of one that has been ready. Why one that starts is not yet is in its
  // status.
  void Tell(const v1::Replica& replica, const Verdict& verdict);

  store::MetadataStore& store_;
  engine::Images& images_;
  Prober& prober_;
  Clock& clock_;
  const int threads_;
  const TellEvent tell_;

  absl::Mutex mu_;
  std::map<std::string, Tracked> tracked_ ABSL_GUARDED_BY(mu_);  // by uid
  std::deque<Verdict> verdicts_ ABSL_GUARDED_BY(mu_);
  bool writing_ ABSL_GUARDED_BY(mu_) = false;
  uint64_t changes_ ABSL_GUARDED_BY(mu_) = 0;  // wakes who waits for it
  bool awaited_ ABSL_GUARDED_BY(mu_) = false;  // somebody is in AwaitDue()
  bool stop_ ABSL_GUARDED_BY(mu_) = false;
  std::vector<std::thread> workers_;
  Follower follower_;  // last: its thread uses the rest
};

}  // namespace bulwark::scheduler

#endif  // SCHEDULER_HEALTH_HEALTH_MONITOR_H_
