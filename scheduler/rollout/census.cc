#include "scheduler/rollout/census.h"

#include <algorithm>

#include "scheduler/rollout/inputs.h"
#include "scheduler/rollout/restart.h"
#include "scheduler/rollout/template.h"
#include "scheduler/times.h"

namespace bulwark::scheduler {
namespace {

const v1::Revision* FindDesired(const ServiceView& view) {
  const v1::Template declared =
      DeclaredTemplate(view.service.spec(), view.inputs);
  const v1::Revision* found = nullptr;
  for (const v1::Revision& r : view.revisions) {
    if (found != nullptr && found->number() > r.number()) continue;
    if (SameTemplate(r.template_(), declared)) found = &r;
  }
  return found;
}

const v1::Revision* LastBegun(const ServiceView& view) {
  const v1::Revision* found = nullptr;
  for (const v1::Revision& r : view.revisions) {
    if (!r.has_rollout_time()) continue;
    if (found == nullptr ||
        ToTime(r.rollout_time()) > ToTime(found->rollout_time())) {
      found = &r;
    }
  }
  return found;
}

const v1::Revision* LastGood(const ServiceView& view,
                             const v1::Revision* except) {
  const v1::Revision* found = nullptr;
  for (const v1::Revision& r : view.revisions) {
    if (&r == except || !r.good() || !r.failure().empty()) continue;
    if (found == nullptr ||
        ToTime(r.rollout_time()) > ToTime(found->rollout_time())) {
      found = &r;
    }
  }
  return found;
}

void ChooseRevisions(const ServiceView& view, Census& c) {
  const v1::Revision* last = LastBegun(view);
  c.missing = MissingInputs(TemplateOf(view.service.spec()), view.inputs);
  if (c.missing.empty()) c.desired = FindDesired(view);
  c.target = c.desired;
  if (c.desired == nullptr) {
    c.target = last;
  }
  if (c.target != nullptr && !c.target->failure().empty()) {
    const v1::Revision* good = LastGood(view, c.target);
    if (good != nullptr) c.target = good;
  }
  if (c.target == nullptr) return;
  c.fallback = LastGood(view, c.target);
  c.begun = c.target == last;
  c.complete = c.begun && c.target->has_complete_time();
}

// The replica that ended later; of equal times the one made later.
bool EndedAfter(const v1::Replica& a, const v1::Replica& b) {
  const absl::Time ta = ToTime(a.status().finish_time());
  const absl::Time tb = ToTime(b.status().finish_time());
  if (ta != tb) return ta > tb;
  return a.spec().attempt() > b.spec().attempt();
}

void AddEnded(const v1::Replica& r, Census& c) {
  const v1::Replica*& last =
      c.last_ended[{r.spec().slot(), r.spec().revision()}];
  if (last == nullptr || EndedAfter(r, *last)) last = &r;
  if (c.begun && r.spec().revision() == c.target->number() && IsOwnFailure(r) &&
      ToTime(r.status().finish_time()) >= ToTime(c.target->rollout_time())) {
    ++c.failures;
  }
}

void AddLive(const v1::Replica& r, Census& c) {
  c.occupied.insert(r.spec().slot());
  if (r.spec().goal() == v1::ReplicaSpec::STOP) {
    c.leaving.push_back(&r);
  } else if (c.target != nullptr && r.spec().revision() == c.target->number()) {
    c.fresh.push_back(&r);
  } else {
    c.old.push_back(&r);
  }
}

}  // namespace

Census TakeCensus(const ServiceView& view) {
  Census c;
  ChooseRevisions(view, c);
  c.settings = SettingsOf(
      view.service, c.target == nullptr ? nullptr : &c.target->template_(),
      view.scaled, view.single_writer);
  if (view.shutting_down || !view.held.empty()) c.settings.replicas = 0;
  c.now = view.now;
  for (const v1::Replica& r : view.replicas) {
    if (HasEnded(r)) {
      AddEnded(r, c);
    } else {
      AddLive(r, c);
    }
  }
  for (const auto& [key, replica] : c.last_ended) {
    if (c.target == nullptr || key.second != c.target->number()) continue;
    if (c.occupied.contains(key.first)) continue;
    if (IsDone(*replica, c.settings.restart)) c.done.insert(key.first);
  }
  return c;
}

bool IsAvailable(const v1::Replica& replica, const Census& census) {
  const v1::ReplicaStatus& status = replica.status();
  return replica.spec().goal() == v1::ReplicaSpec::RUN &&
         status.state() == v1::ReplicaStatus::RUNNING && status.ready() &&
         !status.liveness_failed() &&
         ToTime(status.ready_time()) + census.settings.min_healthy_time <=
             census.now;
}

int CountAvailable(const std::vector<const v1::Replica*>& replicas,
                   const Census& census) {
  return static_cast<int>(std::count_if(
      replicas.begin(), replicas.end(),
      [&](const v1::Replica* r) { return IsAvailable(*r, census); }));
}

}  // namespace bulwark::scheduler
