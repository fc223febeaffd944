// The next step of one replica. Pure.
#ifndef SCHEDULER_REPLICA_PLAN_H_
#define SCHEDULER_REPLICA_PLAN_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "engine/engine.h"
#include "proto/bulwark/v1/service.pb.h"

namespace bulwark::scheduler {

enum class ContainerRole { kInit, kSidecar, kMain };

// One container of a replica and what the engine says of it.
struct ContainerView {
  ContainerRole role = ContainerRole::kMain;
  std::string name;
  std::string id;                             // of the current attempt
  int attempt = 0;                            // 0 is the first start
  std::optional<engine::ContainerInfo> info;  // none: the engine has none
  bool signalled = false;  // by this process, with the stop signal
  // Its limits are not the declared ones; not before that time they are tried
  // (again), and why they were refused.
  bool outdated = false;
  absl::Time update_at = absl::InfinitePast();
  std::string update_error;
  // Its preStop hook, as run by this process.
  enum class Hook { kAbsent, kWaiting, kRunning, kOver };
  Hook hook = Hook::kAbsent;

  bool Running() const {
    return info.has_value() && info->state == engine::ContainerState::kRunning;
  }
  bool Exited() const {
    return info.has_value() && info->state == engine::ContainerState::kExited;
  }
};

struct ReplicaView {
  v1::Replica replica;
  // Init containers in order, then sidecars, then main ones.
  std::vector<ContainerView> containers;
  bool is_out = false;             // see Endpoints
  int64_t active_connections = 0;  // see Endpoints
  // This process has begun the hooks that the status tells of.
  bool hooks_are_ours = false;
  absl::Duration drain_timeout;
  absl::Duration stop_timeout;
  absl::Time now;
};

struct Step {
  enum class Kind {
    kWait,      // nothing to do before wake_at or an event
    kSetState,  // enter `state`, which is no end
    kStart,     // the targets (one), with all that it takes
    kRestart,   // the same with the next attempt
    kUpdate,    // give the targets their declared limits
    kHook,      // note `reason` in the status, then begin the targets' hooks
    kSignal,    // send the stop signal to the targets
    kKill,      // the targets, until they are gone
    kEnd,       // enter `state`, which is an end
  };
  Kind kind = Kind::kWait;
  std::vector<size_t> targets;  // indices into ReplicaView.containers
  v1::ReplicaStatus::State state = v1::ReplicaStatus::STATE_UNSPECIFIED;
  std::string reason;   // kEnd, kHook
  std::string message;  // kEnd, kSetState: a sentence for people
  // kEnd: index of the container whose end ended the replica, or whose last
  // words tell why it was given up.
  std::optional<size_t> culprit;
  absl::Time wake_at = absl::InfiniteFuture();  // kWait
};

// Up: init containers one after the other, sidecars, main containers; RUNNING
// when all of these run. A sidecar that exits is started again in place (at
// once, then after 1 s doubling to 60 s; at once again after a run of 60 s).
// The exit of a main container, a failed init container or a failed liveness
// probe ends the replica; what still runs is killed.
//
// An execution of a job ends, Completed, when every main container has exited
// with 0; its first other exit ends it too. It is never drained.
//
// Down: DRAINING until the data plane sends no new connections and the
// established ones have ended or had their time (a replica that is not ready,
// or with skip_drain, only waits for the former); STOPPING: the preStop hooks
// of main containers, when these are over the stop signal to main and init
// containers, then the same for sidecars; the kill when the stop timeout is
// over. Without a word from the data plane it goes on after a grace of 10 s.
//
// Hooks that a crash of ours cut off are run once more, and no third time: the
// status's reason, "PreStop" or "PreStopAgain", tells how far they were.
Step NextStep(const ReplicaView& view);

// ReplicaStatus.reason while hooks run: for the first, and the second time.
inline constexpr char kPreStop[] = "PreStop";
inline constexpr char kPreStopAgain[] = "PreStopAgain";

// "Completed", "Error", "OOMKilled", "LaunchFailed", "ShimLost", "HostReboot".
std::string ExitReason(const engine::ExitInfo& exit);
// "exited with status 1", "was killed by signal 9".
std::string ExitSentence(const engine::ExitInfo& exit);

}  // namespace bulwark::scheduler

#endif  // SCHEDULER_REPLICA_PLAN_H_
