#include "engine/oci/cgroup/systemd_scope.h"

#include <gtest/gtest.h>
#include <signal.h>

#include <cerrno>
#include <cstdlib>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "base/testing/status_matchers.h"
#include "base/testing/temp_dir.h"
#include "engine/oci/cgroup/dbus_connection.h"
#include "engine/oci/cgroup/testing/fake_bus.h"

namespace bulwark::engine::oci {
namespace {

using ::bulwark::testing::IsOk;
using ::bulwark::testing::StatusIs;
using ::bulwark::testing::TempDir;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

// StartTransientUnit, serial 3, as another implementation of the specification
// made it.
constexpr const char* kStart =
    "6c010001a801000003000000b600000001016f00190000002f6f72672f6672656564"
    "65736b746f702f73797374656d64310000000000000002017300200000006f72672e"
    "667265656465736b746f702e73797374656d64312e4d616e61676572000000000000"
    "0000030173001200000053746172745472616e7369656e74556e6974000000000000"
    "06017300180000006f72672e667265656465736b746f702e73797374656d64310000"
    "00000000000008016700107373612873762961287361287376292900000009000000"
    "7765622e73636f7065000000070000007265706c61636500810100000b0000004465"
    "736372697074696f6e000173000013000000636f6e7461696e6572207765622e7363"
    "6f7065000000000005000000536c6963650001730000000007000000612e736c6963"
    "65000000000004000000504944730002617500000000040000003412000008000000"
    "44656c65676174650001620001000000000000001300000044656661756c74446570"
    "656e64656e636965730001620000000000000b000000436f6c6c6563744d6f646500"
    "0173000012000000696e6163746976652d6f722d6661696c65640000000000000d00"
    "00004350554163636f756e74696e670001620000000001000000000000000c000000"
    "494f4163636f756e74696e670001620001000000100000004d656d6f72794163636f"
    "756e74696e670001620001000000000000000f0000005461736b734163636f756e74"
    "696e6700016200000100000000000000090000004d656d6f72794d61780001740000"
    "00000000000000000004000000000b000000416c6c6f776564435055730002617900"
    "010000000500000000000000";

const ScopeName kScope = {"a.slice", "web.scope", "/a.slice/web.scope"};

class SystemdScopeTest : public ::testing::Test {
 protected:
  RealClock clock_;
};

TEST_F(SystemdScopeTest, WhenAScopeIsStarted_ThenSystemdGetsTheseBytes) {
  FakeBus bus([](const DbusMessage& call) -> std::vector<DbusMessage> {
    // Another's job ends first, and ours before we are told its name.
    return {JobRemoved("/j/6", "failed"), JobRemoved("/j/7", "done"),
            JobReply(call, "/j/7")};
  });
  EXPECT_THAT(StartScope(kScope, 4660,
                         {{"MemoryMax", uint64_t{64} << 20},
                          {"AllowedCPUs", std::vector<uint8_t>{5}}},
                         clock_),
              IsOk());
  EXPECT_EQ(absl::BytesToHexString(bus.last_bytes), kStart);
}

TEST_F(SystemdScopeTest, WhenTheJobFails_ThenTheErrorSaysHow) {
  FakeBus bus([](const DbusMessage& call) -> std::vector<DbusMessage> {
    return {JobReply(call, "/j/7"), JobRemoved("/j/7", "dependency")};
  });
  EXPECT_THAT(StartScope(kScope, 1, {}, clock_),
              StatusIs(absl::StatusCode::kInternal,
                       AllOf(HasSubstr("start the scope web.scope"),
                             HasSubstr("\"dependency\""))));
}

TEST_F(SystemdScopeTest, WhenAFailedScopeHasTheName_ThenItIsForgotten) {
  int starts = 0;
  FakeBus bus([&](const DbusMessage& call) -> std::vector<DbusMessage> {
    if (call.member == "ResetFailedUnit") return {Reply(call)};
    if (++starts == 1) {
      return {Error(call, "org.freedesktop.systemd1.UnitExists", "is there")};
    }
    return {JobReply(call, "/j/8"), JobRemoved("/j/8", "done")};
  });
  EXPECT_THAT(StartScope(kScope, 1, {}, clock_), IsOk());
  EXPECT_THAT(bus.members, ElementsAre("StartTransientUnit", "ResetFailedUnit",
                                       "StartTransientUnit"));
}

TEST_F(SystemdScopeTest, WhenARunningScopeHasTheName_ThenItIsAnError) {
  FakeBus bus([](const DbusMessage& call) -> std::vector<DbusMessage> {
    return {Error(call, "org.freedesktop.systemd1.UnitExists", "is there")};
  });
  EXPECT_THAT(StartScope(kScope, 1, {}, clock_),
              StatusIs(absl::StatusCode::kAlreadyExists,
                       HasSubstr("start the scope web.scope: is there")));
}

TEST_F(SystemdScopeTest, WhenSystemdIsNotOnTheBus_ThenTheErrorSaysWhatToDo) {
  FakeBus bus([](const DbusMessage& call) -> std::vector<DbusMessage> {
    return {Error(call, "org.freedesktop.DBus.Error.ServiceUnknown",
                  "not provided by any .service files")};
  });
  EXPECT_THAT(StartScope(kScope, 1, {}, clock_),
              StatusIs(absl::StatusCode::kUnavailable,
                       AllOf(HasSubstr("--systemd-cgroup"),
                             HasSubstr("systemd does not answer"))));
}

TEST_F(SystemdScopeTest, WhenThereIsNoBus_ThenTheErrorSaysWhere) {
  TempDir dir;
  const std::string path = dir / "none";
  setenv("DBUS_SYSTEM_BUS_ADDRESS", ("unix:path=" + path).c_str(), 1);
  EXPECT_THAT(StartScope(kScope, 1, {}, clock_),
              StatusIs(absl::StatusCode::kUnavailable,
                       AllOf(HasSubstr("--systemd-cgroup"), HasSubstr(path))));
  setenv("DBUS_SYSTEM_BUS_ADDRESS", "tcp:host=localhost", 1);
  EXPECT_THAT(StartScope(kScope, 1, {}, clock_),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("DBUS_SYSTEM_BUS_ADDRESS")));
  unsetenv("DBUS_SYSTEM_BUS_ADDRESS");
}

TEST_F(SystemdScopeTest, WhenTheBusHangsUp_ThenItIsNoEndlessWait) {
  FakeBus bus([](const DbusMessage&) { return std::vector<DbusMessage>(); });
  EXPECT_THAT(StartScope(kScope, 1, {}, clock_),
              StatusIs(absl::StatusCode::kUnavailable, HasSubstr("hung up")));
}

TEST_F(SystemdScopeTest, WhenNothingIsAnswered_ThenTheTimeIsBounded) {
  FakeBus bus({}, "");  // no answer to who we are
  EXPECT_THAT(DbusConnection::Open(absl::Milliseconds(50), clock_).status(),
              StatusIs(absl::StatusCode::kDeadlineExceeded));
}

TEST_F(SystemdScopeTest, WhenWeAreNotLetIn_ThenTheErrorSaysSo) {
  FakeBus bus({}, "REJECTED EXTERNAL\r\n");
  EXPECT_THAT(StartScope(kScope, 1, {}, clock_),
              StatusIs(absl::StatusCode::kPermissionDenied,
                       HasSubstr("REJECTED EXTERNAL")));
}

TEST_F(SystemdScopeTest, WhenItIsNoBus_ThenTheErrorSaysSo) {
  FakeBus bus({}, std::string(4000, 'x'));
  EXPECT_THAT(StartScope(kScope, 1, {}, clock_),
              StatusIs(absl::StatusCode::kDataLoss, HasSubstr("no bus")));
}

TEST_F(SystemdScopeTest, WhenAScopeIsStopped_ThenOneThatIsGoneIsFine) {
  bool there = true;
  FakeBus bus([&](const DbusMessage& call) -> std::vector<DbusMessage> {
    if (!there) {
      return {Error(call, "org.freedesktop.systemd1.NoSuchUnit", "not loaded")};
    }
    return {JobReply(call, "/j/9"), JobRemoved("/j/9", "done")};
  });
  EXPECT_THAT(StopScope("web.scope", clock_), IsOk());
  there = false;
  EXPECT_THAT(StopScope("web.scope", clock_), IsOk());
  EXPECT_THAT(bus.members, ElementsAre("StopUnit", "StopUnit"));
}

TEST_F(SystemdScopeTest, WhenLimitsChange_ThenTheUnitHearsOfThem) {
  FakeBus bus([](const DbusMessage& call) -> std::vector<DbusMessage> {
    return {Reply(call)};
  });
  EXPECT_THAT(SetScopeLimits("web.scope", {}, clock_), IsOk());
  EXPECT_THAT(SetScopeLimits("web.scope", {{"TasksMax", uint64_t{5}}}, clock_),
              IsOk());
  EXPECT_THAT(bus.members, ElementsAre("SetUnitProperties"));
  EXPECT_EQ(ParseDbus(bus.last_bytes)->signature, "sba(sv)");
}

// "MemoryMax=1".
std::vector<std::string> Lines(const std::vector<ScopeProperty>& properties) {
  std::vector<std::string> lines;
  for (const ScopeProperty& property : properties) {
    std::string value = "?";
    if (const auto* number = std::get_if<uint64_t>(&property.value)) {
      value = *number == ~uint64_t{0} ? "infinity" : absl::StrCat(*number);
    } else if (const auto* bytes =
                   std::get_if<std::vector<uint8_t>>(&property.value)) {
      value = absl::BytesToHexString(std::string(bytes->begin(), bytes->end()));
    }
    lines.push_back(absl::StrCat(property.name, "=", value));
  }
  return lines;
}

TEST(ScopeLimitsTest, WhenResourcesAreLimited_ThenPropertiesSayTheSame) {
  Resources r;
  r.memory.limit = 1000;
  r.memory.reservation = 500;
  r.memory.swap = 1500;
  r.cpu.shares = 1024;
  r.cpu.quota = 12345;
  r.cpu.period = 50000;
  r.cpu.cpus = "0-2,9";
  r.cpu.mems = "0";
  r.pids_limit = 7;
  r.block_io.weight = 1000;
  EXPECT_THAT(
      Lines(ScopeLimits(r, false)),
      ElementsAre("MemoryMax=1000", "MemoryLow=500", "MemorySwapMax=500",
                  "CPUWeight=39", "CPUQuotaPeriodUSec=50000",
                  "CPUQuotaPerSecUSec=250000", "AllowedCPUs=0702",
                  "AllowedMemoryNodes=01", "TasksMax=7", "IOWeight=10000"));
  EXPECT_THAT(
      Lines(ScopeLimits(r, true)),
      ElementsAre("MemoryLimit=1000", "CPUShares=1024",
                  "CPUQuotaPeriodUSec=50000", "CPUQuotaPerSecUSec=250000",
                  "TasksMax=7", "BlockIOWeight=1000"));
}

TEST(ScopeLimitsTest, WhenLimitsAreTakenAway_ThenPropertiesAreInfinite) {
  Resources r;
  EXPECT_THAT(Lines(ScopeLimits(r, false)), ElementsAre());
  r.memory.limit = -1;
  r.cpu.quota = -1;
  r.pids_limit = -1;
  EXPECT_THAT(Lines(ScopeLimits(r, false)),
              ElementsAre("MemoryMax=infinity", "MemorySwapMax=infinity",
                          "CPUQuotaPerSecUSec=infinity", "TasksMax=infinity"));
}

TEST(ScopeLimitsTest, WhenListsAreWrong_ThenNothingIsSaid) {
  for (const char* list : {"x", "3-1", "0-9999999", ",", "1-2-3", "8192"}) {
    Resources r;
    r.cpu.cpus = list;
    EXPECT_THAT(Lines(ScopeLimits(r, false)), ElementsAre()) << list;
  }
}

TEST(ScopeHolderTest, WhenItsOwnerIsGone_ThenSoIsTheProcess) {
  int pid = 0;
  {
    absl::StatusOr<ScopeHolder> holder = ScopeHolder::Start();
    ASSERT_THAT(holder, IsOk());
    pid = holder->pid();
    const ScopeHolder moved = *std::move(holder);
    EXPECT_EQ(kill(pid, 0), 0);
  }
  EXPECT_EQ(kill(pid, 0), -1);
  EXPECT_EQ(errno, ESRCH);
}

}  // namespace
}  // namespace bulwark::engine::oci
