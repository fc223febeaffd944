// A state directory on a disk that fills up: what runs goes on, what cannot be
// done says why, and all of it is done when there is room again.
#include <signal.h>
#include <sys/mount.h>

#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "tests/e2e/anchor.h"
#include "tests/e2e/disk.h"
#include "tests/e2e/suite.h"

namespace bulwark::e2e {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr int64_t kMiB = 1 << 20;
constexpr int kRegistryPort = 5097;

class FullDiskTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    world_ = new World("e2efull");
    std::filesystem::create_directories(Disk());
    ASSERT_EQ(mount("none", Disk().c_str(), "tmpfs", 0, "size=256m"), 0);
    ballast_ = new Ballast(Disk());
    before_ = world_->LeakReport();  // the mount
    registry_ = new Background(
        {"python3", World::Runfile("tests/e2e/images/faulty_registry.py"),
         "--port", absl::StrCat(kRegistryPort)},
        world_->Path("faulty.log"));
    ASSERT_TRUE(Eventually([] {
      return e2e::Run(
                 {"curl", "-sf",
                  absl::StrCat("http://127.0.0.1:", kRegistryPort, "/v2/")})
          .ok();
    }));
    world_->StartDaemon();
    anchor_ = new Anchor(*world_, Image("good"));
    ASSERT_TRUE(
        world_->Ctl({"secret", "create", "token", "-"}, absl::Seconds(60), "x")
            .ok());
    ASSERT_TRUE(world_
                    ->Apply(Service("chatty",
                                    "command: [sh, -c, 'i=0; while true; do "
                                    "i=$$((i+1)); echo line $$i; sleep 0.02; "
                                    "done']") +
                            Service("victim",
                                    "command: [sleep, '1000']\n"
                                    "secrets: [token]"))
                    .ok());
    ASSERT_TRUE(world_->AwaitReady("chatty", 1));
    ASSERT_TRUE(world_->AwaitReady("victim", 1));
  }
  static void TearDownTestSuite() {
    if (HasFailure()) fprintf(stderr, "%s\n", world_->DaemonLog().c_str());
    delete anchor_;
    delete ballast_;
    world_->Teardown();
    EXPECT_EQ(world_->Leaked(before_), "");
    delete registry_;
    EXPECT_EQ(umount(Disk().c_str()), 0);
    delete world_;
  }
  void TearDown() override {
    EXPECT_EQ(anchor_->Check(), "");
    ballast_->Free();
  }

  static std::string Disk() { return world_->Path("s"); }
  static std::string Image(const std::string& name) {
    return absl::StrCat("127.0.0.1:", kRegistryPort, "/", name, ":1");
  }
  static std::string Service(const std::string& name, const std::string& more,
                             const std::string& image = "good") {
    return absl::StrCat("kind: Service\nname: ", name,
                        "\nimage: ", Image(image), "\n", more,
                        "\nstop: {timeout: 1s}\nresources: {memory: 64Mi}\n"
                        "rollout: {minHealthyTime: 100ms}\n---\n");
  }

  // Not a byte is left, nor any reserve.
  static void Fill() {
    std::filesystem::remove(Disk() + "/store/reserve");
    ballast_->Leave(0);
  }
  static std::string ApplyFails(const std::string& name) {
    const Result result = world_->Ctl({"apply", "-f", "-"}, absl::Seconds(60),
                                      Service(name, "replicas: 0"));
    EXPECT_EQ(result.code, 1) << result.ToString();
    return result.err;
  }
  static int Pid(const std::string& service) {
    const std::vector<ReplicaInfo> ready = world_->Ready(service);
    return ready.size() == 1 ? ready[0].pid : 0;
  }
  // Bytes that the process has written to anything.
  static int64_t PrintedBy(int pid) {
    const std::string io = ReadFile(absl::StrCat("/proc/", pid, "/io"));
    const size_t at = io.find("wchar: ");
    return at == std::string::npos ? -1 : std::atoll(io.c_str() + at + 7);
  }
  static std::string LastLine() {
    return world_->Ctl({"logs", "chatty", "--tail", "1"}).out;
  }

  static World* world_;
  static Ballast* ballast_;
  static std::string before_;
  static Background* registry_;
  static Anchor* anchor_;
};

World* FullDiskTest::world_;
Ballast* FullDiskTest::ballast_;
std::string FullDiskTest::before_;
Background* FullDiskTest::registry_;
Anchor* FullDiskTest::anchor_;

// All that the store gives back of its reserve it takes, too. The first, since
// the reserve comes back after a minute only.
TEST_F(FullDiskTest, WhenAContainerTakesWhatIsFree_ItCanBeEnded) {
  ASSERT_TRUE(
      world_
          ->Apply(Service("eater",
                          "command: [sh, -c, 'until [ -e /go ]; do sleep 0.1; "
                          "done; while true; do head -c 1000000 /dev/zero >> "
                          "/big 2>/dev/null; sleep 0.01; done']"))
          .ok());
  ASSERT_TRUE(world_->AwaitReady("eater", 1));
  ballast_->Leave(40 * kMiB);
  const auto done = [](std::vector<std::string> words) {
    const Result result = world_->Ctl(words);
    return result.ok() ? "" : result.ToString();
  };
  EXPECT_EQ(done({"exec", "eater", "touch", "/go"}), "");
  ASSERT_TRUE(Eventually([] { return ballast_->FreeBytes() < kMiB; }));
  EXPECT_EQ(done({"exec", "eater", "true"}), "");
  EXPECT_EQ(done({"kill", "-s", "CONT", "eater"}), "");
  // The next daemon can do it, too.
  world_->KillDaemon();
  world_->LaunchDaemon();
  world_->AwaitDaemon();
  ASSERT_TRUE(Eventually([] { return ballast_->FreeBytes() < kMiB; }));
  EXPECT_EQ(done({"exec", "eater", "true"}), "");
  EXPECT_EQ(done({"stop", "eater"}), "");
  EXPECT_TRUE(world_->AwaitReady("eater", 0)) << Describe(*world_, "eater");
  EXPECT_EQ(done({"delete", "service", "eater", "--wait"}), "");
  ballast_->Free();
}

TEST_F(FullDiskTest, WhenItFillsDuringAPull_ThePullSucceedsOnceThereIsRoom) {
  // 60 are fetched, and 60 unpacked: too much also if the store gives back the
  // 32 that it keeps in reserve.
  ballast_->Leave(70 * kMiB);
  ASSERT_TRUE(
      world_->Apply(Service("fat", "command: [sleep, '1000']", "fat")).ok());
  EXPECT_EQ(
      AwaitCondition(*world_, "fat", "ImageResolved", "FALSE",
                     {"NoSpace", "No space left on device",
                      "free some disk space", "it is tried again by itself"}),
      "");
  EXPECT_THAT(Describe(*world_, "fat"), HasSubstr("NoSpace"));
  // While the service tries again by itself, its layers may take so much that
  // a call is not even recorded, and so not begun.
  std::string said;
  EXPECT_TRUE(Eventually([&] {
    said = world_->Ctl({"pull", "-q", Image("fat")}).err;
    return absl::StrContains(said, "No space left on device");
  })) << said;
  // What had come is gone again.
  EXPECT_TRUE(Eventually([] { return ballast_->FreeBytes() > 60 * kMiB; }));
  ballast_->Free();
  EXPECT_TRUE(world_->AwaitReady("fat", 1, absl::Seconds(60)))
      << Describe(*world_, "fat");
  EXPECT_TRUE(world_->Ctl({"delete", "service", "fat", "--wait"}).ok());
}

TEST_F(FullDiskTest, WhenLittleIsLeft_NothingNewIsTakenAndWhatRunsIsKept) {
  ballast_->Leave(40 * kMiB);
  EXPECT_THAT(ApplyFails("new"),
              AllOf(HasSubstr("MiB are left on the disk of " + Disk()),
                    HasSubstr("free some space there")));
  // A failed replica is replaced all the same.
  const int before = Pid("victim");
  ASSERT_GT(before, 0);
  ASSERT_EQ(kill(before, SIGKILL), 0);
  EXPECT_TRUE(Eventually([&] {
    const int now = Pid("victim");
    return now > 0 && now != before;
  })) << Describe(*world_, "victim");
  // With what it reads on record.
  EXPECT_THAT(world_->Ctl({"audit", "--tail", "1"}).out,
              HasSubstr(" got token version 1"));
  // So is what a user takes away.
  EXPECT_TRUE(world_->Ctl({"scale", "victim", "2"}).ok());
  EXPECT_TRUE(world_->AwaitReady("victim", 2)) << Describe(*world_, "victim");
  EXPECT_TRUE(world_->Ctl({"stop", "victim"}).ok());
  EXPECT_TRUE(world_->AwaitReady("victim", 0));
  EXPECT_TRUE(world_->Ctl({"start", "victim"}).ok());
  EXPECT_TRUE(world_->Ctl({"scale", "victim", "1"}).ok());
  EXPECT_TRUE(world_->AwaitReady("victim", 1));
  ballast_->Free();
  EXPECT_TRUE(world_->Apply(Service("new", "replicas: 0")).ok());
  EXPECT_TRUE(world_->Ctl({"delete", "service", "new", "--wait"}).ok());
}

TEST_F(FullDiskTest, WhenNothingIsLeft_WhatRunsRunsOn) {
  const int chatty = Pid("chatty"), victim = Pid("victim");
  ASSERT_GT(chatty, 0);
  Fill();
  EXPECT_THAT(ApplyFails("new"), HasSubstr("free some space there"));
  // What cannot be recorded is not begun.
  EXPECT_THAT(world_->Ctl({"pull", "-q", Image("unseen")}).err,
              HasSubstr("free some space there"));
  // It goes on printing where there is no room to keep that.
  const int64_t printed = PrintedBy(chatty);
  EXPECT_TRUE(Eventually([&] { return PrintedBy(chatty) > printed + 500; }));
  EXPECT_EQ(Pid("chatty"), chatty) << Describe(*world_, "chatty");
  EXPECT_EQ(Pid("victim"), victim);
  EXPECT_EQ(anchor_->Check(), "");
  ballast_->Free();
  const std::string before = LastLine();
  EXPECT_TRUE(Eventually([&] { return LastLine() != before; })) << before;
  EXPECT_EQ(Pid("chatty"), chatty);
  EXPECT_TRUE(world_->Apply(Service("new", "replicas: 0")).ok());
  EXPECT_TRUE(world_->Ctl({"delete", "service", "new", "--wait"}).ok());
}

TEST_F(FullDiskTest, WhenTheDaemonStartsOnAFullDisk_SaysWhatItNeeds) {
  const int chatty = Pid("chatty");
  Fill();
  world_->KillDaemon();
  const size_t log = world_->DaemonLog().size();
  world_->LaunchDaemon();
  EXPECT_TRUE(Eventually([] { return !world_->daemon_alive(); }));
  EXPECT_THAT(world_->DaemonLog().substr(log),
              AllOf(HasSubstr("are left on its disk"), HasSubstr("are needed"),
                    HasSubstr("free some space there")));
  EXPECT_EQ(anchor_->CheckWithoutDaemon(), "");
  ballast_->Free();
  world_->LaunchDaemon();
  world_->AwaitDaemon();
  EXPECT_TRUE(Eventually([&] { return Pid("chatty") == chatty; }))
      << Describe(*world_, "chatty");
}

}  // namespace
}  // namespace bulwark::e2e
