#include "scheduler/imageupdate/window.h"

#include "base/status.h"
#include "scheduler/times.h"

namespace bulwark::scheduler {

absl::StatusOr<Window> Window::Of(const v1::ImageUpdate& update) {
  Window window;
  if (!update.has_window()) return window;
  ASSIGN_OR_RETURN(window.schedule_,
                   CronSchedule::Parse(update.window().schedule()));
  ASSIGN_OR_RETURN(window.zone_, FindTimeZone(update.window().time_zone()));
  window.duration_ = ToDuration(update.window().duration());
  return window;
}

absl::Time Window::OpenedAt(absl::Time now) const {
  if (!schedule_.has_value()) return absl::InfinitePast();
  return schedule_->Latest(now - duration_, now, zone_)
      .value_or(absl::InfinitePast());
}

bool Window::IsOpen(absl::Time now) const {
  return !schedule_.has_value() || OpenedAt(now) != absl::InfinitePast();
}

absl::Time Window::NextOpening(absl::Time now) const {
  return schedule_.has_value() ? schedule_->Next(now, zone_)
                               : absl::InfiniteFuture();
}

}  // namespace bulwark::scheduler
