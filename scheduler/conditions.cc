#include "scheduler/conditions.h"

#include <utility>

#include "scheduler/times.h"

namespace bulwark::scheduler {

bool SetCondition(Conditions& conditions, v1::Condition condition,
                  absl::Time now) {
  SetTime(condition.mutable_last_transition_time(), now);
  for (v1::Condition& old : conditions) {
    if (old.type() != condition.type()) continue;
    if (old.status() == condition.status()) {
      *condition.mutable_last_transition_time() = old.last_transition_time();
    }
    const bool changed = old.status() != condition.status() ||
                         old.reason() != condition.reason() ||
                         old.message() != condition.message();
    old = std::move(condition);
    return changed;
  }
  *conditions.Add() = std::move(condition);
  return true;
}

const v1::Condition* FindCondition(const Conditions& conditions,
                                   const std::string& type) {
  for (const v1::Condition& condition : conditions) {
    if (condition.type() == type) return &condition;
  }
  return nullptr;
}

}  // namespace bulwark::scheduler
