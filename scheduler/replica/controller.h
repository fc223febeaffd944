// Takes each replica from its record to its end.
#ifndef SCHEDULER_REPLICA_CONTROLLER_H_
#define SCHEDULER_REPLICA_CONTROLLER_H_

#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "base/clock.h"
#include "engine/engine.h"
#include "proto/bulwark/v1/objects.pb.h"
#include "scheduler/control/runner.h"
#include "scheduler/endpoints.h"
#include "scheduler/events.h"
#include "scheduler/replica/hooks.h"
#include "scheduler/replica/launcher.h"
#include "scheduler/replica/plan.h"
#include "store/store.h"

namespace bulwark::scheduler {

// The only writer of ReplicaStatus, but for the fields of the health monitor.
// Every step can be repeated: a kill of ours at any instant is mended by
// looking at the key again. Its commits are not fsynced, since looking at the
// engine gives the same status again. Thread-safe.
class ReplicaController {
 public:
  // Called when the service or job of the replica should be planned anew. Must
  // not block.
  using Changed = std::function<void(const v1::Replica& replica)>;

  // Called with the id of a container whose replica should be looked at again.
  // Any thread; must not block.
  using Look = std::function<void(const std::string& container_id)>;

  // The references must outlive this object.
  ReplicaController(store::MetadataStore& store, engine::Engine& engine,
                    Launcher& launcher, const Endpoints& endpoints,
                    Clock& clock, EventRecorder& events, Changed changed,
                    Look look);

  // Cuts off the hooks that run. Once, when Reconcile() runs no more.
  void Stop() { hooks_.Stop(); }

  // All steps that are ready of the replica `key`, "PROJECT/NAME".
  absl::StatusOr<Result> Reconcile(const std::string& key);

  // Only records the end of a replica that has ended. For start-up: after a
  // reboot the records still tell of the time before.
  absl::Status Observe(const std::string& key);

 private:
  // One replica with what belongs to it, as just read.
  struct Loaded {
    store::Key key;
    v1::Object object;
    std::optional<v1::Revision> revision;
    v1::ChangePolicy on_change;
    ReplicaView view;

    v1::Replica& replica() { return *object.mutable_replica(); }
  };

  // Nothing if there is no such replica.
  absl::StatusOr<std::optional<Loaded>> Load(const std::string& key);
  absl::Status LoadContainers(Loaded& loaded);
  void LoadIntent(const v1::Container* container, ContainerView& view);
  // Whether to go on with the next step.
  absl::StatusOr<bool> Execute(Loaded& loaded, const Step& step);
  absl::StatusOr<bool> TryStart(Loaded& loaded, size_t index);
  absl::Status Start(Loaded& loaded, size_t index);
  absl::Status Restart(Loaded& loaded, size_t index);
  absl::Status Update(Loaded& loaded, size_t index);
  absl::Status BeginHooks(Loaded& loaded, const Step& step);
  void TellOfHooks(const Loaded& loaded);
  absl::Status Signal(Loaded& loaded, const Step& step);
  // Gives running containers the newest files, and tells them.
  absl::Status SwapInputs(Loaded& loaded);
  void WithdrawInputs(absl::string_view container_id);
  absl::Status Kill(Loaded& loaded, const Step& step);
  absl::Status End(Loaded& loaded, const Step& step);
  absl::Status Enter(Loaded& loaded, const Step& step);
  // `events` tell of what is committed.
  absl::Status Commit(Loaded& loaded,
                      const std::vector<PlannedEvent>& events = {});
  // Whom events about the replica are about.
  static v1::ObjectReference SubjectOf(const Loaded& loaded);
  std::string LastLines(const std::string& container_id);
  void Tell(const Loaded& loaded, absl::string_view reason,
            absl::string_view message, v1::Event::Severity severity);

  store::MetadataStore& store_;
  engine::Engine& engine_;
  Launcher& launcher_;
  const Endpoints& endpoints_;
  Clock& clock_;
  EventRecorder& events_;
  const Changed changed_;

  absl::Mutex mu_;
  // Containers that got the stop signal from this process. After a restart
  // they get it once more, which is better than never.
  std::set<std::string> signalled_ ABSL_GUARDED_BY(mu_);
  // Limits that the engine refused to a container.
  struct Refusal {
    engine::Resources wanted;
    std::string why;
    absl::Time again_at;
  };
  std::map<std::string, Refusal> refusals_ ABSL_GUARDED_BY(mu_);
  // Replicas whose hooks this process has begun.
  std::set<std::string> hooked_ ABSL_GUARDED_BY(mu_);
  HookRunner hooks_;  // last: its threads call the rest
};

}  // namespace bulwark::scheduler

#endif  // SCHEDULER_REPLICA_CONTROLLER_H_
