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
#include "engine/oci/cgroup/cgroup.h"
#include "engine/oci/cgroup/dbus_connection.h"
#include "engine/oci/cgroup/systemd_scope.h"
#include "engine/oci/cgroup/testing/fake_bus.h"
#include "os/files.h"
#include "os/process.h"

namespace bulwark::engine::oci {
namespace {

using ::bulwark::testing::IsOk;
using ::bulwark::testing::IsOkAndHolds;
using ::bulwark::testing::StatusIs;
using ::bulwark::testing::TempDir;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

bool Put(const std::string& path, const std::string& text) {
  const UniqueFd fd(open(path.c_str(), O_WRONLY | O_CLOEXEC));
  return write(fd.get(), text.data(), text.size()) ==
         static_cast<ssize_t>(text.size());
}

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
    // As Delegate has it, where version 2 holds the controllers.
    for (const std::string& above :
         {host_.unified, absl::StrCat(host_.unified, "/", slice_)}) {
      Put(above + "/cgroup.subtree_control", "+pids");
    }
    EXPECT_TRUE(Put(group_ + "/cgroup.procs", absl::StrCat(holder_)));
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

// The real systemd, where it is process 1. Version 2 with all controllers.
class RealSystemdTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (access("/run/systemd/system", F_OK) != 0) {
      GTEST_SKIP() << "systemd does not run here";
    }
    ASSERT_OK_AND_ASSIGN(host_, FindCgroupHost());
    if (!host_.v1.empty()) GTEST_SKIP() << "not a pure version 2 host";
    if (geteuid() != 0) GTEST_SKIP() << "needs root";
    request_ = {.id = "web",
                .cgroups_path = absl::StrCat("system.slice:bwoci:", getpid()),
                .systemd = true};
    limits_.memory.limit = 64 << 20;
    limits_.memory.swap = 96 << 20;
    limits_.pids_limit = 20;
    limits_.cpu.quota = 20000;
    limits_.cpu.period = 100000;
    limits_.cpu.shares = 512;
  }

  void ExpectLimits(const std::string& group, const char* pids) {
    const auto read = [&](const char* file) {
      return os::ReadFile(absl::StrCat(group, "/", file), 1000)
          .value_or("(none)");
    };
    EXPECT_EQ(read("memory.max"), "67108864\n");
    EXPECT_EQ(read("cpu.max"), "20000 100000\n");
    EXPECT_EQ(read("cpu.weight"), "20\n");
    EXPECT_EQ(read("pids.max"), pids);
  }

  // systemd writes again what it knows of every unit.
  void ReloadSystemd() {
    ASSERT_OK_AND_ASSIGN(DbusConnection bus,
                         DbusConnection::Open(absl::Seconds(60), clock_));
    DbusMessage call;
    call.path = "/org/freedesktop/systemd1";
    call.interface = "org.freedesktop.systemd1.Manager";
    call.member = "Reload";
    call.destination = "org.freedesktop.systemd1";
    ASSERT_OK_AND_ASSIGN(const DbusMessage reply, bus.Call(call));
    EXPECT_EQ(reply.type, DbusType::kReply) << reply.error;
  }

  RealClock clock_;
  CgroupHost host_;
  CgroupRequest request_;
  Resources limits_;
};

TEST_F(RealSystemdTest, WhenAContainerLivesInAScope_ThenItsLimitsHold) {
  for (int round = 0; round < 2; ++round) {  // the name is free again
    ASSERT_OK_AND_ASSIGN(
        ContainerCgroup cgroup,
        ContainerCgroup::Create(host_, request_, limits_, clock_));
    CgroupRecord record = cgroup.record();
    EXPECT_EQ(record.path,
              absl::StrCat("/system.slice/bwoci-", getpid(), ".scope"));
    ASSERT_OK_AND_ASSIGN(const ScopeHolder process, ScopeHolder::Start());
    ASSERT_TRUE(
        Put(record.unified + "/cgroup.procs", absl::StrCat(process.pid())));
    cgroup.Commit();
    EXPECT_THAT(CgroupPids(record), IsOkAndHolds(ElementsAre(process.pid())));
    ExpectLimits(record.unified, "20\n");
    Resources more;
    more.pids_limit = 30;
    EXPECT_THAT(UpdateCgroup(host_, more, record, clock_), IsOk());
    ReloadSystemd();
    ExpectLimits(record.unified, "30\n");
    EXPECT_THAT(ContainerCgroup::Create(host_, request_, limits_, clock_),
                StatusIs(absl::StatusCode::kAlreadyExists));
    EXPECT_THAT(CgroupPids(record), IsOkAndHolds(ElementsAre(process.pid())));
    EXPECT_THAT(KillCgroup(record, absl::Seconds(60), clock_), IsOk());
    EXPECT_THAT(RemoveCgroup(record, absl::Seconds(60), clock_), IsOk());
    EXPECT_NE(access(record.unified.c_str(), F_OK), 0);
  }
}

TEST_F(RealSystemdTest, WhenALimitIsRefused_ThenNoScopeIsLeft) {
  limits_.unified = {{"cgroup.max.depth", "nonsense"}};
  EXPECT_FALSE(ContainerCgroup::Create(host_, request_, limits_, clock_).ok());
  limits_.unified.clear();
  EXPECT_THAT(ContainerCgroup::Create(host_, request_, limits_, clock_),
              IsOk());  // and this one goes away with the test
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
