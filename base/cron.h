// Times that repeat, as crontab(5) writes them.
#ifndef BASE_CRON_H_
#define BASE_CRON_H_

#include <cstdint>
#include <optional>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/civil_time.h"
#include "absl/time/time.h"

namespace bulwark {

// Minutes at which something is due. A value.
//
// Five fields: minute (0-59), hour (0-23), day of the month (1-31), month (1-12
// or JAN-DEC), day of the week (0-7 or SUN-SAT; 0 and 7 are Sunday). Each is
// "*", or a list of numbers, ranges "a-b" and steps "*/n", "a-b/n", "a/n" (from
// a on). If both days are restricted, either will do. Or one of @yearly,
// @annually, @monthly, @weekly, @daily, @midnight, @hourly.
//
// Where clocks are put forward, a time that they skip is due at the first
// instant after; where they are put back, a time that comes twice is due the
// first time only. A schedule of every hour goes by the clock's minutes alone:
// it is due in the repeated hour again, and not for a skipped one.
class CronSchedule {
 public:
  // INVALID_ARGUMENT says which field is wrong and why; also for a schedule
  // that is never due, such as "0 0 31 2 *".
  static absl::StatusOr<CronSchedule> Parse(absl::string_view text);

  // The first time after `after` at which it is due.
  absl::Time Next(absl::Time after, const absl::TimeZone& zone) const;

  // The last time in (after, until]; none if it is not due there. Cheap also
  // for long spans.
  std::optional<absl::Time> Latest(absl::Time after, absl::Time until,
                                   const absl::TimeZone& zone) const;

 private:
  CronSchedule() = default;

  bool MatchesDay(absl::CivilDay day) const;
  // Whether some day matches at all.
  bool IsEverDue() const;
  absl::Time NextEveryHour(absl::Time after, const absl::TimeZone& zone) const;
  absl::Time NextAtHours(absl::Time after, const absl::TimeZone& zone) const;

  // Bit n stands for the value n.
  uint64_t minutes_ = 0;
  uint64_t hours_ = 0;
  uint64_t days_ = 0;
  uint64_t months_ = 0;
  uint64_t weekdays_ = 0;
  bool every_hour_ = false;
  bool any_day_ = false;
  bool any_weekday_ = false;
};

// The zone of an IANA name, "" and "UTC" being UTC. INVALID_ARGUMENT if this
// host knows no such zone.
absl::StatusOr<absl::TimeZone> FindTimeZone(absl::string_view name);

}  // namespace bulwark

#endif  // BASE_CRON_H_
