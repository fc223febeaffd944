// Times in which images may be updated. Pure.
#ifndef SCHEDULER_IMAGEUPDATE_WINDOW_H_
#define SCHEDULER_IMAGEUPDATE_WINDOW_H_

#include <optional>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/cron.h"
#include "proto/bulwark/v1/service.pb.h"

namespace bulwark::scheduler {

// A value.
class Window {
 public:
  // Always open without a declared window. INVALID_ARGUMENT if its schedule or
  // time zone is none.
  static absl::StatusOr<Window> Of(const v1::ImageUpdate& update);

  bool IsOpen(absl::Time now) const;
  // When it opens next after `now`; InfiniteFuture() if it is always open.
  absl::Time NextOpening(absl::Time now) const;
  // When the one that is open has opened; InfinitePast() if none is.
  absl::Time OpenedAt(absl::Time now) const;
  // Zero: always open.
  absl::Duration duration() const { return duration_; }

 private:
  std::optional<CronSchedule> schedule_;
  absl::Duration duration_;
  absl::TimeZone zone_;
};

}  // namespace bulwark::scheduler

#endif  // SCHEDULER_IMAGEUPDATE_WINDOW_H_
