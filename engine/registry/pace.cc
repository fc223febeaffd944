#include "engine/registry/pace.h"

#include "absl/strings/str_cat.h"

namespace bulwark::engine::registry {

void Pace::Restart(absl::Duration now) {
  moved_ = since_ = now;
  bytes_at_since_ = bytes_;
}

void Pace::Await(absl::Duration patience, absl::Duration now) {
  if (patience == awaits_) return;
  awaits_ = patience;
  Restart(now);
}

absl::Status Pace::Check(absl::Duration now, int64_t bytes) {
  const bool waits = awaits_ > absl::ZeroDuration();
  const absl::Duration patience = waits ? awaits_ : limits_.patience;
  if (bytes != bytes_) {
    bytes_ = bytes;
    moved_ = now;
  }
  if (now - moved_ >= patience) {
    return absl::DeadlineExceededError(absl::StrCat(
        "nothing has moved for ",
        absl::FormatDuration(absl::Trunc(now - moved_, absl::Seconds(1)))));
  }
  if (now - since_ < patience) return absl::OkStatus();
  const double rate = static_cast<double>(bytes_ - bytes_at_since_) /
                      absl::ToDoubleSeconds(now - since_);
  if (!waits && rate < static_cast<double>(limits_.min_rate)) {
    return absl::DeadlineExceededError(absl::StrCat(
        "too slow: ", static_cast<int64_t>(rate), " bytes a second over ",
        absl::FormatDuration(absl::Trunc(now - since_, absl::Seconds(1))),
        ", less than ", limits_.min_rate));
  }
  const absl::Duration moved = moved_;
  Restart(now);
  moved_ = moved;
  return absl::OkStatus();
}

}  // namespace bulwark::engine::registry
