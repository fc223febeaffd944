#include "daemon/metrics/usage.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "base/clock.h"
#include "daemon/metrics/testing.h"

namespace bulwark::daemon {
namespace {

using ::testing::IsSupersetOf;
using ::testing::Pair;
using ::testing::UnorderedElementsAre;

scheduler::ContainerUsage Container() {
  scheduler::ContainerUsage c;
  c.name = "app";
  c.stats.cpu_usage = absl::Milliseconds(1500);
  c.stats.cpu_throttled = absl::Milliseconds(250);
  c.stats.cpu_limit_millicores = 200;
  c.stats.memory_bytes = 1000;
  c.stats.memory_limit_bytes = 2000;
  c.stats.io_read_bytes = 3;
  c.stats.io_write_bytes = 4;
  c.stats.pids = 5;
  c.stats.oom_kills = 6;
  c.stats.cpu_stalled = absl::Seconds(7);
  c.stats.memory_stalled = absl::Seconds(8);
  c.stats.io_stalled = absl::Seconds(9);
  return c;
}

TEST(UsageTest, AReplicaTellsWhatItUses) {
  scheduler::UsageSample usage;
  scheduler::ReplicaUsage& r = usage.replicas.emplace_back();
  r.project = "shop";
  r.service = "web";
  r.name = "web-0-a";
  r.traffic = netmesh::Traffic{10, 11};
  r.containers.push_back(Container());
  metrics::Samples samples;
  AddUsage(usage, samples);
  const std::string replica =
      "{project=\"shop\",service=\"web\",replica=\"web-0-a\"";
  const std::string c = replica + ",container=\"app\"";
  const std::string stalled =
      "bulwark_container_pressure_stalled_seconds_total" + c + ",resource=";
  EXPECT_THAT(
      Values(std::move(samples)),
      UnorderedElementsAre(
          Pair("bulwark_container_cpu_usage_seconds_total" + c + "}", 1.5),
          Pair("bulwark_container_cpu_throttled_seconds_total" + c + "}", 0.25),
          Pair("bulwark_container_cpu_limit_cores" + c + "}", 0.2),
          Pair("bulwark_container_memory_working_set_bytes" + c + "}", 1000),
          Pair("bulwark_container_memory_limit_bytes" + c + "}", 2000),
          Pair("bulwark_container_io_read_bytes_total" + c + "}", 3),
          Pair("bulwark_container_io_write_bytes_total" + c + "}", 4),
          Pair("bulwark_container_pids" + c + "}", 5),
          Pair("bulwark_container_oom_kills_total" + c + "}", 6),
          Pair(stalled + "\"cpu\"}", 7), Pair(stalled + "\"memory\"}", 8),
          Pair(stalled + "\"io\"}", 9),
          Pair("bulwark_replica_network_receive_bytes_total" + replica + "}",
               10),
          Pair("bulwark_replica_network_transmit_bytes_total" + replica + "}",
               11)));
}

TEST(UsageTest, WhatIsNotKnownIsLeftOut) {
  scheduler::UsageSample usage;
  scheduler::ReplicaUsage& r = usage.replicas.emplace_back();
  r.name = "web-0-a";
  r.containers.emplace_back().name = "app";  // without limits
  metrics::Samples samples;
  AddUsage(usage, samples);
  for (const auto& [series, value] : Values(std::move(samples))) {
    EXPECT_EQ(series.find("limit"), std::string::npos) << series;
    EXPECT_EQ(series.find("network"), std::string::npos) << series;
    EXPECT_EQ(series.find("bulwark_node"), std::string::npos) << series;
  }
}

TEST(UsageTest, TheHostTellsWhatItHas) {
  scheduler::UsageSample usage;
  usage.node = scheduler::NodeUsage{absl::Seconds(90), 2000, 10, 4, 20, 6};
  metrics::Samples samples;
  AddUsage(usage, samples);
  EXPECT_THAT(Values(std::move(samples)),
              IsSupersetOf(std::map<std::string, double>{
                  {"bulwark_node_cpu_seconds_total", 90},
                  {"bulwark_node_cpu_cores", 2},
                  {"bulwark_node_memory_size_bytes", 10},
                  {"bulwark_node_memory_available_bytes", 4},
                  {"bulwark_node_disk_size_bytes", 20},
                  {"bulwark_node_disk_available_bytes", 6}}));
}

// The text of a scrape is ready in time for one a second.
TEST(UsageTest, WhenTwoHundredContainersRun_IsWrittenAtOnce) {
  scheduler::UsageSample usage;
  for (int i = 0; i < 200; ++i) {
    scheduler::ReplicaUsage& r = usage.replicas.emplace_back();
    r.project = "default";
    r.service = absl::StrCat("service-", i / 10);
    r.name = absl::StrCat(r.service, "-", i, "-abcde");
    r.traffic = netmesh::Traffic{1, 2};
    r.containers.push_back(Container());
  }
  RealClock clock;
  const absl::Duration begin = clock.Steady();
  metrics::Samples samples;
  AddUsage(usage, samples);
  std::ostringstream text;
  prometheus::TextSerializer().Serialize(text, std::move(samples).Take());
  const absl::Duration took = clock.Steady() - begin;
  RecordProperty("milliseconds", absl::StrCat(absl::ToInt64Milliseconds(took)));
  EXPECT_GT(text.str().size(), 200'000);
  EXPECT_LT(took, absl::Milliseconds(500));  // mostly about 10
}

}  // namespace
}  // namespace bulwark::daemon
