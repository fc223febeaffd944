// What an apply changes, for people.
#ifndef CTL_PRINT_CHANGES_H_
#define CTL_PRINT_CHANGES_H_

#include <string>

#include "proto/bulwark/v1/api.pb.h"

namespace bulwark::ctl {

// "~ spec.replicas: 1 -> 3   in place", a line for each changed field of
// `result`, indented. With `color` additions are green, removals red, changes
// yellow.
std::string FormatChanges(const v1::ApplyResult& result, bool color);

// The mark of a result: "+", "-", "~", or " " for what does not change.
std::string Mark(v1::ApplyResult::Action action, bool color);

}  // namespace bulwark::ctl

#endif  // CTL_PRINT_CHANGES_H_
