#include "tests/sim/invariants.h"

#include <set>

#include "absl/strings/str_cat.h"
#include "scheduler/names.h"
#include "scheduler/rollout/defaults.h"
#include "scheduler/rollout/restart.h"
#include "scheduler/times.h"

namespace bulwark::sim {
namespace {

using scheduler::HasEnded;
using scheduler::RolloutSettings;
using scheduler::ToTime;

bool IsAvailable(const v1::Replica& r, const RolloutSettings& s,
                 absl::Time now) {
  return !HasEnded(r) && r.spec().goal() == v1::ReplicaSpec::RUN &&
         r.status().state() == v1::ReplicaStatus::RUNNING &&
         r.status().ready() &&
         ToTime(r.status().ready_time()) + s.min_healthy_time <= now;
}

}  // namespace

void Invariants::Check() {
  // Most steps write nothing.
  if (world_.store.CurrentRevision() != checked_) {
    checked_ = world_.store.CurrentRevision();
    by_uid_.clear();
    for (const char* name : {"a", "b"}) {
      const std::vector<v1::Replica> replicas = world_.Replicas(name);
      CheckSlots(name, replicas);
      CheckCounts(name, replicas);
      for (const v1::Replica& r : replicas) by_uid_[r.metadata().uid()] = r;
    }
    CheckAddresses(by_uid_);
  }
  CheckContainers(by_uid_);
}

void Invariants::CheckSlots(const std::string& name,
                            const std::vector<v1::Replica>& replicas) {
  std::set<std::pair<std::string, int>> slots;
  for (const v1::Replica& r : replicas) {
    if (HasEnded(r)) continue;
    if (!slots.insert({r.spec().service_uid(), r.spec().slot()}).second) {
      violate_(absl::StrCat("slot ", r.spec().slot(), " of ", name,
                            " is held twice"));
    }
  }
}

void Invariants::CheckCounts(const std::string& name,
                             const std::vector<v1::Replica>& replicas) {
  auto service = world_.GetService(name);
  Seen now;
  if (!service.has_value()) {
    seen_[name] = now;
    return;
  }
  const v1::Template* target = nullptr;
  const std::vector<v1::Revision> revisions = world_.Revisions(name);
  for (const v1::Revision& r : revisions) {
    if (r.number() == service->status().revision()) target = &r.template_();
  }
  const RolloutSettings s =
      scheduler::SettingsOf(*service, target, world_.Scaled(name));
  now.uid = service->metadata().uid();
  int available = 0;
  for (const v1::Replica& r : replicas) {
    if (HasEnded(r) || r.spec().goal() != v1::ReplicaSpec::RUN ||
        r.spec().service_uid() != now.uid) {
      continue;
    }
    const bool is = IsAvailable(r, s, world_.clock.Now());
    available += is;
    now.wanted[r.metadata().uid()] = is;
  }
  const Seen before = std::exchange(seen_[name], now);
  if (before.uid != now.uid) return;
  if (now.wanted.size() > before.wanted.size() &&
      static_cast<int>(now.wanted.size()) > s.replicas + s.max_surge) {
    violate_(absl::StrCat(name, " has ", now.wanted.size(), " replicas of ",
                          s.replicas, " + ", s.max_surge));
  }
  if (s.recreate) return;
  // Did we end something that was available?
  for (const v1::Replica& r : replicas) {
    auto was = before.wanted.find(r.metadata().uid());
    if (was == before.wanted.end() || !was->second || HasEnded(r) ||
        r.spec().goal() == v1::ReplicaSpec::RUN) {
      continue;
    }
    if (s.stable_slots && r.spec().slot() >= s.replicas) continue;
    if (available < s.replicas - s.max_unavailable) {
      violate_(absl::StrCat(r.metadata().name(), " was stopped (",
                            r.spec().reason(), ") with only ", available,
                            " of ", s.replicas, " - ", s.max_unavailable,
                            " left"));
    }
  }
}

void Invariants::CheckAddresses(
    const std::map<std::string, v1::Replica>& replicas) {
  std::map<std::string, std::pair<std::string, int>> holders;
  for (const auto& [uid, r] : replicas) {
    if (HasEnded(r)) continue;
    const std::pair<std::string, int> slot = {r.spec().service_uid(),
                                              r.spec().slot()};
    auto [it, added] = holders.emplace(r.spec().address(), slot);
    if (!added && it->second != slot) {
      violate_(absl::StrCat("address ", r.spec().address(), " is used twice"));
    }
  }
}

void Invariants::CheckContainers(
    const std::map<std::string, v1::Replica>& replicas) {
  std::set<std::pair<std::string, int>> slots;
  for (const engine::ContainerInfo& c : world_.engine.List()) {
    if (c.state != engine::ContainerState::kRunning) continue;
    auto r = replicas.find(c.labels.at(scheduler::kReplicaLabel));
    if (r == replicas.end()) {
      violate_(absl::StrCat("container ", c.id, " has no record"));
    } else if (!slots
                    .insert({r->second.spec().service_uid(),
                             r->second.spec().slot()})
                    .second) {
      violate_(absl::StrCat("slot ", r->second.spec().slot(), " of ",
                            r->second.spec().service(), " runs twice"));
    }
  }
}

}  // namespace bulwark::sim
