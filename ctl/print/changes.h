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

// What becomes of many objects, by name: "+ service db, shop/web", lines for
// each action and kind, unchanged ones last. A long list is cut, and says so.
std::string FormatResults(
    const google::protobuf::RepeatedPtrField<v1::ApplyResult>& results,
    bool color);

// "2 created, 1 changed, 3 unchanged"; "nothing" of no results.
std::string CountResults(
    const google::protobuf::RepeatedPtrField<v1::ApplyResult>& results);

}  // namespace bulwark::ctl

#endif  // CTL_PRINT_CHANGES_H_
