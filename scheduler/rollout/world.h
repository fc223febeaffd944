// A service for tests, told in sentences.
#ifndef SCHEDULER_ROLLOUT_WORLD_H_
#define SCHEDULER_ROLLOUT_WORLD_H_

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "scheduler/rollout/plan.h"
#include "scheduler/rollout/template.h"
#include "scheduler/times.h"

namespace bulwark::scheduler {

//   World().Declares(2).Replicas(3).Revision(1).Good().Revision(2)
//       .Running(1, {0, 1, 2})
//
// declares revision 2's template, 3 replicas; three of revision 1 are
// available.
class World {
 public:
  World() {
    view.now = absl::FromUnixSeconds(1893456000);
    view.service.mutable_metadata()->set_name("web");
    view.service.mutable_metadata()->set_uid("service");
    view.service.mutable_metadata()->set_generation(1);
  }

  static v1::Container ContainerOf(int64_t revision) {
    v1::Container c;
    c.set_name("web");
    c.set_image(absl::StrCat("app:", revision));
    return c;
  }

  World& Declares(int64_t revision) {
    view.service.mutable_spec()->clear_containers();
    *view.service.mutable_spec()->add_containers() = ContainerOf(revision);
    return *this;
  }
  World& Replicas(int n) {
    view.service.mutable_spec()->set_replicas(n);
    return *this;
  }
  World& Surge(int surge, int unavailable) {
    auto& rollout = *view.service.mutable_spec()->mutable_rollout();
    rollout.set_max_surge(surge);
    rollout.set_max_unavailable(unavailable);
    return *this;
  }
  World& Recreate() {
    view.service.mutable_spec()->mutable_rollout()->set_strategy(
        v1::Rollout::RECREATE);
    return *this;
  }
  World& Policy(v1::Restart::Policy policy) {
    view.service.mutable_spec()->mutable_restart()->set_policy(policy);
    return *this;
  }
  World& SlotVolumes() {
    view.service.mutable_spec()
        ->mutable_containers(0)
        ->add_volumes()
        ->set_per_replica(true);
    for (v1::Revision& r : view.revisions) {
      *r.mutable_template_() = TemplateOf(view.service.spec());
    }
    return *this;
  }

  // Recorded; the calls below change the last one.
  World& Revision(int64_t number) {
    v1::Revision r;
    r.mutable_metadata()->set_name(absl::StrCat("web-", number));
    r.set_service("web");
    r.set_number(number);
    *r.mutable_template_()->add_containers() = ContainerOf(number);
    view.revisions.push_back(r);
    return *this;
  }
  World& Begun(absl::Duration ago) {
    SetTime(view.revisions.back().mutable_rollout_time(), view.now - ago);
    return *this;
  }
  World& Complete(absl::Duration ago) {
    SetTime(view.revisions.back().mutable_complete_time(), view.now - ago);
    view.revisions.back().set_good(true);
    return *this;
  }
  // Rolled out and good an hour ago.
  World& Good() { return Begun(absl::Minutes(70)).Complete(absl::Minutes(60)); }
  World& Failed(const std::string& why) {
    view.revisions.back().set_failure(why);
    return *this;
  }

  // Replicas of `revision`, one in each slot.
  World& Running(int64_t revision, std::vector<int> slots,
                 absl::Duration ready_for = absl::Hours(1)) {
    for (int slot : slots) {
      v1::Replica& r = Add(revision, slot, v1::ReplicaStatus::RUNNING);
      r.mutable_status()->set_ready(true);
      SetTime(r.mutable_status()->mutable_ready_time(), view.now - ready_for);
    }
    return *this;
  }
  World& Unready(int64_t revision, std::vector<int> slots) {
    for (int slot : slots) Add(revision, slot, v1::ReplicaStatus::RUNNING);
    return *this;
  }
  World& Draining(int64_t revision, std::vector<int> slots) {
    for (int slot : slots) {
      Add(revision, slot, v1::ReplicaStatus::DRAINING)
          .mutable_spec()
          ->set_goal(v1::ReplicaSpec::STOP);
    }
    return *this;
  }
  // Ended by itself `ago`, after having run for `ran`.
  World& Crashed(int64_t revision, int slot, absl::Duration ago,
                 int attempt = 0, absl::Duration ran = absl::Seconds(1),
                 const std::string& reason = "Error") {
    v1::Replica& r = Add(revision, slot, v1::ReplicaStatus::FAILED);
    r.mutable_spec()->set_attempt(attempt);
    r.mutable_status()->set_reason(reason);
    r.mutable_status()->set_message("web exited with status 1");
    SetTime(r.mutable_status()->mutable_finish_time(), view.now - ago);
    SetTime(r.mutable_status()->mutable_start_time(), view.now - ago - ran);
    return *this;
  }

  v1::Replica& Add(int64_t revision, int slot, v1::ReplicaStatus::State state) {
    v1::Replica r;
    r.mutable_metadata()->set_uid(absl::StrCat("uid", ++count_));
    r.mutable_metadata()->set_name(
        absl::StrCat("web-", slot, "-", r.metadata().uid()));
    r.mutable_spec()->set_service("web");
    r.mutable_spec()->set_revision(revision);
    r.mutable_spec()->set_slot(slot);
    r.mutable_spec()->set_goal(v1::ReplicaSpec::RUN);
    r.mutable_status()->set_state(state);
    view.replicas.push_back(r);
    return view.replicas.back();
  }

  ServicePlan Plan() const { return PlanService(view); }

  ServiceView view;

 private:
  int count_ = 0;
};

// "create 3@2, stop 0@1 Replaced": slot@revision.
inline std::string Actions(const World& world, const ServicePlan& plan) {
  std::vector<std::string> parts;
  for (const NewReplica& n : plan.create) {
    parts.push_back(absl::StrCat("create ", n.slot, "@", n.revision));
  }
  for (const StopReplica& s : plan.stop) {
    for (const v1::Replica& r : world.view.replicas) {
      if (r.metadata().uid() != s.uid) continue;
      parts.push_back(absl::StrCat("stop ", r.spec().slot(), "@",
                                   r.spec().revision(), " ", s.reason));
    }
  }
  std::string text;
  for (const std::string& part : parts) {
    absl::StrAppend(&text, text.empty() ? "" : ", ", part);
  }
  return text;
}
inline std::string Actions(const World& world) {
  return Actions(world, world.Plan());
}

}  // namespace bulwark::scheduler

#endif  // SCHEDULER_ROLLOUT_WORLD_H_
