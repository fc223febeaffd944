#include "daemon/metrics/objects.h"

#include <gmock/gmock.h>
#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

#include "daemon/metrics/testing.h"

namespace bulwark::daemon {
namespace {

using ::testing::ContainsRegex;
using ::testing::IsSupersetOf;
using ::testing::Not;
using ::testing::Pair;
using ::testing::UnorderedElementsAre;

std::map<std::string, double> Of(const std::string& text) {
  v1::Object object;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &object));
  metrics::Samples samples;
  AddObject(object, samples);
  return Values(std::move(samples));
}

TEST(ObjectsTest, AServiceTellsItsCountsAndConditions) {
  const auto values = Of(R"(service {
    metadata { name: "web" project: "shop" }
    status { replicas: 4 ready_replicas: 3 updated_replicas: 2
             available_replicas: 1 desired_replicas: 5 revision: 7
             last_good_revision: 6
             conditions { type: "Available" status: FALSE message: "long" }
             conditions { type: "PortsOpen" status: TRUE }
             conditions { type: "Progressing" status: TRUE
                          reason: "RollingOut" } } })");
  const std::string web = "project=\"shop\",service=\"web\"";
  EXPECT_THAT(
      values,
      IsSupersetOf(std::map<std::string, double>{
          {"bulwark_service_replicas_desired{" + web + "}", 5},
          {"bulwark_service_replicas{" + web + "}", 4},
          {"bulwark_service_replicas_ready{" + web + "}", 3},
          {"bulwark_service_replicas_updated{" + web + "}", 2},
          {"bulwark_service_replicas_available{" + web + "}", 1},
          {"bulwark_service_revision{" + web + "}", 7},
          {"bulwark_service_revision_last_good{" + web + "}", 6},
          {"bulwark_service_condition{" + web + ",condition=\"Available\"}", 0},
          {"bulwark_service_condition{" + web + ",condition=\"PortsOpen\"}", 1},
          {"bulwark_service_condition{" + web + ",condition=\"CrashLoop\"}", 0},
          {"bulwark_service_rollout_state{" + web + ",state=\"progressing\"}",
           1},
          {"bulwark_service_rollout_state{" + web + ",state=\"failed\"}", 0}}));
  for (const auto& [series, value] : values) {
    EXPECT_THAT(series, Not(ContainsRegex("long|autoscaler")));
  }
}

TEST(ObjectsTest, ARolloutIsInOneState) {
  const struct {
    const char* condition;
    const char* state;
  } kCases[] = {
      {R"(type: "Progressing" status: FALSE reason: "Complete")", "complete"},
      {R"(type: "Progressing" status: FALSE reason: "NoReplicas")", "complete"},
      {R"(type: "Progressing" status: TRUE reason: "RollingOut")",
       "progressing"},
      {R"(type: "Progressing" status: TRUE reason: "ResolvingImages")",
       "waiting"},
      {R"(type: "Progressing" status: FALSE reason: "ProgressDeadlineExceeded")",
       "failed"},
      {R"(type: "RolledBack" status: TRUE reason: "RolloutFailed")",
       "rolled_back"},
      {R"(type: "Available" status: TRUE)", "waiting"},
  };
  for (const auto& c : kCases) {
    double sum = 0;
    for (const auto& [series, value] :
         Of(std::string("service { metadata { name: 'w' } status { "
                        "conditions { ") +
            c.condition + " } } }")) {
      if (series.find("rollout_state") == std::string::npos) continue;
      sum += value;
      EXPECT_EQ(value == 1, series.find("\"" + std::string(c.state) + "\"") !=
                                std::string::npos)
          << c.condition << " " << series;
    }
    EXPECT_EQ(sum, 1) << c.condition;
  }
}

TEST(ObjectsTest, AScaleTellsWhatWasMeasured) {
  const std::string web = "{project=\"default\",service=\"web\"";
  EXPECT_THAT(
      Of(R"(scale { metadata { name: "web" } replicas: 4 recommended: 6
        metrics { name: "cpu" value: 91.5 target: 70 }
        metrics { name: "memory" target: 80 error: "no samples" }
        conditions { type: "ScalingLimited" status: TRUE } })"),
      UnorderedElementsAre(
          Pair("bulwark_autoscaler_replicas_desired" + web + "}", 4),
          Pair("bulwark_autoscaler_replicas_recommended" + web + "}", 6),
          Pair("bulwark_autoscaler_metric_value" + web + ",metric=\"cpu\"}",
               91.5),
          Pair("bulwark_autoscaler_metric_target" + web + ",metric=\"cpu\"}",
               70),
          Pair("bulwark_autoscaler_metric_target" + web + ",metric=\"memory\"}",
               80),
          Pair("bulwark_autoscaler_condition" + web +
                   ",condition=\"ScalingLimited\"}",
               1)));
}

TEST(ObjectsTest, AReplicaTellsItsStateAndStart) {
  const std::string of =
      "{project=\"default\",service=\"web\",replica=\"web-2-x\"";
  EXPECT_THAT(
      Of(R"(replica { metadata { name: "web-2-x" uid: "x" }
        spec { service: "web" slot: 2 revision: 3 }
        status { state: RUNNING ready: true start_time { seconds: 100 }
          containers { name: "app" running: true
                       start_time { seconds: 99 nanos: 500000000 } }
          containers { name: "gone" start_time { seconds: 1 } } } })"),
      UnorderedElementsAre(
          Pair("bulwark_replica_info" + of + ",slot=\"2\",revision=\"3\"}", 1),
          Pair("bulwark_replica_state" + of + ",state=\"running\"}", 1),
          Pair("bulwark_replica_ready" + of + "}", 1),
          Pair("bulwark_replica_start_time_seconds" + of + "}", 100),
          Pair("bulwark_container_start_time_seconds" + of +
                   ",container=\"app\"}",
               99.5)));
  // What has failed takes no connections, whatever its last probe said.
  const auto failed = Of(
      R"(replica { metadata { name: "nightly-0" } spec { job: "nightly" }
        status { state: FAILED ready: true message: "exit 3" } })");
  EXPECT_EQ(failed.at("bulwark_replica_ready{project=\"default\","
                      "job_name=\"nightly\",replica=\"nightly-0\"}"),
            0);
}

TEST(ObjectsTest, AVolumeWithoutUsageTellsNone) {
  const std::string of = "{project=\"default\",volume=\"data\"";
  EXPECT_THAT(
      Of(R"(volume { metadata { name: "data" } })"),
      UnorderedElementsAre(Pair("bulwark_volume_snapshots" + of + "}", 0)));
  EXPECT_THAT(
      Of(R"(volume { metadata { name: "data" }
        status { used_bytes: 90 capacity_bytes: 100 used_inodes: 5
          capacity_inodes: 6 usage_time { seconds: 7 } snapshots { }
          conditions { type: "BackedUp" status: TRUE
                       last_transition_time { seconds: 50 } } } })"),
      UnorderedElementsAre(
          Pair("bulwark_volume_snapshots" + of + "}", 1),
          Pair("bulwark_volume_used_bytes" + of + "}", 90),
          Pair("bulwark_volume_capacity_bytes" + of + "}", 100),
          Pair("bulwark_volume_used_inodes" + of + "}", 5),
          Pair("bulwark_volume_capacity_inodes" + of + "}", 6),
          Pair("bulwark_volume_condition" + of + ",condition=\"BackedUp\"}", 1),
          Pair("bulwark_volume_backup_time_seconds" + of + "}", 50)));
}

TEST(ObjectsTest, WhenABackupFailed_TheLastGoodOneIsStillTold) {
  const std::string of = "{project=\"default\",volume=\"data\"";
  EXPECT_THAT(
      Of(R"(volume { metadata { name: "data" } status {
        conditions { type: "BackedUp" status: TRUE
                     last_transition_time { seconds: 50 } }
        conditions { type: "BackupFailed" status: TRUE
                     last_transition_time { seconds: 70 } } } })"),
      UnorderedElementsAre(
          Pair("bulwark_volume_snapshots" + of + "}", 0),
          Pair("bulwark_volume_condition" + of + ",condition=\"BackedUp\"}", 1),
          Pair("bulwark_volume_condition" + of + ",condition=\"BackupFailed\"}",
               1),
          Pair("bulwark_volume_backup_time_seconds" + of + "}", 50)));
}

TEST(ObjectsTest, JobsTellTheirEnds) {
  const std::string job = "{project=\"default\",job_name=\"j\"";
  EXPECT_THAT(
      Of(R"(job { metadata { name: "j" } status { active: 1 succeeded: 2
        failed: 3 start_time { seconds: 4 } completion_time { seconds: 5 }
        conditions { type: "Complete" status: TRUE } } })"),
      UnorderedElementsAre(
          Pair("bulwark_job_active" + job + "}", 1),
          Pair("bulwark_job_succeeded" + job + "}", 2),
          Pair("bulwark_job_failed" + job + "}", 3),
          Pair("bulwark_job_start_time_seconds" + job + "}", 4),
          Pair("bulwark_job_completion_time_seconds" + job + "}", 5),
          Pair("bulwark_job_condition" + job + ",condition=\"Complete\"}", 1)));
  const std::string cron = "{project=\"default\",cron_job=\"c\"}";
  EXPECT_THAT(
      Of(R"(cron_job { metadata { name: "c" } spec { suspend: true }
        status { active: "c-1" last_schedule_time { seconds: 1 }
          next_schedule_time { seconds: 2 }
          last_success_time { seconds: 3 } } })"),
      UnorderedElementsAre(
          Pair("bulwark_cron_job_active" + cron, 1),
          Pair("bulwark_cron_job_suspended" + cron, 1),
          Pair("bulwark_cron_job_last_schedule_time_seconds" + cron, 1),
          Pair("bulwark_cron_job_next_schedule_time_seconds" + cron, 2),
          Pair("bulwark_cron_job_last_success_time_seconds" + cron, 3)));
}

TEST(ObjectsTest, OtherKindsTellNothing) {
  EXPECT_TRUE(Of(R"(secret { metadata { name: "s" } })").empty());
}

}  // namespace
}  // namespace bulwark::daemon
