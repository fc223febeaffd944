// The host's shutdown, and what comes back after it.

#include <signal.h>

#include <filesystem>

#include "absl/strings/str_cat.h"
#include "tests/e2e/session.h"
#include "tests/e2e/suite.h"

namespace bulwark::e2e {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class ShutdownTest : public Suite {
 protected:
  static void SetUpTestSuite() {
    Open("e2edown");
    std::filesystem::create_directories(world().Path("diary"));
    // front needs app, which needs db.
    Apply("db", "");
    Apply("app", "dependsOn: {db: healthy}\n");
    Apply("front", "dependsOn: {app: healthy}\nreplicas: 2\n");
  }
  static void TearDownTestSuite() { Close(); }

  void SetUp() override {
    Suite::SetUp();
    AwaitAll();
    std::filesystem::remove(Diary());
  }

  // A service that writes into the diary when it starts and when it ends.
  static void Apply(const std::string& name, const std::string& more) {
    const std::string script =
        absl::StrCat("trap \"sleep 0.2; echo end ", name,
                     " >> /diary/pages; exit 0\" TERM; ", "echo start ", name,
                     " >> /diary/pages; while :; do sleep 0.05; done");
    ASSERT_TRUE(
        world()
            .Apply(Manifest(name, script,
                            absl::StrCat("volumes: [\"", world().Path("diary"),
                                         ":/diary\"]\n", more)))
            .ok());
  }
  static std::string Diary() { return world().Path("diary/pages"); }

  static void AwaitAll() {
    ASSERT_TRUE(world().AwaitReady("db", 1));
    ASSERT_TRUE(world().AwaitReady("app", 1));
    ASSERT_TRUE(world().AwaitReady("front", 2));
  }
};

TEST_F(ShutdownTest, WhenTheHostGoesDown_DependentsEndFirst) {
  const std::vector<ReplicaInfo> before = world().Ready("front");
  const Result down = Ctl({"shutdown", "--timeout", "20s"});
  EXPECT_THAT(down.out, HasSubstr("every service has stopped"));
  EXPECT_THAT(down.err, Not(HasSubstr("killed")));
  EXPECT_EQ(ReadFile(Diary()), "end front\nend front\nend app\nend db\n");
  for (const ReplicaInfo& replica : before) {
    EXPECT_NE(kill(replica.pid, 0), 0);
  }
  // It says what it waits for, and starts nothing.
  const std::string services = Ctl({"get", "services", "-o", "wide"}).out;
  EXPECT_THAT(services, HasSubstr("HostShutdown"));
  EXPECT_THAT(services, HasSubstr("bulwarkd starts it again"));
  EXPECT_TRUE(Eventually([] { return world().Replicas("db").empty(); }));

  std::filesystem::remove(Diary());
  world().StopDaemon();
  world().StartDaemon();
  AwaitAll();
  EXPECT_EQ(ReadFile(Diary()),
            "start db\nstart app\nstart front\nstart front\n");
  EXPECT_THAT(Ctl({"get", "services"}).out, Not(HasSubstr("HostShutdown")));
}

TEST_F(ShutdownTest, WhenAServiceDoesNotEnd_TheShutdownIsBounded) {
  ASSERT_TRUE(world()
                  .Apply("kind: Service\nname: deaf\nimage: " + busybox() +
                         "\ncommand: [sh, -c, 'trap \"\" TERM; while :; do "
                         "sleep 0.05; done']\nresources: {memory: 64Mi}\n"
                         "stop: {timeout: 10m}\ndependsOn: {db: healthy}\n")
                  .ok());
  ASSERT_TRUE(world().AwaitReady("deaf", 1));
  const ReplicaInfo deaf = world().Ready("deaf").at(0);
  const Result down = world().Ctl({"shutdown", "--timeout", "2s"});
  EXPECT_TRUE(down.ok()) << down.ToString();
  EXPECT_THAT(down.err, HasSubstr("killed: default/db, default/deaf"));
  EXPECT_NE(kill(deaf.pid, 0), 0);
  world().KillDaemon();
  world().StartDaemon();
  EXPECT_TRUE(world().AwaitReady("deaf", 1));
  AwaitAll();
  // Its own deletion would wait for ten minutes.
  ASSERT_EQ(kill(world().Ready("deaf").at(0).pid, 0), 0);
}

TEST_F(ShutdownTest, WhenStoppedOrStarted_ARestartOfTheDaemonKeepsIt) {
  ASSERT_TRUE(world().Apply(Manifest("x", "exec sleep 100000")).ok());
  ASSERT_TRUE(world().AwaitReady("x", 1));
  const std::string front = world().Ready("front").at(0).uid;
  Ctl({"stop", "x", "--wait"});
  world().KillDaemon();
  world().StartDaemon();
  ASSERT_TRUE(world().Apply(Manifest("later", "exec sleep 100000")).ok());
  ASSERT_TRUE(world().AwaitReady("later", 1));
  EXPECT_TRUE(world().Replicas("x").empty());
  EXPECT_THAT(Ctl({"get", "service", "x"}).out, HasSubstr("Stopped"));
  Ctl({"start", "x"});
  ASSERT_TRUE(world().AwaitReady("x", 1));
  const std::string uid = world().Ready("x").at(0).uid;
  for (const int signal : {SIGTERM, SIGKILL}) {
    world().EndDaemon(signal);
    world().StartDaemon();
    ASSERT_TRUE(world().AwaitReady("x", 1));
    EXPECT_EQ(world().Ready("x").at(0).uid, uid);
    EXPECT_EQ(world().Ready("front").at(0).uid, front);
  }
}

}  // namespace
}  // namespace bulwark::e2e
