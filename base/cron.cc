#include "base/cron.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/types/span.h"
#include "base/status.h"

namespace bulwark {
namespace {

// The longest time between two 29ths of February (1896 to 1904), and one more.
constexpr int kMaxDays = 9 * 366;

constexpr absl::string_view kMonths[] = {"JAN", "FEB", "MAR", "APR",
                                         "MAY", "JUN", "JUL", "AUG",
                                         "SEP", "OCT", "NOV", "DEC"};
constexpr absl::string_view kWeekdays[] = {"SUN", "MON", "TUE", "WED",
                                           "THU", "FRI", "SAT"};
constexpr int kLongestOfMonth[] = {31, 29, 31, 30, 31, 30,
                                   31, 31, 30, 31, 30, 31};

struct Field {
  absl::string_view name;
  int least;
  int most;
  absl::Span<const absl::string_view> words;  // of least, least + 1, …
};

constexpr Field kMinute{"minute", 0, 59, {}};
constexpr Field kHour{"hour", 0, 23, {}};
constexpr Field kDay{"day of the month", 1, 31, {}};
const Field kMonth{"month", 1, 12, kMonths};
const Field kWeekday{"day of the week", 0, 7, kWeekdays};

constexpr struct {
  absl::string_view name;
  absl::string_view fields;
} kNicknames[] = {
    {"@yearly", "0 0 1 1 *"},  {"@annually", "0 0 1 1 *"},
    {"@monthly", "0 0 1 * *"}, {"@weekly", "0 0 * * 0"},
    {"@daily", "0 0 * * *"},   {"@midnight", "0 0 * * *"},
    {"@hourly", "0 * * * *"},
};

bool Has(uint64_t set, int value) { return (set >> value & 1) != 0; }

absl::Status Wrong(const Field& field, absl::string_view text,
                   absl::string_view why) {
  return absl::InvalidArgumentError(
      absl::StrCat("the ", field.name, " \"", text, "\" ", why));
}

absl::StatusOr<int> ParseValue(const Field& field, absl::string_view text) {
  const std::string upper = absl::AsciiStrToUpper(text);
  for (size_t i = 0; i < field.words.size(); ++i) {
    if (upper == field.words[i]) return field.least + static_cast<int>(i);
  }
  int value = 0;
  const bool digits =
      !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
        return absl::ascii_isdigit(c);
      });
  if (!digits || !absl::SimpleAtoi(text, &value)) {
    return Wrong(field, text, "is no number");
  }
  if (value < field.least || value > field.most) {
    return Wrong(field, text,
                 absl::StrCat("is not from ", field.least, " to ", field.most));
  }
  return value;
}

// One entry of a list: "*", "a", "a-b", each with "/n".
absl::Status AddEntry(const Field& field, absl::string_view text,
                      uint64_t& set) {
  std::pair<absl::string_view, absl::string_view> parts =
      absl::StrSplit(text, absl::MaxSplits('/', 1));
  const bool stepped = absl::StrContains(text, '/');
  int step = 1;
  if (stepped && (!absl::SimpleAtoi(parts.second, &step) || step < 1 ||
                  step > field.most)) {
    return Wrong(field, text,
                 absl::StrCat("has no step from 1 to ", field.most,
                              " behind the slash"));
  }
  int first = field.least;
  int last = field.most;
  if (parts.first != "*") {
    const size_t dash = parts.first.find('-');
    ASSIGN_OR_RETURN(first, ParseValue(field, parts.first.substr(0, dash)));
    if (dash != absl::string_view::npos) {
      ASSIGN_OR_RETURN(last, ParseValue(field, parts.first.substr(dash + 1)));
    } else if (!stepped) {
      last = first;
    }
  }
  if (first > last) return Wrong(field, text, "ends before it begins");
  for (int value = first; value <= last; value += step) {
    set |= uint64_t{1} << value;
  }
  return absl::OkStatus();
}

absl::StatusOr<uint64_t> ParseField(const Field& field,
                                    absl::string_view text) {
  uint64_t set = 0;
  for (absl::string_view entry : absl::StrSplit(text, ',')) {
    RETURN_IF_ERROR(AddEntry(field, entry, set));
  }
  return set;
}

absl::StatusOr<absl::string_view> FieldsOf(absl::string_view text) {
  for (const auto& nickname : kNicknames) {
    if (absl::EqualsIgnoreCase(text, nickname.name)) return nickname.fields;
  }
  if (absl::StartsWith(text, "@")) {
    return absl::InvalidArgumentError(absl::StrCat(
        "\"", text,
        "\" is none of @hourly, @daily, @weekly, @monthly, @yearly; write "
        "five fields, such as */15 * * * * for every 15 minutes"));
  }
  if (absl::StartsWith(text, "TZ=") || absl::StartsWith(text, "CRON_TZ=")) {
    return absl::InvalidArgumentError(
        "the time zone stands in the schedule; give it as timeZone");
  }
  return text;
}

}  // namespace

absl::StatusOr<CronSchedule> CronSchedule::Parse(absl::string_view text) {
  text = absl::StripAsciiWhitespace(text);
  ASSIGN_OR_RETURN(const absl::string_view line, FieldsOf(text));
  const std::vector<absl::string_view> fields =
      absl::StrSplit(line, absl::ByAnyChar(" \t"), absl::SkipEmpty());
  if (fields.size() != 5) {
    return absl::InvalidArgumentError(absl::StrCat(
        "\"", text, "\" has ", fields.size(), " fields instead of five",
        " (minute, hour, day of the month, month, day of the week)"));
  }
  CronSchedule schedule;
  ASSIGN_OR_RETURN(schedule.minutes_, ParseField(kMinute, fields[0]));
  ASSIGN_OR_RETURN(schedule.hours_, ParseField(kHour, fields[1]));
  ASSIGN_OR_RETURN(schedule.days_, ParseField(kDay, fields[2]));
  ASSIGN_OR_RETURN(schedule.months_, ParseField(kMonth, fields[3]));
  ASSIGN_OR_RETURN(schedule.weekdays_, ParseField(kWeekday, fields[4]));
  if (Has(schedule.weekdays_, 7)) schedule.weekdays_ |= 1;
  schedule.every_hour_ = fields[1] == "*";
  schedule.any_day_ = fields[2] == "*";
  schedule.any_weekday_ = fields[4] == "*";
  if (!schedule.IsEverDue()) {
    return absl::InvalidArgumentError(
        absl::StrCat("\"", text, "\" never fires: no month ", fields[3],
                     " has a day ", fields[2]));
  }
  return schedule;
}

bool CronSchedule::IsEverDue() const {
  if (any_day_ || !any_weekday_) return true;  // some weekday always comes
  for (int month = 1; month <= 12; ++month) {
    if (!Has(months_, month)) continue;
    for (int day = 1; day <= kLongestOfMonth[month - 1]; ++day) {
      if (Has(days_, day)) return true;
    }
  }
  return false;
}

bool CronSchedule::MatchesDay(absl::CivilDay day) const {
  if (!Has(months_, day.month())) return false;
  // absl counts from Monday, crontab from Sunday.
  const int weekday = (static_cast<int>(absl::GetWeekday(day)) + 1) % 7;
  const bool by_day = Has(days_, day.day());
  const bool by_weekday = Has(weekdays_, weekday);
  if (any_day_ || any_weekday_) return by_day && by_weekday;
  return by_day || by_weekday;
}

absl::Time CronSchedule::Next(absl::Time after,
                              const absl::TimeZone& zone) const {
  return every_hour_ ? NextEveryHour(after, zone) : NextAtHours(after, zone);
}

// Goes along real time, so that a repeated hour comes twice and a skipped one
// not at all.
absl::Time CronSchedule::NextEveryHour(absl::Time after,
                                       const absl::TimeZone& zone) const {
  absl::Time time = after;
  for (int days = 0; days < kMaxDays;) {
    // The next full minute; offsets of zones are whole minutes in our time.
    time = absl::FromUnixSeconds((absl::ToUnixSeconds(time) / 60 + 1) * 60);
    const absl::CivilMinute minute(zone.At(time).cs);
    const absl::CivilDay day(minute);
    if (!MatchesDay(day)) {
      ++days;
      // Midnight itself may be skipped.
      const absl::TimeZone::TimeInfo next = zone.At(absl::CivilSecond(day + 1));
      time = (next.kind == absl::TimeZone::TimeInfo::SKIPPED ? next.trans
                                                             : next.pre) -
             absl::Nanoseconds(1);
      continue;
    }
    if (Has(minutes_, minute.minute())) return time;
  }
  return absl::InfiniteFuture();
}

absl::Time CronSchedule::NextAtHours(absl::Time after,
                                     const absl::TimeZone& zone) const {
  const absl::CivilDay first(zone.At(after).cs);
  // From the day before: what a skipped midnight left over is due today.
  for (absl::CivilDay day = first - 1; day < first + kMaxDays; ++day) {
    if (!MatchesDay(day)) continue;
    for (int hour = 0; hour < 24; ++hour) {
      if (!Has(hours_, hour)) continue;
      for (int minute = 0; minute < 60; ++minute) {
        if (!Has(minutes_, minute)) continue;
        const absl::TimeZone::TimeInfo at = zone.At(absl::CivilSecond(
            day.year(), day.month(), day.day(), hour, minute));
        const absl::Time time =
            at.kind == absl::TimeZone::TimeInfo::SKIPPED ? at.trans : at.pre;
        if (time > after) return time;
      }
    }
  }
  return absl::InfiniteFuture();
}

std::optional<absl::Time> CronSchedule::Latest(
    absl::Time after, absl::Time until, const absl::TimeZone& zone) const {
  // Looks back in growing steps, so that few times are walked over.
  for (const absl::Duration back :
       {absl::Minutes(2), absl::Hours(2), absl::Hours(48), absl::Hours(24 * 62),
        absl::Hours(24 * kMaxDays)}) {
    const absl::Time from = std::max(after, until - back);
    absl::Time next = Next(from, zone);
    if (next > until) {
      if (from == after) return std::nullopt;
      continue;
    }
    absl::Time last = next;
    while ((next = Next(last, zone)) <= until) last = next;
    return last;
  }
  return std::nullopt;
}

absl::StatusOr<absl::TimeZone> FindTimeZone(absl::string_view name) {
  absl::TimeZone zone = absl::UTCTimeZone();
  if (name.empty() || name == "UTC") return zone;
  const bool sane =
      absl::ascii_isalpha(name[0]) && !absl::StrContains(name, "..") &&
      std::all_of(name.begin(), name.end(), [](char c) {
        return absl::ascii_isalnum(c) || absl::StrContains("/_+-", c);
      });
  // "localtime" would be a name too, but no zone's.
  if (sane && name != "localtime" &&
      absl::LoadTimeZone(std::string(name), &zone)) {
    return zone;
  }
  return absl::InvalidArgumentError(
      absl::StrCat("\"", name, "\" is no time zone that this host knows"));
}

}  // namespace bulwark
