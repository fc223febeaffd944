#include "daemon/metrics/runtime.h"

#include <gmock/gmock.h>
#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

#include "base/testing/fake_clock.h"
#include "daemon/metrics/testing.h"

namespace bulwark::daemon {
namespace {

using ::testing::IsSupersetOf;
using ::testing::Pair;
using ::testing::UnorderedElementsAre;

TEST(RuntimeTest, TheProxyTellsOfPortsAndOfKnownReplicas) {
  dataplane::v1::Stats stats;
  ASSERT_TRUE(google::protobuf::TextFormat::ParseFromString(
      R"(version: 9 pools { pool: "shop/web/http" held: 1 accepted_total: 2
        held_total: 3 failed_total: 4 retried_total: 5
        endpoints { id: "a" active: 6 connections_total: 7
          connect_failures_total: 8 bytes_in_total: 9 bytes_out_total: 10
          ejected: true connect_nanoseconds_total: 1500000000 }
        endpoints { id: "unknown" active: 1 } }
        pools { pool: "odd" })",
      &stats));
  metrics::Samples samples;
  AddProxy(stats, {{"a", {"shop", "web", "", "web-0-a"}}}, samples);
  const std::string pool = "{project=\"shop\",service=\"web\",port=\"http\"";
  const std::string end = pool + ",replica=\"web-0-a\"}";
  EXPECT_THAT(
      Values(std::move(samples)),
      UnorderedElementsAre(
          Pair("bulwark_proxy_snapshot_version", 9),
          Pair("bulwark_proxy_connections_held" + pool + "}", 1),
          Pair("bulwark_proxy_connections_accepted_total" + pool + "}", 2),
          Pair("bulwark_proxy_connections_held_total" + pool + "}", 3),
          Pair("bulwark_proxy_connections_failed_total" + pool + "}", 4),
          Pair("bulwark_proxy_connections_retried_total" + pool + "}", 5),
          Pair("bulwark_proxy_endpoint_connections_active" + end, 6),
          Pair("bulwark_proxy_endpoint_connections_total" + end, 7),
          Pair("bulwark_proxy_endpoint_connect_failures_total" + end, 8),
          Pair("bulwark_proxy_endpoint_receive_bytes_total" + end, 9),
          Pair("bulwark_proxy_endpoint_transmit_bytes_total" + end, 10),
          Pair("bulwark_proxy_endpoint_ejected" + end, 1),
          Pair("bulwark_proxy_endpoint_connect_seconds_total" + end, 1.5)));
}

TEST(RuntimeTest, ControllersTellOfTheirQueues) {
  scheduler::Runner::Stats runner;
  runner.name = "service";
  runner.failures = 2;
  runner.retries = 1;
  runner.busy_workers = 3;
  runner.ready = 4;
  runner.delayed = 5;
  runner.durations = Histogram().Get();
  metrics::Samples samples;
  AddControllers({runner}, samples);
  const std::string of = "{controller=\"service\"}";
  EXPECT_THAT(
      Values(std::move(samples)),
      IsSupersetOf(std::map<std::string, double>{
          {"bulwark_controller_reconcile_errors_total" + of, 2},
          {"bulwark_controller_reconcile_retries_total" + of, 1},
          {"bulwark_controller_workers_busy" + of, 3},
          {"bulwark_controller_queue_ready" + of, 4},
          {"bulwark_controller_queue_delayed" + of, 5},
          {"bulwark_controller_reconcile_duration_seconds_count" + of, 0}}));
}

TEST(RuntimeTest, CallsAreToldByMethodAndCode) {
  testing::FakeClock clock;
  api::CallStats calls(clock);
  calls.Began("/bulwark.v1.Resources/Get");
  calls.Ended("/bulwark.v1.Resources/Get", 5, absl::Milliseconds(30));
  calls.Began("/bulwark.v1.Resources/Get");
  calls.Ended("/bulwark.v1.Resources/Get", 0, absl::Milliseconds(10));
  calls.Began("/bulwark.v1.Resources/Watch");
  metrics::Samples samples;
  AddCalls(calls.Get(), samples);
  const auto values = Values(std::move(samples));
  EXPECT_THAT(
      values,
      IsSupersetOf(std::map<std::string, double>{
          {"bulwark_api_calls_total{method=\"Resources/Get\",code=\"OK\"}", 1},
          {"bulwark_api_calls_total{method=\"Resources/Get\","
           "code=\"NOT_FOUND\"}",
           1},
          {"bulwark_api_calls_in_flight{method=\"Resources/Get\"}", 0},
          {"bulwark_api_calls_in_flight{method=\"Resources/Watch\"}", 1},
          {"bulwark_api_call_duration_seconds_count{method=\"Resources/Get\"}",
           2},
          {"bulwark_api_call_duration_seconds_sum{method=\"Resources/Get\"}",
           0.04}}));
  EXPECT_FALSE(values.contains(
      "bulwark_api_call_duration_seconds_count{method=\"Resources/Watch\"}"));
}

TEST(RuntimeTest, StorePullsAndPushesTellTheirCounts) {
  store::RocksStore::Stats store;
  store.commits = 1;
  store.failures = 2;
  store.reopened = 3;
  store.revision = 40;
  store.log_revisions = 5;
  store.write_time = Histogram().Get();
  metrics::Samples samples;
  AddStore(store, samples);
  AddPulls({6, 7, 8, 9, 10, Histogram(kSlowBounds).Get(), 11, 12}, samples);
  AddPushes({13, 14, 15, Histogram(kSlowBounds).Get()}, samples);
  EXPECT_THAT(Values(std::move(samples)),
              IsSupersetOf(std::map<std::string, double>{
                  {"bulwark_store_commits_total", 1},
                  {"bulwark_store_write_failures_total", 2},
                  {"bulwark_store_reopened_total", 3},
                  {"bulwark_store_revision", 40},
                  {"bulwark_store_log_revisions", 5},
                  {"bulwark_store_write_duration_seconds_count", 0},
                  {"bulwark_image_pulls_total{result=\"ok\"}", 6},
                  {"bulwark_image_pulls_total{result=\"error\"}", 7},
                  {"bulwark_image_pull_bytes_total", 8},
                  {"bulwark_image_refusals_total", 9},
                  {"bulwark_image_lookups_total", 10},
                  {"bulwark_image_collections_total", 11},
                  {"bulwark_image_collected_bytes_total", 12},
                  {"bulwark_image_pull_duration_seconds_count", 0},
                  {"bulwark_image_pushes_total{result=\"ok\"}", 13},
                  {"bulwark_image_pushes_total{result=\"error\"}", 14},
                  {"bulwark_image_push_bytes_total", 15},
                  {"bulwark_image_push_duration_seconds_count", 0}}));
}

}  // namespace
}  // namespace bulwark::daemon
