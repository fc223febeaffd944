// An autoscaled service for tests, told in sentences.
#ifndef SCHEDULER_AUTOSCALE_WORLD_H_
#define SCHEDULER_AUTOSCALE_WORLD_H_

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "scheduler/autoscale/plan.h"
#include "scheduler/times.h"

namespace bulwark::scheduler {

//   ScaleWorld(2, 10).Cpu(50).Has(4).Using({90, 90, 90, 90})
//
// is between 2 and 10 replicas at 50 % of a request of 100m; four run, and use
// 90m each.
class ScaleWorld {
 public:
  ScaleWorld(int min, int max) {
    view.now = absl::FromUnixSeconds(1893456000);
    view.service.mutable_metadata()->set_name("web");
    view.service.mutable_metadata()->set_uid("service");
    v1::Container& c = *view.service.mutable_spec()->add_containers();
    c.set_name("web");
    c.mutable_resources()->mutable_cpu()->set_request(100);
    c.mutable_resources()->mutable_memory()->set_request(1000);
    Rules().set_min_replicas(min);
    Rules().set_max_replicas(max);
  }

  v1::Autoscale& Rules() {
    return *view.service.mutable_spec()->mutable_autoscale();
  }
  ScaleWorld& Cpu(int percent) {
    Rules().add_metrics()->set_cpu(percent);
    return *this;
  }
  ScaleWorld& Memory(int percent) {
    Rules().add_metrics()->set_memory(percent);
    return *this;
  }
  ScaleWorld& Connections(int each) {
    Rules().add_metrics()->set_connections(each);
    return *this;
  }
  ScaleWorld& Window(v1::ScalingRules* rules, absl::Duration window) {
    rules->mutable_stabilization_window()->set_seconds(
        absl::ToInt64Seconds(window));
    return *this;
  }
  ScaleWorld& Policy(v1::ScalingRules* rules, int replicas, int percent,
                     absl::Duration period) {
    v1::ScalingPolicy& p = *rules->add_policies();
    p.set_replicas(replicas);
    p.set_percent(percent);
    p.mutable_period()->set_seconds(absl::ToInt64Seconds(period));
    return *this;
  }

  // So many run, ready for an hour, without a value; the record says so too.
  ScaleWorld& Has(int count) {
    view.replicas.clear();
    view.loads.clear();
    for (int i = 0; i < count; ++i) Add(absl::Hours(1), true);
    if (!view.scale.has_value()) {
      v1::Scale& scale = view.scale.emplace();
      scale.set_service_uid("service");
      v1::ScaleRecommendation& first = *scale.add_recommendations();
      first.set_replicas(count);
      SetTime(first.mutable_time(), view.now);
    }
    view.scale->set_replicas(count);
    return *this;
  }
  v1::Replica& Add(absl::Duration started_ago, bool ready) {
    v1::Replica r;
    r.mutable_metadata()->set_uid(absl::StrCat("uid", view.replicas.size()));
    r.mutable_spec()->set_goal(v1::ReplicaSpec::RUN);
    r.mutable_status()->set_state(v1::ReplicaStatus::RUNNING);
    SetTime(r.mutable_status()->mutable_start_time(), view.now - started_ago);
    r.mutable_status()->set_ready(ready);
    if (ready) {
      SetTime(r.mutable_status()->mutable_ready_time(), view.now - started_ago);
      view.were_ready.insert(r.metadata().uid());
    }
    view.replicas.push_back(r);
    return view.replicas.back();
  }
  // Millicores of each replica in turn; below 0: not known.
  ScaleWorld& Using(const std::vector<double>& millicores) {
    for (size_t i = 0; i < millicores.size(); ++i) {
      ReplicaLoad& load = LoadOfReplica(i);
      load.window = absl::Seconds(6);
      if (millicores[i] >= 0) load.cpu_millicores["web"] = millicores[i];
    }
    return *this;
  }
  ScaleWorld& UsingMemory(const std::vector<int64_t>& bytes) {
    for (size_t i = 0; i < bytes.size(); ++i) {
      LoadOfReplica(i).memory_bytes["web"] = bytes[i];
    }
    return *this;
  }
  ScaleWorld& Connected(const std::vector<double>& connections) {
    for (size_t i = 0; i < connections.size(); ++i) {
      LoadOfReplica(i).connections = connections[i];
    }
    return *this;
  }
  ReplicaLoad& LoadOfReplica(size_t i) {
    ReplicaLoad& load = view.loads[absl::StrCat("uid", i)];
    load.time = view.now;
    return load;
  }

  ScalePlan Plan() const { return PlanScale(view); }
  int Count() const { return Plan().scale.replicas(); }

  // Plans, takes the plan's record over, runs so many replicas, and lets time
  // pass. Returns the count.
  int Step(absl::Duration time = absl::Seconds(2)) {
    view.scale = Plan().scale;
    view.now += time;
    Has(view.scale->replicas());
    return view.scale->replicas();
  }

  AutoscaleView view;
};

}  // namespace bulwark::scheduler

#endif  // SCHEDULER_AUTOSCALE_WORLD_H_
