#include "base/cron.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "base/testing/status_matchers.h"

namespace bulwark {
namespace {

using ::bulwark::testing::StatusIs;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

absl::TimeZone Zone(const std::string& name) {
  auto zone = FindTimeZone(name);
  EXPECT_OK(zone);
  return zone.value_or(absl::UTCTimeZone());
}

absl::Time At(const std::string& text) {
  absl::Time time;
  std::string error;
  EXPECT_TRUE(absl::ParseTime(absl::RFC3339_full, text, &time, &error))
      << error;
  return time;
}

std::string Text(absl::Time time, const absl::TimeZone& zone) {
  return absl::FormatTime("%Y-%m-%dT%H:%M:%S%Ez", time, zone);
}

// The next `count` times after `after`.
std::vector<std::string> Times(const std::string& schedule,
                               const std::string& after, int count,
                               const std::string& zone_name = "UTC") {
  auto parsed = CronSchedule::Parse(schedule);
  EXPECT_OK(parsed);
  if (!parsed.ok()) return {};
  const absl::TimeZone zone = Zone(zone_name);
  std::vector<std::string> times;
  absl::Time time = At(after);
  for (int i = 0; i < count; ++i) {
    time = parsed->Next(time, zone);
    times.push_back(Text(time, zone));
  }
  return times;
}

TEST(CronScheduleTest, SaysWhenItIsDueNext) {
  const struct {
    const char* schedule;
    const char* after;
    const char* next;
  } kCases[] = {
      {"* * * * *", "2030-01-01T00:00:00Z", "2030-01-01T00:01:00+00:00"},
      {"* * * * *", "2030-01-01T00:00:59.9Z", "2030-01-01T00:01:00+00:00"},
      {"0 3 * * *", "2030-01-01T03:00:00Z", "2030-01-02T03:00:00+00:00"},
      {"0 3 * * *", "2030-01-01T02:59:59Z", "2030-01-01T03:00:00+00:00"},
      {"*/15 * * * *", "2030-01-01T00:31:00Z", "2030-01-01T00:45:00+00:00"},
      {"5/20 * * * *", "2030-01-01T00:26:00Z", "2030-01-01T00:45:00+00:00"},
      {"0 8-18/5 * * *", "2030-01-01T09:00:00Z", "2030-01-01T13:00:00+00:00"},
      {"0 0 1,15 * *", "2030-01-02T00:00:00Z", "2030-01-15T00:00:00+00:00"},
      {"0 0 31 * *", "2030-01-31T00:00:00Z", "2030-03-31T00:00:00+00:00"},
      {"0 0 29 2 *", "2030-01-01T00:00:00Z", "2032-02-29T00:00:00+00:00"},
      {"0 0 29 2 *", "2096-03-01T00:00:00Z", "2104-02-29T00:00:00+00:00"},
      // 2030-01-01 is a Tuesday.
      {"0 0 * * MON", "2030-01-01T00:00:00Z", "2030-01-07T00:00:00+00:00"},
      {"0 0 * * 7", "2030-01-01T00:00:00Z", "2030-01-06T00:00:00+00:00"},
      {"0 0 * * sun", "2030-01-01T00:00:00Z", "2030-01-06T00:00:00+00:00"},
      {"0 0 * * 5-7", "2030-01-01T00:00:00Z", "2030-01-04T00:00:00+00:00"},
      // Either of two restricted days will do.
      {"0 0 13 * FRI", "2030-01-05T00:00:00Z", "2030-01-11T00:00:00+00:00"},
      {"0 0 13 * FRI", "2030-01-11T00:00:00Z", "2030-01-13T00:00:00+00:00"},
      {"0 0 1 jan *", "2030-01-01T00:00:00Z", "2031-01-01T00:00:00+00:00"},
      {"@yearly", "2030-01-01T00:00:00Z", "2031-01-01T00:00:00+00:00"},
      {"@monthly", "2030-01-01T00:00:00Z", "2030-02-01T00:00:00+00:00"},
      {"@weekly", "2030-01-01T00:00:00Z", "2030-01-06T00:00:00+00:00"},
      {"@daily", "2030-01-01T00:00:00Z", "2030-01-02T00:00:00+00:00"},
      {"@hourly", "2030-01-01T00:00:00Z", "2030-01-01T01:00:00+00:00"},
  };
  for (const auto& c : kCases) {
    EXPECT_THAT(Times(c.schedule, c.after, 1), ElementsAre(c.next))
        << c.schedule << " after " << c.after;
  }
}

TEST(CronScheduleTest, WhenTextIsWrong_SaysWhere) {
  const struct {
    const char* schedule;
    const char* message;
  } kCases[] = {
      {"", "0 fields instead of five"},
      {"* * * *", "4 fields instead of five"},
      {"* * * * * *", "6 fields instead of five"},
      {"60 * * * *", "the minute \"60\" is not from 0 to 59"},
      {"* 24 * * *", "the hour \"24\" is not from 0 to 23"},
      {"* * 0 * *", "the day of the month \"0\" is not from 1 to 31"},
      {"* * * 13 *", "the month \"13\" is not from 1 to 12"},
      {"* * * * 8", "the day of the week \"8\" is not from 0 to 7"},
      {"* * * * FOO", "the day of the week \"FOO\" is no number"},
      {"a * * * *", "the minute \"a\" is no number"},
      {"-5 * * * *", "the minute \"\" is no number"},
      {"5- * * * *", "the minute \"\" is no number"},
      {"1,,2 * * * *", "the minute \"\" is no number"},
      {"*/0 * * * *", "no step"},
      {"*/x * * * *", "no step"},
      {"*/60 * * * *", "no step"},
      {"30-10 * * * *", "ends before it begins"},
      {"99999999999999999999 * * * *", "is no number"},
      {"@reboot", "none of @hourly"},
      {"@every 5m", "none of @hourly"},
      {"TZ=UTC 0 0 * * *", "timeZone"},
      {"0 0 31 2 *", "never fires"},
      {"0 0 30 2 *", "never fires"},
      {"0 0 31 4,6,9,11 *", "never fires"},
  };
  for (const auto& c : kCases) {
    EXPECT_THAT(
        CronSchedule::Parse(c.schedule),
        StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(c.message)))
        << c.schedule;
  }
}

TEST(CronScheduleTest, WhenAnImpossibleDayHasAWeekdayBesideIt_IsDue) {
  EXPECT_OK(CronSchedule::Parse("0 0 31 2 MON"));
}

// In Berlin clocks go from 02:00 to 03:00 on 2030-03-31 and from 03:00 back to
// 02:00 on 2030-10-27.
TEST(CronScheduleTest, WhenClocksSkipTheTime_IsDueRightAfter) {
  EXPECT_THAT(
      Times("30 2 * * *", "2030-03-30T00:00:00Z", 3, "Europe/Berlin"),
      ElementsAre("2030-03-30T02:30:00+01:00", "2030-03-31T03:00:00+02:00",
                  "2030-04-01T02:30:00+02:00"));
  // Several skipped times are one.
  EXPECT_THAT(
      Times("*/20 2,3 * * *", "2030-03-30T23:30:00Z", 2, "Europe/Berlin"),
      ElementsAre("2030-03-31T03:00:00+02:00", "2030-03-31T03:20:00+02:00"));
}

TEST(CronScheduleTest, WhenClocksRepeatTheTime_IsDueOnce) {
  EXPECT_THAT(
      Times("30 2 * * *", "2030-10-26T12:00:00Z", 2, "Europe/Berlin"),
      ElementsAre("2030-10-27T02:30:00+02:00", "2030-10-28T02:30:00+01:00"));
  // Asked in the second of the two hours.
  EXPECT_THAT(Times("30 2 * * *", "2030-10-27T01:10:00Z", 1, "Europe/Berlin"),
              ElementsAre("2030-10-28T02:30:00+01:00"));
}

TEST(CronScheduleTest, WhenDueEveryHour_GoesByRealTime) {
  EXPECT_THAT(
      Times("30 * * * *", "2030-10-26T23:31:00Z", 4, "Europe/Berlin"),
      ElementsAre("2030-10-27T02:30:00+02:00", "2030-10-27T02:30:00+01:00",
                  "2030-10-27T03:30:00+01:00", "2030-10-27T04:30:00+01:00"));
  EXPECT_THAT(
      Times("30 * * * *", "2030-03-31T00:00:00Z", 2, "Europe/Berlin"),
      ElementsAre("2030-03-31T01:30:00+01:00", "2030-03-31T03:30:00+02:00"));
}

// In Havana the clocks skip midnight: 2030-03-10 begins at 01:00.
TEST(CronScheduleTest, WhenMidnightIsSkipped_TheDayStillHasItsTime) {
  EXPECT_THAT(
      Times("0 0 * * *", "2030-03-09T12:00:00Z", 2, "America/Havana"),
      ElementsAre("2030-03-10T01:00:00-04:00", "2030-03-11T00:00:00-04:00"));
  EXPECT_THAT(
      Times("0 * 10 * *", "2030-03-09T12:00:00Z", 2, "America/Havana"),
      ElementsAre("2030-03-10T01:00:00-04:00", "2030-03-10T02:00:00-04:00"));
}

TEST(CronScheduleTest, FindsTheLatestTime) {
  ASSERT_OK_AND_ASSIGN(const CronSchedule minute,
                       CronSchedule::Parse("* * * * *"));
  ASSERT_OK_AND_ASSIGN(const CronSchedule leap,
                       CronSchedule::Parse("0 0 29 2 *"));
  const absl::TimeZone utc = absl::UTCTimeZone();
  // Five years without us cost no five years of minutes.
  EXPECT_EQ(minute.Latest(At("2025-01-01T00:00:00Z"),
                          At("2030-01-01T00:00:30Z"), utc),
            At("2030-01-01T00:00:00Z"));
  EXPECT_EQ(
      leap.Latest(At("2025-01-01T00:00:00Z"), At("2031-01-01T00:00:00Z"), utc),
      At("2028-02-29T00:00:00Z"));
  EXPECT_EQ(
      leap.Latest(At("2025-01-01T00:00:00Z"), At("2026-01-01T00:00:00Z"), utc),
      std::nullopt);
  // The bounds: after the one, up to the other.
  EXPECT_EQ(minute.Latest(At("2030-01-01T00:00:00Z"),
                          At("2030-01-01T00:00:00Z"), utc),
            std::nullopt);
  EXPECT_EQ(minute.Latest(At("2030-01-01T00:00:00Z"),
                          At("2030-01-01T00:01:00Z"), utc),
            At("2030-01-01T00:01:00Z"));
}

// Whatever the schedule: each time is later than the one before, and matches
// what was asked.
TEST(CronScheduleTest, NextNeverStandsStill) {
  for (const char* schedule :
       {"* * * * *", "*/7 * * * *", "59 23 31 12 *", "0 2 * * *",
        "30 1-3 * * 0", "15 */5 1-7 * MON"}) {
    for (const char* zone :
         {"UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe",
          "America/Havana", "Pacific/Apia"}) {
      ASSERT_OK_AND_ASSIGN(const CronSchedule parsed,
                           CronSchedule::Parse(schedule));
      const absl::TimeZone z = Zone(zone);
      absl::Time time = At("2011-12-01T00:00:00Z");
      for (int i = 0; i < 2000; ++i) {
        const absl::Time next = parsed.Next(time, z);
        ASSERT_GT(next, time) << schedule << " in " << zone;
        ASSERT_EQ(parsed.Latest(time, next, z), next);
        time = next;
      }
    }
  }
}

TEST(FindTimeZoneTest, KnowsNamesOnly) {
  EXPECT_OK(FindTimeZone(""));
  EXPECT_OK(FindTimeZone("UTC"));
  EXPECT_OK(FindTimeZone("Europe/Berlin"));
  EXPECT_OK(FindTimeZone("Etc/GMT+5"));
  for (const char* name :
       {"Mars/Olympus", "localtime", "/etc/passwd", "../../../etc/passwd",
        "Europe/../Europe/Berlin", "file:/etc/localtime", " UTC"}) {
    EXPECT_THAT(FindTimeZone(name), StatusIs(absl::StatusCode::kInvalidArgument,
                                             HasSubstr("is no time zone")))
        << name;
  }
}

}  // namespace
}  // namespace bulwark
