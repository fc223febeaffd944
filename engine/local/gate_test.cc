// Starts that wait for the network and for leave to run the program. Needs root
// and busybox-static.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/testing/status_matchers.h"
#include "engine/local/testing/local_world.h"
#include "os/cgroup.h"
#include "os/files.h"

namespace bulwark::engine {
namespace {

using ::bulwark::testing::IsOkAndHolds;
using ::bulwark::testing::StatusIs;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::LocalWorld;

// Long enough to be sure that a program would have begun, where one that does
// takes a few milliseconds.
constexpr absl::Duration kBegins = absl::Milliseconds(300);

struct GateParam {
  const char* name;
  const char* max_kernel;
  IdRange ids;
};

class GateTest : public ::testing::TestWithParam<GateParam> {
 protected:
  GateTest() {
    world_.SetIds(GetParam().ids);
    EXPECT_EQ(mkdir((world_ / "data").c_str(), 0777), 0);
  }

  // Says so in its log and in a file once it runs, and ends.
  ContainerSpec Telling() {
    ContainerSpec spec = world_.Shell("a", "echo ran; touch /data/ran");
    spec.mounts = {{Mount::Kind::kBind, world_ / "data", "/data"}};
    return spec;
  }
  bool Exists(const std::string& path) {
    return access((world_ / path).c_str(), F_OK) == 0;
  }
  // Watches for a while.
  void ExpectNotBegun() {
    const absl::Duration end = world_.clock().Steady() + kBegins;
    while (world_.clock().Steady() < end) {
      ASSERT_FALSE(Exists("data/ran"));
      ASSERT_FALSE(Exists("state/containers/a/record"));
      world_.clock().Sleep(absl::Milliseconds(5));
    }
  }
  std::set<std::string> Cgroups() {
    const std::string mounts =
        os::ReadFile("/proc/self/mountinfo", 1 << 20).value_or("");
    return os::Cgroups(os::ParseCgroupLayout(mounts).value(),
                       world_.config().instance, world_.clock())
        .List();
  }
  void ExpectNothingIsLeft() {
    EXPECT_TRUE(world_.engine().List().empty());
    EXPECT_FALSE(Exists("data/ran"));
    EXPECT_THAT(os::ListDir(world_ / "state/containers"),
                IsOkAndHolds(std::vector<std::string>()));
    EXPECT_THAT(os::ListDir(world_ / "run/containers"),
                IsOkAndHolds(std::vector<std::string>()));
    EXPECT_THAT(Cgroups(), IsEmpty());
  }

  LocalWorld world_{GetParam().max_kernel};
};
constexpr IdRange kIds = {1879048192 + 11 * 65536, 65536};
INSTANTIATE_TEST_SUITE_P(Containers, GateTest,
                         ::testing::Values(GateParam{"HostUsers", "", {}},
                                           GateParam{"OwnUsers", "", kIds},
                                           GateParam{"Linux61", "6.1", kIds}),
                         [](const auto& info) { return info.param.name; });

TEST_P(GateTest, WhileItAwaitsItsProgram_NothingIsSeenOfIt) {
  ContainerSpec spec = Telling();
  spec.await_program = [&] {
    EXPECT_TRUE(Exists("state/containers/a"));
    EXPECT_EQ(Cgroups(), std::set<std::string>{"a"});
    ExpectNotBegun();
    return absl::OkStatus();
  };
  ASSERT_OK(world_.engine().Start(spec));
  EXPECT_TRUE(Exists("state/containers/a/record"));
  EXPECT_EQ(world_.AwaitExit("a").exit.code, 0);
  EXPECT_EQ(world_.Output("a"), "ran\n");
  EXPECT_TRUE(Exists("data/ran"));
}

TEST_P(GateTest, WhenTheAwaitFails_NothingIsLeft) {
  const testing::Resources before = testing::CountResources();
  ContainerSpec spec = Telling();
  spec.await_program = [] { return absl::UnavailableError("not today"); };
  EXPECT_THAT(world_.engine().Start(spec).status(),
              StatusIs(absl::StatusCode::kUnavailable, HasSubstr("not today")));
  ExpectNothingIsLeft();
  const testing::Resources after = testing::CountResources();
  EXPECT_EQ(after.mounts, before.mounts);
  EXPECT_EQ(after.open_files, before.open_files);
  EXPECT_EQ(after.children, before.children);
  ASSERT_OK(world_.engine().Start(Telling()));
  EXPECT_EQ(world_.AwaitExit("a").exit.code, 0);
}

// The shim is at work by then, and waits for them.
TEST_P(GateTest, WhenItsGroupsCannotBeMade_NobodyAwaitsItAndNothingIsLeft) {
  const testing::Resources before = testing::CountResources();
  ContainerSpec spec = Telling();
  spec.resources.pids_limit = int64_t{1} << 40;  // more than the kernel has
  bool awaited = false;
  spec.await_program = [&] {
    awaited = true;
    return absl::OkStatus();
  };
  EXPECT_THAT(world_.engine().Start(spec).status().message(),
              HasSubstr("pids.max"));
  EXPECT_FALSE(awaited);
  ExpectNothingIsLeft();
  const testing::Resources after = testing::CountResources();
  EXPECT_EQ(after.mounts, before.mounts);
  EXPECT_EQ(after.open_files, before.open_files);
  EXPECT_EQ(after.children, before.children);
}

TEST_P(GateTest, WhenTheDaemonIsKilledBeforeItsLeave_ItNeverRuns) {
  int told[2];
  ASSERT_EQ(pipe(told), 0);
  world_.Close();
  const pid_t daemon = fork();
  if (daemon == 0) {
    world_.Reopen();
    ContainerSpec spec = Telling();
    spec.await_program = [&]() -> absl::Status {
      ExpectNotBegun();
      if (write(told[1], "", 1) != 1) _exit(1);
      for (;;) pause();
    };
    if (world_.engine().Recover([](absl::string_view) {}).ok()) {
      world_.engine().Start(spec).IgnoreError();
    }
    _exit(1);
  }
  close(told[1]);
  char byte;
  EXPECT_EQ(read(told[0], &byte, 1), 1);
  close(told[0]);
  EXPECT_EQ(Cgroups(), std::set<std::string>{"a"});
  ASSERT_EQ(kill(daemon, SIGKILL), 0);
  ASSERT_EQ(waitpid(daemon, nullptr, 0), daemon);
  ExpectNotBegun();

  world_.Reopen();
  ASSERT_OK(world_.engine().Recover([](absl::string_view) {}));
  ExpectNothingIsLeft();
  ASSERT_OK(world_.engine().Start(Telling()));
  EXPECT_EQ(world_.AwaitExit("a").exit.code, 0);
}

TEST_P(GateTest, WhenTheProgramCannotBeExecuted_ItsOwnErrorIsTold) {
  ASSERT_OK(os::WriteFileDurably(world_.Layer() + "/bin/nonsense",
                                 std::string("\x7f") + "ELF, or not", 0755));
  for (const char* program : {"/no/such/command", "/bin/nonsense", "/etc"}) {
    ContainerSpec spec = Telling();
    spec.args = {program};
    const absl::Status plain = world_.engine().Start(spec).status();
    EXPECT_FALSE(plain.ok()) << program;
    spec.await_program = [] { return absl::OkStatus(); };
    EXPECT_EQ(world_.engine().Start(spec).status(), plain) << program;
    ExpectNothingIsLeft();
  }
}

// What fails before the gate is told, too, not that nobody is there any more.
TEST_P(GateTest, WhenTheLaunchFailsMeanwhile_ItsOwnErrorIsTold) {
  ContainerSpec spec = Telling();
  spec.mounts = {{Mount::Kind::kBind, "/no/such/dir", "/x"}};
  const absl::Status plain = world_.engine().Start(spec).status();
  EXPECT_THAT(plain, StatusIs(absl::StatusCode::kInvalidArgument,
                              HasSubstr("/no/such/dir")));
  spec.await_program = [&] {
    ExpectNotBegun();
    return absl::OkStatus();
  };
  EXPECT_EQ(world_.engine().Start(spec).status(), plain);
  ExpectNothingIsLeft();
}

TEST_P(GateTest, WhenItHasAnUpperDirOfItsOwn_IsRefused) {
  ContainerSpec spec = Telling();
  spec.upper_dir = world_ / "upper";
  ASSERT_EQ(mkdir(spec.upper_dir.c_str(), 0755), 0);
  spec.await_program = [] {
    ADD_FAILURE() << "asked";
    return absl::OkStatus();
  };
  EXPECT_THAT(
      world_.engine().Start(spec).status(),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("upper_dir")));
  ExpectNothingIsLeft();
  EXPECT_FALSE(Exists("upper.work"));
}

}  // namespace
}  // namespace bulwark::engine
