// Small pieces of text in tables.
#ifndef CTL_PRINT_TEXT_H_
#define CTL_PRINT_TEXT_H_

#include <string>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "google/protobuf/map.h"
#include "google/protobuf/repeated_field.h"
#include "google/protobuf/timestamp.pb.h"
#include "proto/bulwark/v1/container.pb.h"
#include "proto/bulwark/v1/meta.pb.h"

namespace bulwark::ctl {

// "45s", "12m", "3h", "2d": the largest unit that counts two or more; "0s" for
// what is negative.
std::string ShortDuration(absl::Duration d);

// How long ago; empty if `time` is not set.
std::string Age(const google::protobuf::Timestamp& time, absl::Time now);

absl::Time ToTime(const google::protobuf::Timestamp& time);

// "2030-01-31T12:00:00Z"; empty if `time` is not set.
std::string FormatTimestamp(const google::protobuf::Timestamp& time);

// "a=1,b=2", sorted.
std::string JoinLabels(
    const google::protobuf::Map<std::string, std::string>& labels);

// Images of the containers, joined by commas.
std::string JoinImages(
    const google::protobuf::RepeatedPtrField<v1::Container>& containers);

// The condition of that type, or null.
const v1::Condition* FindCondition(
    const google::protobuf::RepeatedPtrField<v1::Condition>& conditions,
    absl::string_view type);

// "5.2 MB", powers of 1000 as registries count.
std::string HumanSize(int64_t bytes);

}  // namespace bulwark::ctl

#endif  // CTL_PRINT_TEXT_H_
