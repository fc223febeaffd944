// What containers and probes do by themselves.
#include <algorithm>

#include "scheduler/names.h"
#include "scheduler/times.h"
#include "store/objects.h"
#include "tests/sim/world.h"

namespace bulwark::sim {

const Behavior* World::BehaviorOf(const engine::ContainerInfo& info) {
  auto spec = engine.SpecOf(info.id);
  if (!spec.ok() || spec->layers.empty()) return nullptr;
  auto found = behaviors_.find(spec->layers[0]);
  return found == behaviors_.end() ? nullptr : &found->second;
}

absl::Time World::PlayContainers() {
  absl::Time next = absl::InfiniteFuture();
  for (const engine::ContainerInfo& info : engine.List()) {
    next = std::min(next, PlayContainer(info));
  }
  return next;
}

absl::Time World::PlayContainer(const engine::ContainerInfo& info) {
  if (info.state != engine::ContainerState::kRunning) {
    return absl::InfiniteFuture();
  }
  const Behavior* behavior = BehaviorOf(info);
  if (behavior == nullptr) return absl::InfiniteFuture();
  const absl::Time exit = info.start_time + behavior->exit_after;
  const absl::Time ready = info.start_time + behavior->ready_after;
  if (clock.Now() >= exit) {
    engine.Print(info.id, "giving up", true).IgnoreError();
    engine.Exit(info.id, behavior->exit_code).IgnoreError();
    return absl::InfiniteFuture();
  }
  if (made_ready_.contains(info.id)) return exit;
  if (clock.Now() < ready) return std::min(exit, ready);
  auto name = info.labels.find(scheduler::kReplicaNameLabel);
  if (name == info.labels.end()) return exit;
  if (!MakeReady(name->second)) {
    // Its state is not written yet: the probe comes again.
    return std::min(exit, clock.Now() + absl::Milliseconds(100));
  }
  made_ready_.insert(info.id);
  return exit;
}

bool World::MakeReady(const std::string& name) {
  auto object =
      store::GetObject(store, store::ObjectKey("replica", "default", name));
  if (!object.ok()) return false;
  v1::ReplicaStatus& status = *object->mutable_replica()->mutable_status();
  if (status.ready()) return true;
  if (status.state() != v1::ReplicaStatus::RUNNING) return false;
  status.set_ready(true);
  scheduler::SetTime(status.mutable_ready_time(), clock.Now());
  return CommitAnyway(store::Batch()
                          .Put(store::KeyOf(*object), store::Encode(*object),
                               store::RevisionOf(*object))
                          .NotDurable())
      .ok();
}

}  // namespace bulwark::sim
