// Conditions of objects. Pure.
#ifndef SCHEDULER_CONDITIONS_H_
#define SCHEDULER_CONDITIONS_H_

#include "absl/time/time.h"
#include "google/protobuf/repeated_field.h"
#include "proto/bulwark/v1/meta.pb.h"

namespace bulwark::scheduler {

using Conditions = google::protobuf::RepeatedPtrField<v1::Condition>;

// Puts `condition` in the place of the one of its type, or adds it. Its
// last_transition_time becomes `now` if the status is new, else it stays.
// Returns whether anything but that time has changed.
bool SetCondition(Conditions& conditions, v1::Condition condition,
                  absl::Time now);

// Null if there is none of that type.
const v1::Condition* FindCondition(const Conditions& conditions,
                                   const std::string& type);

}  // namespace bulwark::scheduler

#endif  // SCHEDULER_CONDITIONS_H_
