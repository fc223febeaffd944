#include "daemon/metrics/host.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

namespace bulwark::daemon {
namespace {

TEST(HostTest, WhenPressureIsRead_TakesTheTotalOfSome) {
  EXPECT_EQ(
      ParsePressure("some avg10=0.00 avg60=0.00 avg300=0.00 total=1234567\n"
                    "full avg10=0.00 avg60=0.00 avg300=0.00 total=7\n"),
      absl::Microseconds(1234567));
  for (const char* bad : {"", "full avg10=0.00 total=7\n", "some avg10=0.00\n",
                          "some total=x", "some total=\n"}) {
    EXPECT_FALSE(ParsePressure(bad).has_value()) << bad;
  }
}

TEST(HostTest, WhenAProcessHasAHostileName_FindsItsNumbers) {
  const auto stat = ParseProcessStat(
      "42 (a) R 1 2 (x)) S 1 42 42 0 -1 4194560 100 0 0 0 250 50 0 0 20 0 17 0 "
      "9000 1000000 321 18446744073709551615 1 1 0\n",
      100);
  ASSERT_TRUE(stat.has_value());
  EXPECT_DOUBLE_EQ(stat->cpu_seconds, 3);
  EXPECT_EQ(stat->threads, 17);
  EXPECT_DOUBLE_EQ(stat->start_seconds, 90);
  EXPECT_EQ(stat->resident_pages, 321);
  EXPECT_FALSE(ParseProcessStat("42 (short) S 1 42", 100).has_value());
  EXPECT_FALSE(ParseProcessStat("", 100).has_value());
}

TEST(HostTest, WhenAsked_KnowsThisProcessAndHost) {
  metrics::Samples samples;
  AddProcess(samples);
  AddHost(samples);
  std::set<std::string> names;
  for (const auto& family : std::move(samples).Take()) {
    names.insert(family.name);
    for (const auto& metric : family.metric) {
      EXPECT_GE(metric.gauge.value + metric.counter.value, 0) << family.name;
    }
  }
  for (const char* name :
       {"process_cpu_seconds_total", "process_resident_memory_bytes",
        "process_open_fds", "process_max_fds", "process_threads",
        "process_start_time_seconds", "bulwark_node_boot_time_seconds"}) {
    EXPECT_TRUE(names.contains(name)) << name;
  }
}

}  // namespace
}  // namespace bulwark::daemon
