// The end of everything, in order, before the host goes down.
#include <algorithm>

#include "absl/strings/strip.h"
#include "base/status.h"
#include "scheduler/names.h"
#include "scheduler/rollout/restart.h"
#include "scheduler/scheduler.h"
#include "scheduler/services/reader.h"
#include "scheduler/shutdown.h"
#include "store/objects.h"
#include "store/readable.h"

namespace bulwark::scheduler {
namespace {

// How long a lost hint can hold up a shutdown.
constexpr absl::Duration kShutdownPoll = absl::Milliseconds(250);

// "PROJECT/NAME" for a service, "job/PROJECT/NAME" for a job.
std::vector<std::string> NamesOf(const std::set<std::string>& owners) {
  std::vector<std::string> names;
  for (const std::string& key : owners) {
    names.emplace_back(absl::StripPrefix(key, "service/"));
  }
  return names;
}

}  // namespace

absl::StatusOr<DependencyGraph> Scheduler::Owners() {
  DependencyGraph graph;
  for (const char* kind : {"service", "job"}) {
    ASSIGN_OR_RETURN(auto all, store::ListReadable(ports_.store, kind));
    for (const v1::Object& object : all.objects) {
      const store::Key key = store::KeyOf(object);
      auto& needs = graph[key.ToString()];
      const auto& dependencies = object.has_job()
                                     ? object.job().spec().depends_on()
                                     : object.service().spec().depends_on();
      // What waited for a job's end needs it no more.
      for (const v1::Dependency& d : dependencies) {
        if (d.condition() == v1::Dependency::COMPLETED) continue;
        needs.push_back(
            store::ObjectKey("service", key.project, d.service()).ToString());
      }
    }
  }
  return graph;
}

absl::StatusOr<std::set<std::string>> Scheduler::LiveOwners() {
  ASSIGN_OR_RETURN(auto replicas, store::ListReadable(ports_.store, "replica"));
  std::set<std::string> live;
  for (const v1::Object& object : replicas.objects) {
    if (HasEnded(object.replica())) continue;
    live.insert(OwnerKeyOf(object.replica()).ToString());
  }
  return live;
}

absl::StatusOr<std::vector<std::string>> Scheduler::ShutdownAll(
    absl::Duration timeout) {
  const absl::Duration deadline = ports_.clock.Steady() + timeout;
  while (true) {
    int64_t seen;
    {
      absl::MutexLock lock(&mu_);
      seen = replica_changes_;
    }
    ASSIGN_OR_RETURN(const DependencyGraph graph, Owners());
    ASSIGN_OR_RETURN(std::set<std::string> live, LiveOwners());
    std::set<std::string> next = StopNext(graph, live);
    // What has no replica must not get one any more.
    for (const auto& [key, needs] : graph) {
      if (!live.contains(key)) next.insert(key);
    }
    {
      absl::MutexLock lock(&mu_);
      down_.insert(next.begin(), next.end());
    }
    for (const std::string& key : next) Wake(key);
    if (live.empty()) return std::vector<std::string>();
    if (ports_.clock.Steady() >= deadline) {
      RETURN_IF_ERROR(KillAll(live));
      return NamesOf(live);
    }
    absl::MutexLock lock(&mu_);
    auto changed = [this, seen]() ABSL_SHARED_LOCKS_REQUIRED(mu_) {
      return replica_changes_ != seen;
    };
    ports_.clock.AwaitUntil(
        mu_, absl::Condition(&changed),
        std::min(deadline, ports_.clock.Steady() + kShutdownPoll));
  }
}

absl::Status Scheduler::KillAll(const std::set<std::string>& owners) {
  {
    absl::MutexLock lock(&mu_);
    down_.insert(owners.begin(), owners.end());
  }
  for (const std::string& key : owners) Wake(key);
  absl::Status first;
  for (const engine::ContainerInfo& info : ports_.engine.List()) {
    if (info.state != engine::ContainerState::kRunning ||
        !info.labels.contains(kReplicaLabel)) {
      continue;
    }
    const absl::Status killed = ports_.engine.Kill(info.id);
    if (!absl::IsNotFound(killed)) first.Update(killed);
  }
  return first;
}

}  // namespace bulwark::scheduler
