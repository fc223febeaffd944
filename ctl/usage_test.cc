// ctl top, autoscale, and how both look in get and describe.
#include "ctl/usage.h"

#include "ctl/testing/fixture.h"

namespace bulwark::ctl::testing {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

// One of two answers, ten seconds apart: what grows does so between them.
v1::StatsResponse Answer(bool second) {
  v1::StatsResponse stats;
  stats.mutable_time()->set_seconds(second ? 1010 : 1000);
  v1::NodeUsage& node = *stats.mutable_node();
  node.set_cpu_usec(second ? 5000000 : 0);  // half a core
  node.set_cpu_millicores(2000);
  node.set_memory_total_bytes(4000000000);
  node.set_memory_available_bytes(3000000000);
  node.set_disk_total_bytes(100000000000);
  node.set_disk_available_bytes(90000000000);
  return stats;
}
v1::ContainerUsage& Add(v1::StatsResponse& stats, const std::string& service,
                        const std::string& replica,
                        const std::string& container, int64_t cpu_usec) {
  v1::ContainerUsage& c = *stats.add_containers();
  c.set_project("default");
  c.set_service(service);
  c.set_replica(replica);
  c.set_container(container);
  c.set_cpu_usec(cpu_usec);
  c.set_cpu_limit_millicores(500);
  c.set_memory_bytes(10000000);
  c.set_memory_limit_bytes(40000000);
  c.set_pids(2);
  return c;
}

class UsageTest : public CtlTest {
 protected:
  UsageTest() {
    before_ = Answer(false);
    after_ = Answer(true);
    Add(before_, "idle", "idle-0", "main", 0);
    Add(after_, "idle", "idle-0", "main", 0);
    for (int i = 0; i < 2; ++i) {
      const std::string replica = absl::StrCat("web-", i);
      Add(before_, "web", replica, "web", 1000000);
      Add(before_, "web", replica, "log", 0);
      // 250m each; both containers tell of the same link.
      for (const char* name : {"web", "log"}) {
        const bool main = std::string(name) == "web";
        v1::ContainerUsage& c =
            Add(after_, "web", replica, name, main ? 3500000 : 0);
        c.set_network_receive_bytes(50000);
        c.set_cpu_throttled_usec(main ? 1000000 : 0);
      }
    }
    server_.set_stats({before_, after_});
  }
  v1::StatsResponse before_, after_;
};

TEST_F(UsageTest, SumsServicesLargestFirst) {
  const std::vector<Usage> rows = UsageOf(before_, after_, false);
  ASSERT_EQ(rows.size(), 2u);
  EXPECT_EQ(rows[0].name, "web");
  EXPECT_EQ(rows[0].replicas, 2);
  EXPECT_EQ(rows[0].cpu_millicores, 500);
  EXPECT_EQ(rows[0].cpu_limit_millicores, 2000);
  EXPECT_EQ(rows[0].memory_bytes, 40000000);
  EXPECT_EQ(rows[0].receive_rate, 10000);
  EXPECT_EQ(rows[0].throttled_percent, 20);
  EXPECT_EQ(rows[0].pids, 8);
  EXPECT_EQ(rows[1].name, "idle");
}

TEST_F(UsageTest, WhenACounterBeganAnew_ItsRateIsZero) {
  after_.mutable_containers(1)->set_cpu_usec(5);
  Add(after_, "fresh", "fresh-0", "main", 9000000);
  const std::vector<Usage> rows = UsageOf(before_, after_, false);
  ASSERT_EQ(rows.size(), 3u);
  EXPECT_EQ(rows[0].cpu_millicores, 250);
  EXPECT_EQ(rows[1].name, "fresh");
  EXPECT_EQ(rows[1].cpu_millicores, 0);
  EXPECT_EQ(rows[1].memory_bytes, 10000000);
  // The same answer twice.
  EXPECT_EQ(UsageOf(after_, after_, false)[0].cpu_millicores, 0);
}

TEST_F(UsageTest, WhenOneHasNoLimit_TheSumHasNone) {
  after_.mutable_containers(1)->set_cpu_limit_millicores(0);
  EXPECT_EQ(UsageOf(before_, after_, false)[0].cpu_limit_millicores, 0);
  EXPECT_EQ(UsageOf(before_, after_, false)[0].memory_limit_bytes, 160000000);
}

TEST_F(UsageTest, InAPipe_TopPrintsOnce) {
  EXPECT_EQ(Ctl({"top"}), kExitOk) << err_;
  EXPECT_THAT(
      out_,
      HasSubstr("Node: cpu 0.50 of 2 (25%), memory 1.0 GB of 4.0 GB (25%), "
                "disk 10.0 GB of 100 GB (10%)\n"));
  EXPECT_THAT(out_, HasSubstr("SERVICE   REPLICAS   CPU "));
  EXPECT_THAT(out_, HasSubstr("web       2          0.50   25%"));
  EXPECT_LT(out_.find("web "), out_.find("idle"));
  EXPECT_THAT(server_.calls(), ElementsAre("Stats default "));
}

TEST_F(UsageTest, OfOneService_TopListsItsReplicas) {
  EXPECT_EQ(Ctl({"top", "web"}), kExitOk) << err_;
  EXPECT_THAT(out_, AllOf(HasSubstr("REPLICA"), HasSubstr("web-0"),
                          Not(HasSubstr("REPLICAS"))));
  EXPECT_EQ(Ctl({"top", "job/import", "-A"}), kExitOk) << err_;
  EXPECT_THAT(out_, HasSubstr("PROJECT"));
  EXPECT_THAT(server_.calls(),
              ElementsAre("Stats default web", "Stats * job/import"));
}

TEST_F(UsageTest, AsJson_TopPrintsNumbers) {
  EXPECT_EQ(Ctl({"top", "-o", "json"}), kExitOk) << err_;
  EXPECT_THAT(out_, HasSubstr("\"node\": {\"cpuMillicores\": 500, "
                              "\"cpuTotalMillicores\": 2000"));
  EXPECT_THAT(out_, HasSubstr("\"service\": \"web\", \"replicas\": 2, "
                              "\"cpuMillicores\": 500"));
  EXPECT_EQ(Ctl({"top", "-o", "yaml"}), kExitUsage);
}

TEST_F(UsageTest, WhenThereIsMuch_TheTableSaysHowMuchMore) {
  std::vector<Usage> rows(30);
  EXPECT_THAT(UsageTable(rows, false, false, 10), HasSubstr("… and 20 more"));
}

TEST_F(UsageTest, WhenTheDaemonRefuses_TopSaysWhy) {
  server_.FailNext("Stats", grpc::Status(grpc::StatusCode::NOT_FOUND,
                                         "get service default/nobody: not "
                                         "found"));
  EXPECT_EQ(Ctl({"top", "nobody"}), kExitError);
  EXPECT_THAT(err_, HasSubstr("nobody"));
}

TEST_F(UsageTest, AutoscaleAppliesTheChangedService) {
  server_.Put(MakeService("web", 1, 1));
  EXPECT_EQ(Ctl({"autoscale", "web", "--min", "2", "--max", "10", "--cpu",
                 "70%", "--connections", "50"}),
            kExitOk)
      << err_;
  EXPECT_EQ(out_, "service web autoscaled from 2 to 10\n");
  const v1::ServiceSpec spec = server_.last_apply().objects(0).service().spec();
  EXPECT_EQ(spec.autoscale().min_replicas(), 2);
  EXPECT_EQ(spec.autoscale().max_replicas(), 10);
  ASSERT_EQ(spec.autoscale().metrics_size(), 2);
  EXPECT_EQ(spec.autoscale().metrics(0).cpu(), 70);
  EXPECT_EQ(spec.containers(0).image(), "nginx:1.27");
  // What is not named stays.
  EXPECT_EQ(Ctl({"autoscale", "web", "--max", "20"}), kExitOk);
  EXPECT_EQ(out_, "service web autoscaled from 2 to 20\n");
  EXPECT_EQ(server_.last_apply()
                .objects(0)
                .service()
                .spec()
                .autoscale()
                .metrics_size(),
            2);
  EXPECT_EQ(Ctl({"autoscale", "web", "--off"}), kExitOk);
  EXPECT_FALSE(
      server_.last_apply().objects(0).service().spec().has_autoscale());
}

TEST_F(UsageTest, WhenTheServiceWasWrittenMeanwhile_AutoscaleTriesAgain) {
  server_.Put(MakeService("web", 1, 1));
  server_.FailNext("Apply", grpc::Status(grpc::StatusCode::ABORTED, "changed"));
  EXPECT_EQ(Ctl({"autoscale", "web", "--max", "3", "--cpu", "70%"}), kExitOk)
      << err_;
}

TEST_F(UsageTest, WhenAutoscaleIsToldNothing_SaysWhatToGive) {
  EXPECT_EQ(Ctl({"autoscale", "web"}), kExitUsage);
  EXPECT_THAT(err_, HasSubstr("--max"));
  EXPECT_EQ(Ctl({"autoscale", "web", "--off", "--max", "3"}), kExitUsage);
  server_.Put(MakeService("web", 1, 1));
  EXPECT_NE(Ctl({"autoscale", "web", "--max", "3", "--cpu", "much"}), kExitOk);
  EXPECT_THAT(err_, HasSubstr("much"));
}

TEST_F(UsageTest, DescribeAndGetTellTheLastDecision) {
  v1::Object service = MakeService("web", 4, 4);
  v1::Autoscale& autoscale =
      *service.mutable_service()->mutable_spec()->mutable_autoscale();
  autoscale.set_min_replicas(1);
  autoscale.set_max_replicas(4);
  server_.Put(service);
  EXPECT_EQ(Ctl({"describe", "service", "web"}), kExitOk) << err_;
  EXPECT_THAT(out_, HasSubstr("nothing is decided yet"));

  v1::Object object;
  v1::Scale& scale = *object.mutable_scale();
  scale.mutable_metadata()->set_name("web");
  scale.mutable_metadata()->set_project("default");
  scale.set_replicas(4);
  scale.set_recommended(6);
  scale.set_message("wanted 6, got 4, because maxReplicas is 4");
  v1::MetricSample& sample = *scale.add_metrics();
  sample.set_name("cpu");
  sample.set_value(93.5);
  sample.set_target(70);
  sample.set_recommended(6);
  v1::Condition& condition = *scale.add_conditions();
  condition.set_type("ScalingLimited");
  condition.set_status(v1::Condition::TRUE);
  condition.set_reason("TooManyReplicas");
  server_.Put(object);
  EXPECT_EQ(Ctl({"describe", "service", "web"}), kExitOk) << err_;
  for (const char* part :
       {"Autoscale:      1 to 4 replicas: has 4, wanted 6\n",
        "Last decision:  wanted 6, got 4, because maxReplicas is 4\n",
        "cpu      93.5%   70%", "TooManyReplicas"}) {
    EXPECT_THAT(out_, HasSubstr(part));
  }
  EXPECT_EQ(Ctl({"get", "scale"}), kExitOk) << err_;
  EXPECT_THAT(out_, HasSubstr("web    4          6        cpu 93.5%/70%"));
}

}  // namespace
}  // namespace bulwark::ctl::testing
