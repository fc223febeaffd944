// Times of messages as values.
#ifndef SCHEDULER_TIMES_H_
#define SCHEDULER_TIMES_H_

#include "absl/time/time.h"
#include "google/protobuf/duration.pb.h"
#include "google/protobuf/timestamp.pb.h"

namespace bulwark::scheduler {

// An unset timestamp (all zero) reads as InfinitePast().
inline absl::Time ToTime(const google::protobuf::Timestamp& t) {
  if (t.seconds() == 0 && t.nanos() == 0) return absl::InfinitePast();
  return absl::FromUnixSeconds(t.seconds()) + absl::Nanoseconds(t.nanos());
}

inline void SetTime(google::protobuf::Timestamp* t, absl::Time time) {
  const int64_t nanos = absl::ToUnixNanos(time);
  t->set_seconds(nanos / 1000000000);
  t->set_nanos(static_cast<int32_t>(nanos % 1000000000));
}

inline absl::Duration ToDuration(const google::protobuf::Duration& d) {
  return absl::Seconds(d.seconds()) + absl::Nanoseconds(d.nanos());
}

}  // namespace bulwark::scheduler

#endif  // SCHEDULER_TIMES_H_
