#include "scheduler/rollout/plan.h"

#include <algorithm>
#include <functional>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "scheduler/rollout/census.h"
#include "scheduler/rollout/inputs.h"
#include "scheduler/rollout/rolling.h"
#include "scheduler/rollout/status.h"
#include "scheduler/rollout/template.h"
#include "scheduler/rollout/verdict.h"
#include "scheduler/times.h"

namespace bulwark::scheduler {
namespace {

// The revision in the view's own list, to be changed; the plan will write it.
v1::Revision& Edit(ServiceView& view, int64_t number) {
  return *std::find_if(
      view.revisions.begin(), view.revisions.end(),
      [&](const v1::Revision& r) { return r.number() == number; });
}

void CollectUpdates(const ServiceView& view, const std::set<int64_t>& edited,
                    ServicePlan& plan) {
  for (const v1::Revision& r : view.revisions) {
    if (edited.contains(r.number())) plan.update.push_back(r);
  }
}

std::string Replicas(int count) {
  return absl::StrCat(count, count == 1 ? " replica" : " replicas");
}

// Freezes a target that failed; the census then has another.
bool TakeBack(ServiceView& view, const Census& c, ServicePlan& plan) {
  const std::string failure = RolloutFailure(c);
  if (failure.empty()) return false;
  // Whoever has set a value must learn that it is not the one in use.
  const std::string versions =
      InWords(OtherVersions(c.target->template_(), c.fallback->template_()));
  plan.events.push_back(
      {"RolledBack",
       absl::StrCat("revision ", c.target->number(), " failed (", failure,
                    "); going back to revision ", c.fallback->number(),
                    versions.empty() ? "" : ", with ", versions),
       v1::Event::WARNING});
  Edit(view, c.target->number()).set_failure(failure);
  return true;
}

bool Begin(ServiceView& view, const Census& c, ServicePlan& plan) {
  if (c.target == nullptr || c.begun || c.settings.replicas == 0 ||
      IsBlocked(view, c)) {
    return false;
  }
  v1::Revision& r = Edit(view, c.target->number());
  // Later than every other, also when the clock was set back.
  absl::Time begin = view.now;
  for (const v1::Revision& other : view.revisions) {
    if (!other.has_rollout_time()) continue;
    begin =
        std::max(begin, ToTime(other.rollout_time()) + absl::Microseconds(1));
  }
  SetTime(r.mutable_rollout_time(), begin);
  r.clear_complete_time();
  plan.events.push_back(
      {"RolloutStarted",
       absl::StrCat("revision ", r.number(), " is being rolled out to ",
                    Replicas(c.settings.replicas))});
  return true;
}

bool Complete(ServiceView& view, const Census& c, ServicePlan& plan) {
  if (!IsComplete(c)) return false;
  v1::Revision& r = Edit(view, c.target->number());
  SetTime(r.mutable_complete_time(), view.now);
  r.set_good(true);
  plan.events.push_back(
      {"RolloutComplete",
       c.done.empty()
           ? absl::StrCat("revision ", r.number(), " is rolled out: ",
                          Replicas(c.settings.replicas), " available")
           : absl::StrCat("revision ", r.number(), " is rolled out: ",
                          Replicas(static_cast<int>(c.done.size())),
                          " ended, as the restart policy allows")});
  return true;
}

// The record of what is declared follows its limits: running replicas get them
// in place, later ones from the start. With others it may do where it failed.
bool FollowLimits(ServiceView& view, const Census& c, ServicePlan& plan) {
  if (c.desired == nullptr) return false;
  const v1::Template declared = TemplateOf(view.service.spec());
  if (SameLimits(c.desired->template_(), declared)) return false;
  v1::Revision& r = Edit(view, c.desired->number());
  // Only them: what else a template holds is not all of the declaration's.
  CopyLimits(declared, *r.mutable_template_());
  r.set_limits_generation(view.service.metadata().generation());
  plan.events.push_back(
      {"LimitsChanged",
       absl::StrCat("revision ", r.number(), " has other limits; ",
                    r.failure().empty()
                        ? "its running containers get them in place"
                        : "it had failed, and is tried again")});
  r.clear_failure();
  return true;
}

void Prune(const ServiceView& view, const Census& c, ServicePlan& plan) {
  std::set<int64_t> needed;
  for (const v1::Revision* r : {c.desired, c.target, c.fallback}) {
    if (r != nullptr) needed.insert(r->number());
  }
  for (const v1::Replica& r : view.replicas) needed.insert(r.spec().revision());
  std::vector<std::pair<int64_t, std::string>> others;
  for (const v1::Revision& r : view.revisions) {
    if (needed.contains(r.number())) continue;
    others.push_back({r.number(), r.metadata().name()});
  }
  std::sort(others.begin(), others.end(), std::greater<>());
  for (size_t i = c.settings.history; i < others.size(); ++i) {
    plan.prune.push_back(others[i].second);
  }
}

}  // namespace

ServicePlan PlanService(const ServiceView& original, PlannerBug bug) {
  ServicePlan plan;
  ServiceView view = original;
  std::set<int64_t> edited;
  Census census = TakeCensus(view);
  auto step = [&](bool (*change)(ServiceView&, const Census&, ServicePlan&)) {
    const int64_t number =
        census.target == nullptr ? 0 : census.target->number();
    if (!change(view, census, plan)) return;
    edited.insert(number);
    census = TakeCensus(view);
  };
  if (FollowLimits(view, census, plan)) {
    edited.insert(census.desired->number());
    census = TakeCensus(view);
  }
  if (bug != PlannerBug::kNeverRollsBack) step(TakeBack);
  step(Begin);
  step(Complete);

  PlanReplicas(view, census, bug, plan);
  plan.wake_at = std::min(plan.wake_at, ProgressDeadline(census));
  if (plan.wake_at <= view.now) plan.wake_at = absl::InfiniteFuture();
  plan.needs_revision = census.desired == nullptr && census.missing.empty() &&
                        !view.service.metadata().has_delete_time();
  plan.deleted =
      view.service.metadata().has_delete_time() && view.replicas.empty();
  CollectUpdates(view, edited, plan);
  if (!plan.deleted) Prune(view, census, plan);
  plan.status = StatusOf(view, census);
  return plan;
}

}  // namespace bulwark::scheduler
