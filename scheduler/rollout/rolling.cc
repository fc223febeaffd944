#include "scheduler/rollout/rolling.h"

#include <algorithm>
#include <climits>
#include <set>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "scheduler/rollout/inputs.h"
#include "scheduler/rollout/restart.h"
#include "scheduler/times.h"

namespace bulwark::scheduler {
namespace {

// How long a dependency's change may be missed.
constexpr absl::Duration kDependencyPoll = absl::Seconds(1);

using Replicas = std::vector<const v1::Replica*>;

class ReplicaPlanner {
 public:
  ReplicaPlanner(const ServiceView& view, const Census& census, PlannerBug bug,
                 ServicePlan& plan)
      : view_(view), c_(census), bug_(bug), plan_(plan) {
    taken_ = c_.occupied;
    if (bug_ == PlannerBug::kDoublesSlots) {
      for (const v1::Replica* r : c_.leaving) taken_.erase(r->spec().slot());
    }
    taken_.insert(c_.done.begin(), c_.done.end());
  }

  void Run() {
    if (c_.settings.replicas == 0) return StopAll();
    if (c_.target == nullptr) return;
    if (c_.settings.recreate) {
      Recreate();
    } else {
      Roll();
      StopOld();
    }
    StopExcess();
    WakeForAvailability();
  }

 private:
  bool Available(const v1::Replica* r) const {
    return bug_ == PlannerBug::kIgnoresUnavailable || IsAvailable(*r, c_);
  }
  int Count(const Replicas& replicas) const {
    return static_cast<int>(
        std::count_if(replicas.begin(), replicas.end(),
                      [this](const v1::Replica* r) { return Available(r); }));
  }
  int Total() const {
    return static_cast<int>(c_.fresh.size() + c_.old.size());
  }
  int MinAvailable() const {
    return std::max(0, c_.settings.replicas - c_.settings.max_unavailable -
                           static_cast<int>(c_.done.size()));
  }
  // How many of the target are missing.
  int Missing() const {
    return c_.settings.replicas -
           static_cast<int>(c_.fresh.size() + c_.done.size());
  }

  void Wake(absl::Time t) { plan_.wake_at = std::min(plan_.wake_at, t); }

  void Stop(const v1::Replica* r, std::string reason) {
    // Clients wait for the replica that comes after it: no time for a drain.
    const bool skip_drain = c_.settings.stable_slots || !view_.held.empty();
    plan_.stop.push_back({r->metadata().uid(), std::move(reason), skip_drain});
  }

  std::string StopReason() const {
    if (view_.service.metadata().has_delete_time()) return "Deleted";
    if (view_.shutting_down) return "HostShutdown";
    if (view_.service.spec().stopped()) return "Stopped";
    return view_.held.empty() ? "ScaledDown" : "Held";
  }

  void StopAll() {
    for (const Replicas* group : {&c_.fresh, &c_.old}) {
      for (const v1::Replica* r : *group) Stop(r, StopReason());
    }
    if (!view_.held.empty()) return;
    // An execution that was over for good may come again after this.
    for (const auto& [key, r] : c_.last_ended) {
      if (IsDone(*r, c_.settings.restart)) Stop(r, StopReason());
    }
  }

  void Create(int count, const v1::Revision& revision, const char* why) {
    for (int slot = 0; count > 0; ++slot) {
      if (taken_.contains(slot)) continue;
      if (c_.settings.stable_slots && slot >= c_.settings.replicas) return;
      taken_.insert(slot);
      --count;
      auto ended = c_.last_ended.find({slot, revision.number()});
      const v1::Replica* last =
          ended == c_.last_ended.end() ? nullptr : ended->second;
      const Replacement next = ReplacementOf(last, c_.now);
      if (next.not_before > c_.now) {
        Wake(next.not_before);
        continue;
      }
      std::string reason = why;
      if (last != nullptr &&
          last->status().state() == v1::ReplicaStatus::FAILED) {
        const std::string& how = last->status().reason();
        reason = absl::StrCat(
            "replaces ", last->metadata().name(),
            how == "Completed" ? ", which ended" : ", which failed: ",
            how == "Completed" ? "" : how);
      }
      plan_.create.push_back(
          {slot, revision.number(), next.attempt, std::move(reason)});
    }
  }

  // Slots in which a replica of the fallback failed since the rollout began.
  int Wounds() const {
    int wounds = 0;
    for (const auto& [key, r] : c_.last_ended) {
      if (key.second == c_.fallback->number() &&
          !c_.occupied.contains(key.first) &&
          r->spec().goal() == v1::ReplicaSpec::RUN &&
          r->status().state() == v1::ReplicaStatus::FAILED &&
          ToTime(r->status().finish_time()) >=
              ToTime(c_.target->rollout_time())) {
        ++wounds;
      }
    }
    return wounds;
  }

  void Roll() {
    int room = c_.settings.replicas + c_.settings.max_surge - Total();
    const bool unproven = c_.begun && !c_.complete && Count(c_.fresh) == 0;
    if (unproven && c_.fallback != nullptr) {
      const int deficit = MinAvailable() - static_cast<int>(c_.old.size());
      const int heal = std::max(0, std::min({deficit, room, Wounds()}));
      Create(heal, *c_.fallback, "keeps the old revision up");
      room -= heal;
    }
    if (bug_ == PlannerBug::kForgetsSurge) room = INT_MAX;
    CreateFresh(std::min(Missing(), room));
  }

  void CreateFresh(int count) {
    if (IsBlocked(view_, c_)) return Wake(c_.now + kDependencyPoll);
    Create(count, *c_.target,
           c_.complete ? "fewer replicas than declared" : "rollout");
  }

  // In a stable slot that is not declared any more: it goes, whatever else
  // does.
  bool IsMisplaced(const v1::Replica* r) const {
    return c_.settings.stable_slots && r->spec().slot() >= c_.settings.replicas;
  }

  void StopOld() {
    Replicas fresh = c_.fresh;
    std::erase_if(fresh,
                  [this](const v1::Replica* r) { return IsMisplaced(r); });
    const int total = static_cast<int>(fresh.size() + c_.old.size());
    const int available = Count(fresh) + Count(c_.old);
    const int unavailable_fresh = static_cast<int>(fresh.size()) - Count(fresh);
    int budget = total - MinAvailable() - unavailable_fresh;
    int available_budget = available - MinAvailable();
    Replicas order = c_.old;
    std::sort(order.begin(), order.end(),
              [this](const v1::Replica* a, const v1::Replica* b) {
                return std::make_tuple(Available(a), a->spec().slot()) <
                       std::make_tuple(Available(b), b->spec().slot());
              });
    for (const v1::Replica* r : order) {
      if (budget <= 0) return;
      if (Available(r) && available_budget-- <= 0) return;
      --budget;
      Stop(r, ReplaceReason(*r));
    }
  }

  std::string ReplaceReason(const v1::Replica& r) const {
    for (const v1::Revision& revision : view_.revisions) {
      if (revision.number() == r.spec().revision() &&
          !revision.failure().empty()) {
        return "RolledBack";
      }
    }
    return "Replaced";
  }

  void Recreate() {
    for (const v1::Replica* r : c_.old) Stop(r, ReplaceReason(*r));
    const bool others_live =
        !c_.old.empty() ||
        std::any_of(c_.leaving.begin(), c_.leaving.end(),
                    [this](const v1::Replica* r) {
                      return r->spec().revision() != c_.target->number();
                    });
    if (!others_live) CreateFresh(Missing());
  }

  void StopExcess() {
    Replicas order = c_.fresh;
    std::sort(
        order.begin(), order.end(),
        [this](const v1::Replica* a, const v1::Replica* b) {
          const bool stable = c_.settings.stable_slots;
          return std::make_tuple(stable || Available(a), -a->spec().slot()) <
                 std::make_tuple(stable || Available(b), -b->spec().slot());
        });
    int excess = -Missing();
    for (const v1::Replica* r : order) {
      if (excess <= 0 && !IsMisplaced(r)) continue;
      --excess;
      Stop(r, "ScaledDown");
    }
  }

  // Readiness that only has to last.
  void WakeForAvailability() {
    for (const Replicas* group : {&c_.fresh, &c_.old}) {
      for (const v1::Replica* r : *group) {
        if (r->status().state() != v1::ReplicaStatus::RUNNING ||
            !r->status().ready() || IsAvailable(*r, c_)) {
          continue;
        }
        Wake(ToTime(r->status().ready_time()) + c_.settings.min_healthy_time);
      }
    }
  }

  const ServiceView& view_;
  const Census& c_;
  const PlannerBug bug_;
  ServicePlan& plan_;
  std::set<int> taken_;
};

}  // namespace

bool IsBlocked(const ServiceView& view, const Census& census) {
  const bool waits = !view.unmet.empty() ||
                     (!view.sealed.empty() && census.target != nullptr &&
                      ReadsSecrets(census.target->template_()));
  return waits && census.fresh.empty();
}

void PlanReplicas(const ServiceView& view, const Census& census, PlannerBug bug,
                  ServicePlan& plan) {
  ReplicaPlanner(view, census, bug, plan).Run();
}

}  // namespace bulwark::scheduler
