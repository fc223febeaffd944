#include "os/node_usage.h"

#include <gtest/gtest.h>

#include "base/testing/status_matchers.h"

namespace bulwark::os {
namespace {

using ::bulwark::testing::StatusIs;
using ::testing::HasSubstr;

TEST(ProcStatTest, CountsWorkAndProcessors) {
  NodeUsage usage;
  ASSERT_OK(ParseProcStat(
      // user nice system idle iowait irq softirq steal guest guest_nice
      "cpu  100 20 30 4000 500 6 7 8000 90 10\n"
      "cpu0 50 10 15 2000 250 3 4 4000 45 5\n"
      "cpu1 50 10 15 2000 250 3 3 4000 45 5\n"
      "intr 12 0 3\nctxt 4\n",
      100, usage));
  EXPECT_EQ(usage.cpus, 2);
  EXPECT_EQ(usage.cpu_usage, absl::Milliseconds(1630));
}

TEST(ProcStatTest, WhenThereIsNoProcessor_SaysSo) {
  NodeUsage usage;
  EXPECT_THAT(ParseProcStat("intr 1\n", 100, usage),
              StatusIs(absl::StatusCode::kDataLoss, HasSubstr("/proc/stat")));
  EXPECT_THAT(ParseProcStat("cpu\ncpu0\n", 100, usage),
              StatusIs(absl::StatusCode::kDataLoss));
}

TEST(MemInfoTest, ReadsKibibytes) {
  NodeUsage usage;
  ASSERT_OK(ParseMemInfo(
      "MemTotal:        2048 kB\nMemFree:    1 kB\nMemAvailable:  1024 kB\n",
      usage));
  EXPECT_EQ(usage.memory_total_bytes, 2 << 20);
  EXPECT_EQ(usage.memory_available_bytes, 1 << 20);
  EXPECT_THAT(ParseMemInfo("MemTotal: 2048 kB\n", usage),
              StatusIs(absl::StatusCode::kDataLoss, HasSubstr("MemAvailable")));
}

TEST(NodeUsageTest, ReadsThisHost) {
  ASSERT_OK_AND_ASSIGN(NodeUsage usage, ReadNodeUsage("/"));
  EXPECT_GT(usage.cpus, 0);
  EXPECT_GT(usage.cpu_usage, absl::ZeroDuration());
  EXPECT_GT(usage.memory_total_bytes, usage.memory_available_bytes);
  EXPECT_GT(usage.disk_total_bytes, 0);
  EXPECT_THAT(ReadNodeUsage("/no/such/path"),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("/no/such")));
}

}  // namespace
}  // namespace bulwark::os
