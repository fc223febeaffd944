// Autoscaling, as a user sees it: up under real load and down after the window,
// whatever happens to the daemon in between.

#include <arpa/inet.h>
#include <sys/socket.h>

#include <algorithm>
#include <atomic>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/clock.h"
#include "base/unique_fd.h"
#include "tests/e2e/suite.h"
#include "tests/load/load.h"

namespace bulwark::e2e {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr int kPort = 8093;
constexpr absl::Duration kWindow = absl::Seconds(20);
// An evaluation, a sample, the mean over some of them, and a busy host.
constexpr absl::Duration kSlack = absl::Seconds(25);

UniqueFd Connect(int port) {
  UniqueFd fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  EXPECT_EQ(
      connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)),
      0);
  return fd;
}

class AutoscaleTest : public Suite {
 protected:
  static void SetUpTestSuite() { Open("e2escale"); }
  static void TearDownTestSuite() { Close(); }

  // One that idles until Burn(); a tenth of a core each.
  static std::string Burner(const std::string& name, int max,
                            const std::string& more = "") {
    return absl::StrCat(
        "kind: Service\nname: ", name, "\nimage: ", busybox(),
        "\ncommand: [sh, -c, \"exec sleep 10000\"]\nreplicas: 1\n"
        "stop: {timeout: 1s}\nrollout: {minHealthyTime: 100ms}\n"
        "autoscale: {maxReplicas: ",
        max, ", metrics: [{cpu: 5%}], scaleDown: {stabilizationWindow: ",
        absl::FormatDuration(kWindow), "}}\n",
        more.empty() ? "resources: {cpu: 100m, memory: 32Mi}\n" : more);
  }
  // Its first replica takes all that it may, until Rest().
  static void Burn(const std::string& service) {
    Ctl({"exec", service, "--", "sh", "-c",
         "while :; do :; done >/dev/null 2>&1 </dev/null & "
         "echo $! >/tmp/pid"});
  }
  static void Rest(const std::string& service) {
    Ctl({"exec", service, "--", "sh", "-c", "kill $(cat /tmp/pid)"});
  }

  static int Count(const std::string& service) {
    const Result got = world().Ctl({"get", "scale", service, "-o", "json"});
    if (!got.ok()) return -1;
    const auto scale = nlohmann::json::parse(got.out, nullptr, false);
    return scale.is_discarded() ? -1 : scale.value("replicas", -1);
  }
  static bool AwaitCount(const std::string& service, int count,
                         absl::Duration timeout) {
    return Eventually([&] { return Count(service) == count; }, timeout);
  }
  static std::string Describe(const std::string& service) {
    return world().Ctl({"describe", "service", service}).ToString() +
           world().Ctl({"top", service}).ToString();
  }
  static void Remove(const std::string& service) {
    Ctl({"delete", "service", service, "--wait"});
    EXPECT_TRUE(Eventually([&] { return !Exists("scale", service); }));
  }
};

TEST_F(AutoscaleTest, WhenTheDaemonIsKilled_DecisionsGoOn) {
  world().Apply(Burner("burn", 3));
  ASSERT_TRUE(world().AwaitReady("burn", 1));
  ASSERT_TRUE(AwaitCount("burn", 1, kSlack)) << Describe("burn");
  Burn("burn");
  // Before it has decided anything.
  world().KillDaemon();
  world().StartDaemon();
  // One burns 100 % of its request, or a good part of it on a busy host.
  ASSERT_TRUE(AwaitCount("burn", 3, 2 * kSlack)) << Describe("burn");
  EXPECT_TRUE(world().AwaitReady("burn", 3));
  const std::string told = Ctl({"describe", "service", "burn"}).out;
  EXPECT_THAT(
      told, AllOf(HasSubstr("1 to 3 replicas: has 3"),
                  HasSubstr("TooManyReplicas"), HasSubstr("maxReplicas is 3")))
      << told;
  EXPECT_THAT(Ctl({"events"}).out, HasSubstr("Rescaled"));
  EXPECT_THAT(Ctl({"top", "burn"}).out, HasSubstr("burn-0-"));
  const auto top =
      nlohmann::json::parse(Ctl({"top", "-o", "json"}).out, nullptr, false);
  ASSERT_FALSE(top.is_discarded());
  EXPECT_EQ(top["items"][0]["service"], "burn");
  EXPECT_EQ(top["items"][0]["replicas"], 3);
  EXPECT_GT(top["items"][0]["cpuMillicores"], 2);
  EXPECT_EQ(top["items"][0]["cpuLimitMillicores"], 300);
  EXPECT_GT(top["node"]["memoryTotalBytes"], 0);

  // The count is the autoscaler's: neither of these touches it.
  world().Apply(Burner("burn", 3));
  EXPECT_THAT(CtlFails({"scale", "burn", "2"}).err,
              HasSubstr("its autoscaler decides"));
  world().KillDaemon();
  world().StartDaemon();
  EXPECT_EQ(Count("burn"), 3);
  EXPECT_TRUE(world().AwaitReady("burn", 3));

  Rest("burn");
  const absl::Time rested = WallNow();
  // The window begins to empty, and goes on doing so over a crash.
  ASSERT_TRUE(Eventually(
      [&] {
        return Ctl({"describe", "service", "burn"})
                   .out.find("ScaleDownStabilized") != std::string::npos;
      },
      kSlack))
      << Describe("burn");
  world().KillDaemon();
  Pause(absl::Seconds(3));
  world().StartDaemon();
  EXPECT_EQ(Count("burn"), 3);
  ASSERT_TRUE(AwaitCount("burn", 1, kWindow + kSlack)) << Describe("burn");
  EXPECT_GE(WallNow() - rested, kWindow - absl::Seconds(2));
  EXPECT_TRUE(Eventually([&] { return world().Ready("burn").size() == 1; }));

  // Without the autoscaler, what is declared counts again.
  Ctl({"autoscale", "burn", "--off"});
  EXPECT_TRUE(Eventually([&] { return !Exists("scale", "burn"); }));
  Ctl({"scale", "burn", "2"});
  EXPECT_TRUE(world().AwaitReady("burn", 2));
  Remove("burn");
}

TEST_F(AutoscaleTest, WhenBoundsChange_TheyHoldAtOnce) {
  world().Apply(Burner("bounds", 3));
  ASSERT_TRUE(world().AwaitReady("bounds", 1));
  Ctl({"autoscale", "bounds", "--min", "2", "--max", "4"});
  EXPECT_TRUE(world().AwaitReady("bounds", 2));
  EXPECT_TRUE(AwaitCount("bounds", 2, kSlack)) << Describe("bounds");
  // A stopped service is not scaled, and comes back with its count.
  Ctl({"stop", "bounds", "--wait"});
  EXPECT_EQ(Count("bounds"), 2);
  Ctl({"start", "bounds"});
  EXPECT_TRUE(world().AwaitReady("bounds", 2));
  Remove("bounds");
}

TEST_F(AutoscaleTest, WhenTheHostIsFull_SaysWhatWasWantedAndWhy) {
  const auto top =
      nlohmann::json::parse(Ctl({"top", "-o", "json"}).out, nullptr, false);
  ASSERT_FALSE(top.is_discarded());
  // Two fit, three do not.
  const int64_t each =
      top["node"]["memoryTotalBytes"].get<int64_t>() * 2 / 5 >> 20;
  world().Apply(Burner("heavy", 4,
                       absl::StrCat("resources: {cpu: 100m, memory: {request: ",
                                    each, "Mi}}\n")));
  ASSERT_TRUE(world().AwaitReady("heavy", 1));
  Burn("heavy");
  ASSERT_TRUE(AwaitCount("heavy", 2, 2 * kSlack)) << Describe("heavy");
  EXPECT_TRUE(Eventually([&] {
    return Ctl({"describe", "service", "heavy"}).out.find("NodeCapacity") !=
           std::string::npos;
  })) << Describe("heavy");
  EXPECT_THAT(Ctl({"events"}).out, HasSubstr("of memory, and others request"));
  EXPECT_EQ(Count("heavy"), 2);
  Remove("heavy");
}

TEST_F(AutoscaleTest, ByMemory_FollowsWhatIsUsed) {
  world().Apply(
      absl::StrCat("kind: Service\nname: fills\nimage: ", busybox(),
                   "\ncommand: [sh, -c, \"exec sleep 10000\"]\nreplicas: 1\n"
                   "stop: {timeout: 1s}\nrollout: {minHealthyTime: 100ms}\n"
                   "resources: {memory: 64Mi}\n"
                   "autoscale: {maxReplicas: 4, metrics: [{memory: 40%}], "
                   "scaleDown: {stabilizationWindow: 5s}}\n"));
  ASSERT_TRUE(world().AwaitReady("fills", 1));
  ASSERT_TRUE(AwaitCount("fills", 1, kSlack)) << Describe("fills");
  // 75 % and little more of one: two carry it, with 40 % each.
  Ctl({"exec", "fills", "--", "dd", "if=/dev/zero", "of=/dev/shm/fill", "bs=1M",
       "count=48"});
  EXPECT_TRUE(AwaitCount("fills", 2, kSlack)) << Describe("fills");
  EXPECT_THAT(Ctl({"describe", "service", "fills"}).out, HasSubstr("memory"));
  const auto ready = [] { return world().Ready("fills"); };
  ASSERT_TRUE(Eventually([&] { return ready().size() == 2; }));
  for (const ReplicaInfo& replica : ready()) {
    Ctl({"exec", replica.name, "--", "rm", "-f", "/dev/shm/fill"});
  }
  EXPECT_TRUE(AwaitCount("fills", 1, kSlack)) << Describe("fills");
  Remove("fills");
}

TEST_F(AutoscaleTest, ByConnections_FollowsTheClients) {
  const std::string nginx = world().PushNginx("1", "v1");
  world().Apply(absl::StrCat(
      "kind: Service\nname: conns\nimage: ", nginx, "\nports: [\"", kPort,
      ":80\"]\nresources: {memory: 64Mi}\nhealth: {http: \":80/healthz\", "
      "period: 200ms}\nstop: {timeout: 2s}\n"
      "loadBalancer: {drainTimeout: 2s}\nrollout: {minHealthyTime: 100ms}\n"
      "autoscale: {maxReplicas: 4, metrics: [{connections: 3}], "
      "scaleDown: {stabilizationWindow: 6s}}\n"));
  ASSERT_TRUE(world().AwaitReady("conns", 1));
  RealClock clock;
  std::atomic<bool> stop = false;
  load::LoadOptions options;
  options.port = kPort;
  options.mode = load::Mode::kKeepAlive;
  options.connections = 1;
  options.rate = 20;
  options.duration = absl::Minutes(5);
  options.stop = &stop;
  absl::StatusOr<load::LoadReport> report;
  std::thread client([&] { report = load::RunLoad(options, clock); });
  // Beside it eight connections that say nothing: ceil(9 / 3), with no request
  // failed.
  std::vector<UniqueFd> silent;
  for (int i = 0; i < 8; ++i) silent.push_back(Connect(kPort));
  const bool up = AwaitCount("conns", 3, kSlack);
  EXPECT_TRUE(up) << Describe("conns");
  EXPECT_TRUE(world().AwaitReady("conns", 3));
  stop = true;
  client.join();
  silent.clear();
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_EQ(report->failed, 0) << load::ToJson(*report);
  EXPECT_TRUE(AwaitCount("conns", 1, kSlack)) << Describe("conns");
  Remove("conns");
}

TEST_F(AutoscaleTest, WhenTheManifestIsWrong_SaysWhere) {
  const auto refused = [&](const std::string& autoscale,
                           const std::string& more = "") {
    const std::string path = world().Path("bad.yaml");
    WriteFile(path, absl::StrCat("kind: Service\nname: bad\nimage: ", busybox(),
                                 "\nautoscale: ", autoscale, "\n", more));
    return CtlFails({"apply", "-f", path}).err;
  };
  const std::string cpu = "resources: {cpu: 100m}\n";
  EXPECT_THAT(
      refused("{minReplicas: 5, maxReplicas: 2, metrics: [{cpu: 50%}]}", cpu),
      AllOf(HasSubstr("bad.yaml:4:"), HasSubstr("is above maxReplicas")));
  EXPECT_THAT(refused("{maxReplicas: 2, metrics: [{latency: 50%}]}", cpu),
              AllOf(HasSubstr("bad.yaml:4:"), HasSubstr("latency"),
                    HasSubstr("unknown field")));
  EXPECT_THAT(refused("{maxReplicas: 2, metrics: [{cpu: 50%}]}"),
              HasSubstr("neither a cpu request nor a limit"));
  EXPECT_THAT(refused("{maxReplicas: 2, metrics: [{connections: 5}]}"),
              HasSubstr("no port"));
  EXPECT_FALSE(Exists("service", "bad"));
}

}  // namespace
}  // namespace bulwark::e2e
