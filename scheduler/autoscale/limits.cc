#include "scheduler/autoscale/limits.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <limits>

#include "scheduler/times.h"

namespace bulwark::scheduler {
namespace {

// A clock that was set back leaves times in the future: they are now.
absl::Time TimeOf(const google::protobuf::Timestamp& time, absl::Time now) {
  return std::min(ToTime(time), now);
}

// Whether entry `i` can still be the answer to one direction's question, whose
// `worse` says that the first count can never win while the second is there.
template <typename Worse>
bool Matters(const Recommendations& memory, int i, absl::Duration window,
             absl::Time now, Worse worse) {
  if (TimeOf(memory[i].time(), now) <= now - window) return false;
  for (int later = i + 1; later < memory.size(); ++later) {
    if (worse(memory[i].replicas(), memory[later].replicas())) return false;
  }
  return true;
}

struct Sums {
  int added = 0;
  int removed = 0;
};

Sums Within(const Changes& changes, absl::Duration period, absl::Time now) {
  Sums sums;
  for (const v1::ScaleChange& c : changes) {
    if (TimeOf(c.time(), now) <= now - period) continue;
    (c.change() > 0 ? sums.added : sums.removed) += std::abs(c.change());
  }
  return sums;
}

int CountAtStart(const ScalePolicy& policy, const Changes& changes, int current,
                 absl::Time now) {
  const Sums sums = Within(changes, policy.period, now);
  return current - sums.added + sums.removed;
}

}  // namespace

void Remember(int replicas, const AutoscaleSettings& settings, absl::Time now,
              Recommendations& memory) {
  if (memory.empty() || memory[memory.size() - 1].replicas() != replicas) {
    if (!memory.empty()) {
      SetTime(memory[memory.size() - 1].mutable_time(), now);
    }
    v1::ScaleRecommendation& added = *memory.Add();
    added.set_replicas(replicas);
    SetTime(added.mutable_time(), now);
  }
  for (int i = memory.size() - 2; i >= 0; --i) {
    if (!Matters(memory, i, settings.up.window, now,
                 [](int a, int b) { return b <= a; }) &&
        !Matters(memory, i, settings.down.window, now,
                 [](int a, int b) { return b >= a; })) {
      memory.DeleteSubrange(i, 1);
    }
  }
}

int Stabilize(const Recommendations& memory, const AutoscaleSettings& settings,
              int current, absl::Time now) {
  if (memory.empty()) return current;
  int least = memory[memory.size() - 1].replicas();
  int largest = least;
  for (int i = 0; i + 1 < memory.size(); ++i) {
    const absl::Time time = TimeOf(memory[i].time(), now);
    if (time > now - settings.up.window) {
      least = std::min(least, memory[i].replicas());
    }
    if (time > now - settings.down.window) {
      largest = std::max(largest, memory[i].replicas());
    }
  }
  // As Kubernetes orders the two: they never cross.
  return std::min(std::max(current, least), largest);
}

int UpLimit(const Changes& changes, const AutoscaleSettings& settings,
            int current, absl::Time now) {
  const ScaleRules& rules = settings.up;
  if (rules.select == v1::ScalingRules::DISABLED) return current;
  const bool least = rules.select == v1::ScalingRules::MIN;
  int limit = least ? std::numeric_limits<int>::max() : 0;
  for (const ScalePolicy& policy : rules.policies) {
    const int start = CountAtStart(policy, changes, current, now);
    // Rounded up, as else a small count could never grow.
    const int allowed =
        policy.percent
            ? static_cast<int>(std::ceil(start * (100.0 + policy.value) / 100))
            : start + policy.value;
    limit = least ? std::min(limit, allowed) : std::max(limit, allowed);
  }
  return std::max(limit, current);
}

int DownLimit(const Changes& changes, const AutoscaleSettings& settings,
              int current, absl::Time now) {
  const ScaleRules& rules = settings.down;
  if (rules.select == v1::ScalingRules::DISABLED) return current;
  const bool least = rules.select == v1::ScalingRules::MIN;
  // The smallest change leaves the most.
  int limit = least ? 0 : std::numeric_limits<int>::max();
  for (const ScalePolicy& policy : rules.policies) {
    const int start = CountAtStart(policy, changes, current, now);
    const int allowed =
        policy.percent ? static_cast<int>(start * (100.0 - policy.value) / 100)
                       : start - policy.value;
    limit = least ? std::max(limit, allowed) : std::min(limit, allowed);
  }
  return std::min(limit, current);
}

void AddChange(int change, const AutoscaleSettings& settings, absl::Time now,
               Changes& changes) {
  absl::Duration longest;
  for (const ScaleRules* rules : {&settings.up, &settings.down}) {
    for (const ScalePolicy& p : rules->policies) {
      longest = std::max(longest, p.period);
    }
  }
  for (int i = changes.size() - 1; i >= 0; --i) {
    if (TimeOf(changes[i].time(), now) <= now - longest) {
      changes.DeleteSubrange(i, 1);
    }
  }
  v1::ScaleChange& added = *changes.Add();
  added.set_change(change);
  SetTime(added.mutable_time(), now);
}

}  // namespace bulwark::scheduler
