// New programs under load: what runs goes on, and is served by the new ones.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <set>

#include "absl/strings/str_cat.h"
#include "tests/e2e/traffic.h"
#include "tests/e2e/world.h"

namespace bulwark::e2e {
namespace {

using ::testing::HasSubstr;

constexpr int kPort = 8080;

std::string Manifest(const std::string& image) {
  return absl::StrCat("kind: Service\nname: web\nimage: ", image,
                      "\nreplicas: 3\nports: [\"8080:80\"]\n"
                      "health: {http: \":80/healthz\", period: 200ms}\n"
                      "stop: {timeout: 5s}\n"
                      "loadBalancer: {drainTimeout: 5s}\n"
                      "rollout: {minHealthyTime: 500ms}\n");
}

std::set<int> Pids(World& world) {
  std::set<int> pids;
  for (const ReplicaInfo& r : world.Ready("web")) pids.insert(r.pid);
  return pids;
}

// As tools/install does: under its name a program is the old or the new one.
void Install(const World& world, const std::string& program,
             const std::string& from) {
  const std::string path = world.bin(program);
  std::filesystem::copy_file(World::Runfile(from), path + ".new");
  std::filesystem::rename(path + ".new", path);
}

void InstallAll(const World& world, const std::string& daemon) {
  Install(world, "bulwark-shim", "engine/shim/bulwark-shim");
  Install(world, "bulwark-keeper", "dataplane/bulwark-keeper");
  Install(world, "bulwark-proxy", "dataplane/bulwark-proxy");
  Install(world, "bulwarkd", daemon);
}

void ExpectNoneFailed(const std::vector<load::LoadReport>& reports) {
  for (const load::LoadReport& report : reports) {
    EXPECT_EQ(report.failed, 0) << load::ToJson(report);
    EXPECT_GT(report.requests, 0);
  }
}

class UpgradeTest : public ::testing::Test {
 protected:
  UpgradeTest() : world_("e2eup") {
    world_.StartRegistry();
    world_.StartDaemon({"--log-format", "json"});
    EXPECT_TRUE(world_.Apply(Manifest(world_.PushNginx("1", "v1"))).ok());
    EXPECT_TRUE(world_.AwaitReady("web", 3)) << world_.DaemonLog();
  }
  ~UpgradeTest() override {
    if (HasFailure()) fprintf(stderr, "%s\n", world_.DaemonLog().c_str());
  }

  World world_;
};

TEST_F(UpgradeTest, WhenEveryProgramIsReplacedUnderLoad_NoRequestFails) {
  const std::set<int> pids = Pids(world_);
  const int keeper = world_.ProcessOf("bulwark-keeper");
  const int proxy = world_.ProcessOf("bulwark-proxy");
  ASSERT_GT(keeper, 0);
  ASSERT_GT(proxy, 0);
  Traffic traffic(kPort);
  // Forth, back, and forth: a downgrade is an upgrade as well.
  for (const char* daemon :
       {"tests/e2e/next_daemon", "daemon/bulwarkd", "tests/e2e/next_daemon"}) {
    InstallAll(world_, daemon);
    world_.StopDaemon();
    world_.LaunchDaemon();
    world_.AwaitDaemon();
    ASSERT_TRUE(world_.AwaitReady("web", 3)) << world_.DaemonLog();
  }
  EXPECT_THAT(world_.Ctl({"version"}).out, HasSubstr("bulwarkd  99.0.0"));
  EXPECT_EQ(Pids(world_), pids);
  // The old data plane serves on; it is no child of bulwarkd's.
  EXPECT_TRUE(std::filesystem::exists(absl::StrCat("/proc/", keeper)));
  EXPECT_TRUE(std::filesystem::exists(absl::StrCat("/proc/", proxy)));

  // The new daemon commands the old shims and the old proxy.
  const ReplicaInfo replica = world_.Ready("web").front();
  const Result exec =
      world_.Ctl({"exec", replica.name, "--", "/usr/sbin/nginx", "-v"});
  EXPECT_THAT(exec.err, HasSubstr("nginx version")) << exec.ToString();
  EXPECT_TRUE(world_.Ctl({"scale", "web", "4"}).ok());
  EXPECT_TRUE(world_.AwaitReady("web", 4)) << world_.DaemonLog();
  EXPECT_TRUE(world_.Ctl({"scale", "web", "3"}).ok());
  EXPECT_TRUE(world_.AwaitReady("web", 3)) << world_.DaemonLog();
  ExpectNoneFailed(traffic.Finish());
  // A restart of the daemon is no reboot of the host.
  EXPECT_THAT(world_.Ctl({"system", "boot-report"}).out,
              HasSubstr("no report"));
}

TEST_F(UpgradeTest, WhenTheProxyIsReplaced_NewConnectionsWaitAndNoneFails) {
  InstallAll(world_, "tests/e2e/next_daemon");
  // /proc says "(deleted)" of a program that was replaced.
  ASSERT_EQ(world_.ProcessOf("bulwark-proxy"), 0);
  int old = 0;
  for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
    std::error_code error;
    const std::string exe =
        std::filesystem::read_symlink(entry.path() / "exe", error);
    if (exe == world_.bin("bulwark-proxy") + " (deleted)") {
      old = std::atoi(entry.path().filename().c_str());
    }
  }
  ASSERT_GT(old, 0);
  Traffic traffic(kPort, {load::Mode::kPerRequest});
  // Established connections end with it; see docs/operation.md.
  traffic.Kill(old, "");
  ASSERT_TRUE(
      Eventually([&] { return world_.ProcessOf("bulwark-proxy") > 0; }));
  ExpectNoneFailed(traffic.Finish());
}

TEST_F(UpgradeTest, EveryLineOfTheJsonLogIsOne) {
  // Something to write about, a name that needs escapes among it.
  world_.Ctl({"apply", "-f", "-"}, absl::Seconds(20),
             "kind: Service\nname: bad\nimage: \"127.0.0.1:1/x\"\n");
  world_.StopDaemon();
  int lines = 0;
  std::istringstream log(world_.DaemonLog());
  for (std::string line; std::getline(log, line);) {
    const auto json = nlohmann::json::parse(line, nullptr, false);
    ASSERT_TRUE(json.is_object()) << line;
    ++lines;
    for (const char* key : {"time", "level", "message"}) {
      ASSERT_TRUE(json.contains(key) && json[key].is_string()) << line;
    }
    for (const auto& [key, value] : json.items()) {
      EXPECT_TRUE(value.is_string()) << line;
    }
    absl::Time time;
    EXPECT_TRUE(absl::ParseTime(
        absl::RFC3339_full, json["time"].get<std::string>(), &time, nullptr))
        << line;
  }
  EXPECT_GE(lines, 3);
}

}  // namespace
}  // namespace bulwark::e2e

int main(int argc, char** argv) {
  ::testing::InitGoogleTest(&argc, argv);
  const std::string why = bulwark::e2e::EnterPrivateNamespaces();
  if (!why.empty()) {
    fprintf(stderr, "%s\n", why.c_str());
    return 1;
  }
  return RUN_ALL_TESTS();
}
