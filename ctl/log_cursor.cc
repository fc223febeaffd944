#include "ctl/log_cursor.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "ctl/print/text.h"

namespace bulwark::ctl {
namespace {

// Lines of several containers come merged by their times, but a container may
// tell of a line a little late.
constexpr absl::Duration kOverlap = absl::Seconds(5);

}  // namespace

void LogCursor::Resume(v1::LogsRequest& request) {
  for (auto& [name, position] : positions_) {
    position.is_behind = true;
    position.repeated = 0;
  }
  if (newest_ == absl::InfinitePast()) return;
  // Of what came since, every line counts.
  request.clear_tail();
  absl::Time since = newest_ - kOverlap;
  if (request.has_since()) since = std::max(since, ToTime(request.since()));
  request.mutable_since()->set_seconds(absl::ToUnixSeconds(since));
  request.mutable_since()->set_nanos(static_cast<int32_t>(
      (since - absl::FromUnixSeconds(absl::ToUnixSeconds(since))) /
      absl::Nanoseconds(1)));
}

bool LogCursor::Take(const v1::LogLine& line) {
  const absl::Time time = ToTime(line.time());
  Position& position =
      positions_[absl::StrCat(line.replica(), "/", line.container())];
  if (position.is_behind) {
    if (time < position.time) return false;
    if (time == position.time && position.repeated < position.lines) {
      ++position.repeated;
      return false;
    }
    position.is_behind = false;
  }
  position.lines = time == position.time ? position.lines + 1 : 1;
  position.time = time;
  newest_ = std::max(newest_, time);
  return true;
}

}  // namespace bulwark::ctl
