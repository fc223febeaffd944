// The main job: a service from a real registry, under load, while its parts are
// killed and replaced.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <set>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "base/clock.h"
#include "tests/e2e/traffic.h"
#include "tests/e2e/world.h"
#include "tests/load/outage.h"

namespace bulwark::e2e {
namespace {

constexpr int kPort = 8080;

constexpr char kManifest[] = R"(
kind: Service
name: web
image: IMAGE
replicas: 3
ports: ["8080:80"]
health: {http: ":80/healthz", period: 200ms}
stop: {timeout: 5s}
loadBalancer: {drainTimeout: 5s}
rollout: {minHealthyTime: 500ms, progressDeadline: DEADLINE}
)";

std::string Manifest(const std::string& image,
                     const std::string& deadline = "60s") {
  return absl::StrReplaceAll(kManifest,
                             {{"IMAGE", image}, {"DEADLINE", deadline}});
}

std::set<int> Pids(const std::vector<ReplicaInfo>& replicas) {
  std::set<int> pids;
  for (const ReplicaInfo& r : replicas) pids.insert(r.pid);
  return pids;
}

void ExpectNoneFailed(const std::vector<load::LoadReport>& reports) {
  for (const load::LoadReport& report : reports) {
    EXPECT_EQ(report.failed, 0) << load::ToJson(report);
    EXPECT_GT(report.requests, 0);
  }
}

class ServiceTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    world_ = new World("e2esvc");
    world_->StartRegistry();
    v1_ = world_->PushNginx("1", "v1");
    v2_ = world_->PushNginx("2", "v2");
    broken_ = world_->PushNginx("broken", "broken", 81);
    world_->StartDaemon();
  }
  static void TearDownTestSuite() {
    if (HasFailure()) {
      fprintf(stderr, "%s\n", world_->DaemonLog().c_str());
    }
    delete world_;
    world_ = nullptr;
  }
  void SetUp() override {
    if (!world_->daemon_alive()) world_->StartDaemon();
    ASSERT_TRUE(world_->Apply(Manifest(v1_)).ok());
    ASSERT_TRUE(Settled(v1_)) << Describe();
  }

  // Three ready replicas of the newest revision, and nothing else.
  static bool Settled(const std::string& image) {
    return Eventually(
        [&] {
          std::vector<ReplicaInfo> ready = world_->Ready("web");
          std::set<int64_t> revisions;
          int live = 0;
          for (const ReplicaInfo& r : ready) revisions.insert(r.revision);
          for (const ReplicaInfo& r : world_->Replicas("web")) {
            live += r.state != "stopped" && r.state != "failed";
          }
          return ready.size() == 3 && live == 3 && revisions.size() == 1;
        },
        absl::Seconds(90));
  }
  static std::string Describe() {
    return world_->Ctl({"get", "replicas", "-o", "wide"}).ToString() +
           world_->Ctl({"describe", "service", "web"}).ToString() +
           world_->DaemonLog();
  }
  static std::string Body() {
    return e2e::Run({"curl", "-sS", "--max-time", "20",
                     absl::StrCat("http://127.0.0.1:", kPort, "/")})
        .out;
  }

  static void RollOut() {
    ASSERT_TRUE(world_->Apply(Manifest(v2_)).ok());
    Result waited = world_->Ctl(
        {"rollout", "status", "web", "--timeout", "90s"}, absl::Seconds(100));
    EXPECT_TRUE(waited.ok()) << waited.ToString() << Describe();
    ASSERT_TRUE(Settled(v2_)) << Describe();
    EXPECT_THAT(Body(), ::testing::HasSubstr("v2"));
    EXPECT_TRUE(world_->Ctl({"rollout", "undo", "web"}).ok());
    EXPECT_TRUE(
        Eventually([&] { return Body().find("v1") != std::string::npos; },
                   absl::Seconds(60)))
        << Describe();
  }

  static World* world_;
  static std::string v1_, v2_, broken_;
};

World* ServiceTest::world_ = nullptr;
std::string ServiceTest::v1_, ServiceTest::v2_, ServiceTest::broken_;

TEST_F(ServiceTest, WhenAReplicaIsKilled_ItIsReplacedAndNothingElseFails) {
  Traffic traffic(kPort);
  Pause(absl::Seconds(1));
  const std::vector<ReplicaInfo> before = world_->Ready("web");
  ASSERT_EQ(before.size(), 3);
  const absl::Time killed = WallNow();
  traffic.Kill(before[0].pid, before[0].name);
  ASSERT_TRUE(Eventually([&] {
    const std::vector<ReplicaInfo> now = world_->Ready("web");
    return now.size() == 3 && Pids(now).count(before[0].pid) == 0;
  })) << Describe();
  // A figure for the reader; bench/run heal measures it without the polling.
  RecordProperty(
      "replaced_in_ms",
      static_cast<int>(absl::ToInt64Milliseconds(WallNow() - killed)));
  EXPECT_LT(WallNow() - killed, absl::Seconds(5));
  const std::vector<load::LoadReport> reports = traffic.Finish();
  ExpectNoneFailed(reports);
  for (const load::LoadReport& report : reports) {
    // A kill meets each connection once.
    EXPECT_LE(report.in_flight_on_killed, Traffic::kConnections)
        << load::ToJson(report);
  }
}

TEST_F(ServiceTest, WhenTheDaemonIsKilled_NothingFailsAndNothingRestarts) {
  Traffic traffic(kPort);
  const std::set<int> before = Pids(world_->Ready("web"));
  world_->KillDaemon();
  Pause(absl::Seconds(1));
  EXPECT_THAT(Body(), ::testing::HasSubstr("v1"));
  world_->StartDaemon();
  EXPECT_EQ(Pids(world_->Ready("web")), before) << Describe();
  Pause(absl::Seconds(1));
  EXPECT_EQ(Pids(world_->Ready("web")), before) << Describe();
  ExpectNoneFailed(traffic.Finish());
}

TEST_F(ServiceTest, ARolloutFailsNoNewConnection) {
  Traffic traffic(kPort, {load::Mode::kPerRequest});
  RollOut();
  ExpectNoneFailed(traffic.Finish());
}

TEST_F(ServiceTest, ARolloutFailsNoKeptAliveConnection) {
  Traffic traffic(kPort, {load::Mode::kKeepAlive});
  RollOut();
  ExpectNoneFailed(traffic.Finish());
}

TEST_F(ServiceTest, WhenTheNewImageNeverBecomesReady_ItRollsBackByItself) {
  Traffic traffic(kPort);
  ASSERT_TRUE(world_->Apply(Manifest(broken_, "3s")).ok());
  EXPECT_TRUE(Eventually(
      [&] {
        return world_->Condition("web", "RolledBack").find("TRUE") == 0 ||
               world_->Condition("web", "RolledBack").find("true") == 0;
      },
      absl::Seconds(60)))
      << Describe();
  EXPECT_TRUE(Settled(v1_)) << Describe();
  EXPECT_THAT(Body(), ::testing::HasSubstr("v1"));
  ExpectNoneFailed(traffic.Finish());
}

TEST_F(ServiceTest, WhenTheProxyIsKilled_ItAcceptsAgainAtOnce) {
  RealClock clock;
  for (const bool daemon_runs : {true, false}) {
    if (!daemon_runs) world_->KillDaemon();
    load::Outages outages;
    for (int i = 0; i < 10; ++i) {
      // The keeper puts off the next start only after several quick deaths.
      const absl::Time began = WallNow();
      ASSERT_TRUE(Eventually(
          [&] { return WallNow() > began + absl::Milliseconds(2100); }));
      const int proxy = world_->ProcessOf("bulwark-proxy");
      ASSERT_GT(proxy, 0);
      outages.each.push_back(load::KillAndAsk(proxy, kPort, clock));
      EXPECT_NE(world_->ProcessOf("bulwark-proxy"), proxy);
    }
    const std::string what =
        daemon_runs ? "proxy killed" : "proxy killed, daemon dead";
    std::printf("%s: %s\n", what.c_str(), outages.ToString().c_str());
    RecordProperty(daemon_runs ? "answered_ms" : "answered_without_daemon_ms",
                   outages.ToString());
    // A busy machine may delay some, but not half of them.
    EXPECT_LT(outages.Median(), absl::Milliseconds(100));
    EXPECT_LT(outages.Worst(), absl::Seconds(2));
  }
}

TEST_F(ServiceTest, ScaleStopAndStart) {
  ASSERT_TRUE(world_->Ctl({"scale", "web", "5"}).ok());
  EXPECT_TRUE(world_->AwaitReady("web", 5)) << Describe();
  ASSERT_TRUE(world_->Ctl({"scale", "web", "1"}).ok());
  EXPECT_TRUE(world_->AwaitReady("web", 1)) << Describe();
  ASSERT_TRUE(world_->Ctl({"stop", "web"}).ok());
  EXPECT_TRUE(world_->AwaitReady("web", 0)) << Describe();
  ASSERT_TRUE(world_->Ctl({"start", "web"}).ok());
  EXPECT_TRUE(world_->AwaitReady("web", 1)) << Describe();
}

}  // namespace
}  // namespace bulwark::e2e

int main(int argc, char** argv) {
  ::testing::InitGoogleTest(&argc, argv);
  if (std::string why = bulwark::e2e::EnterPrivateNamespaces(); !why.empty()) {
    printf("cannot run: %s\n", why.c_str());
    return 1;
  }
  return RUN_ALL_TESTS();
}
