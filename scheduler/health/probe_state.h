// When a probe runs next and what its results mean. Pure.
#ifndef SCHEDULER_HEALTH_PROBE_STATE_H_
#define SCHEDULER_HEALTH_PROBE_STATE_H_

#include "absl/time/time.h"

namespace bulwark::scheduler {

// Thresholds of one probe, as in bulwark.v1.Probe, with its defaults.
struct ProbePolicy {
  absl::Duration period = absl::Seconds(10);
  absl::Duration timeout = absl::Seconds(1);
  int success = 1;
  int failure = 3;
  // Most between two runs until the first success; zero: period.
  absl::Duration start_interval;
};

// One probe of one container. Healthy after `success` successes in a row,
// unhealthy after `failure` failures in a row, and in between what it was.
// Until the first success it runs more often: at once, then after 20 ms
// doubling to the period (or start_interval), so that a replica serves as soon as it can.
class ProbeState {
 public:
  // `healthy`: what is assumed until the results say otherwise.
  ProbeState(ProbePolicy policy, bool healthy)
      : policy_(policy), healthy_(healthy), succeeded_(healthy) {}

  // Takes one result; returns whether healthy() has changed.
  bool Record(bool success);

  bool healthy() const { return healthy_; }
  // It failed `failure` times in a row: for liveness, the verdict.
  bool failed() const { return failures_ >= policy_.failure; }
  // From the end of a run to the next.
  absl::Duration NextDelay() const;
  const ProbePolicy& policy() const { return policy_; }

 private:
  ProbePolicy policy_;
  bool healthy_;
  bool succeeded_;  // at least once
  int runs_ = 0;    // without a success so far
  int successes_ = 0;
  int failures_ = 0;
};

}  // namespace bulwark::scheduler

#endif  // SCHEDULER_HEALTH_PROBE_STATE_H_
