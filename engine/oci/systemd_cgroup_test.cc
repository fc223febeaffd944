// Containers in scopes of systemd, over a fake of it; and a real bus.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/testing/status_matchers.h"
#include "base/testing/temp_dir.h"
#include "engine/oci/cgroup.h"
#include "engine/oci/systemd_scope.h"
#include "engine/oci/testing/fake_bus.h"
#include "os/files.h"
#include "os/process.h"

namespace bulwark::engine::oci {
namespace {

using ::bulwark::testing::IsOk;
using ::bulwark::testing::StatusIs;
using ::bulwark::testing::TempDir;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

// The groups of a container in a scope: the fake systemd makes the group and
// moves the process there, as the real one does. Needs root.
class ScopeCgroupTest : public ::testing::Test {
 protected:
  void SetUp() override {
    const absl::StatusOr<CgroupHost> host = FindCgroupHost();
    if (!host.ok() || host->unified.empty()) GTEST_SKIP() << "no version 2";
    if (geteuid() != 0) GTEST_SKIP() << "needs root";
    host_ = *host;
    slice_ = absl::StrCat("bwoci", getpid(), ".slice");
    request_ = {
        .id = "web", .cgroups_path = slice_ + ":x:web", .systemd = true};
    group_ = absl::StrCat(host_.unified, "/", slice_, "/x-web.scope");
  }
  void TearDown() override {
    for (const auto& [controller, mount] : host_.v1) {
      rmdir(absl::StrCat(mount, "/", slice_).c_str());
    }
    rmdir(group_.c_str());
    rmdir(absl::StrCat(host_.unified, "/", slice_).c_str());
    EXPECT_NE(access(absl::StrCat(host_.unified, "/", slice_).c_str(), F_OK),
              0);
  }

  std::vector<DbusMessage> Systemd(const DbusMessage& call) {
    if (call.member == "StopUnit") {
      return {Error(call, "org.freedesktop.systemd1.NoSuchUnit", "not loaded")};
    }
    if (call.member == "SetUnitProperties") return {Reply(call)};
    EXPECT_EQ(call.member, "StartTransientUnit");
    const size_t type =
        call.body.find(std::string("au\0", 3), call.body.find("PIDs"));
    DbusReader reader(
        absl::string_view(call.body).substr((type + 3 + 3) / 4 * 4 + 4));
    holder_ = static_cast<int>(reader.Uint32());
    mkdir(absl::StrCat(host_.unified, "/", slice_).c_str(), 0755);
    mkdir(group_.c_str(), 0755);
    const UniqueFd procs(
        open((group_ + "/cgroup.procs").c_str(), O_WRONLY | O_CLOEXEC));
    const std::string pid = absl::StrCat(holder_);
    EXPECT_EQ(write(procs.get(), pid.data(), pid.size()),
              static_cast<ssize_t>(pid.size()));
    return {JobReply(call, "/j/7"), JobRemoved("/j/7", "done")};
  }

  RealClock clock_;
  CgroupHost host_;
  CgroupRequest request_;
  std::string slice_;
  std::string group_;
  int holder_ = 0;
};

TEST_F(ScopeCgroupTest, WhenCommitted_ThenTheScopeIsTheContainersAlone) {
  FakeBus bus([this](const DbusMessage& call) { return Systemd(call); });
  Resources resources;
  resources.pids_limit = 9;
  absl::StatusOr<ContainerCgroup> cgroup =
      ContainerCgroup::Create(host_, request_, resources, clock_);
  ASSERT_THAT(cgroup, IsOk());
  CgroupRecord record = cgroup->record();
  EXPECT_EQ(record.scope, "x-web.scope");
  EXPECT_EQ(record.unified, group_);
  EXPECT_EQ(kill(holder_, 0), 0);
  cgroup->Commit();
  EXPECT_EQ(kill(holder_, 0), -1);
  EXPECT_THAT(UpdateCgroup(host_, resources, record, clock_), IsOk());
  EXPECT_THAT(KillCgroup(record, absl::Seconds(20), clock_), IsOk());
  EXPECT_THAT(RemoveCgroup(record, absl::Seconds(20), clock_), IsOk());
  EXPECT_THAT(bus.members, ElementsAre("StartTransientUnit",
                                       "SetUnitProperties", "StopUnit"));
}

TEST_F(ScopeCgroupTest, WhenALimitIsRefused_ThenTheScopeIsStopped) {
  FakeBus bus([this](const DbusMessage& call) { return Systemd(call); });
  Resources resources;
  resources.unified = {{"cgroup.max.depth", "nonsense"}};
  EXPECT_FALSE(
      ContainerCgroup::Create(host_, request_, resources, clock_).ok());
  EXPECT_THAT(bus.members, ElementsAre("StartTransientUnit", "StopUnit"));
  EXPECT_EQ(kill(holder_, 0), -1);
  EXPECT_NE(access(group_.c_str(), F_OK), 0);
}

TEST_F(ScopeCgroupTest, WhenSystemdPutsTheProcessNowhere_ThenItIsAnError) {
  FakeBus bus([](const DbusMessage& call) -> std::vector<DbusMessage> {
    return {JobReply(call, "/j/7"), JobRemoved("/j/7", "done")};
  });
  EXPECT_THAT(
      ContainerCgroup::Create(host_, request_, {}, clock_).status(),
      StatusIs(absl::StatusCode::kInternal, HasSubstr("is not in that group")));
}

// A bus of the reference implementation, without systemd on it: it checks what
// we send more strictly than our own does.
TEST(RealBusTest, WhenTheReferenceBusListens_ThenItUnderstandsUs) {
  constexpr const char* kProgram = "/usr/bin/dbus-daemon";
  const UniqueFd program(open(kProgram, O_PATH | O_CLOEXEC));
  if (!program.ok()) GTEST_SKIP() << kProgram << " is not installed";
  TempDir dir;
  ASSERT_THAT(
      os::WriteFileDurably(
          dir / "bus.conf",
          absl::StrCat(
              "<busconfig><type>system</type><listen>unix:path=", dir / "bus",
              "</listen><policy context=\"default\">"
              "<allow send_destination=\"*\" "
              "eavesdrop=\"true\"/>"
              "<allow eavesdrop=\"true\"/>"
              "<allow own=\"*\"/>"
              "</policy></busconfig>")),
      IsOk());
  const absl::StatusOr<os::Spawned> bus = os::Spawn(
      {.executable = program.get(),
       .args = {"dbus-daemon", "--nofork", "--config-file", dir / "bus.conf"},
       .env = {},
       .death_signal = SIGKILL});
  ASSERT_THAT(bus, IsOk());
  setenv("DBUS_SYSTEM_BUS_ADDRESS",
         absl::StrCat("unix:path=", dir / "bus").c_str(), 1);
  RealClock clock;
  absl::Status status;
  const absl::Duration deadline = clock.Steady() + absl::Seconds(20);
  do {
    clock.Sleep(absl::Milliseconds(5));
    status = StartScope({"a.slice", "web.scope", "/a.slice/web.scope"}, 1,
                        ScopeLimits({}, false), clock);
  } while (!absl::StrContains(status.message(), "ServiceUnknown") &&
           clock.Steady() < deadline);
  unsetenv("DBUS_SYSTEM_BUS_ADDRESS");
  EXPECT_THAT(status, StatusIs(absl::StatusCode::kUnavailable,
                               AllOf(HasSubstr("systemd does not answer"),
                                     HasSubstr("ServiceUnknown"))));
  EXPECT_THAT(os::SendSignal(bus->pidfd.get(), SIGKILL), IsOk());
  EXPECT_TRUE(os::AwaitEnd(bus->pidfd.get(), absl::Seconds(20)));
  os::ReapChild(bus->pidfd.get());
}

}  // namespace
}  // namespace bulwark::engine::oci
