// Devices, limits, settings and sizes that containers are given, with and
// without a user namespace. Needs root and busybox-static.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <filesystem>
#include <functional>

#include "absl/strings/str_cat.h"
#include "base/testing/status_matchers.h"
#include "engine/local/testing/local_world.h"
#include "os/files.h"

namespace bulwark::engine {
namespace {

using ::bulwark::testing::IsOkAndHolds;
using ::bulwark::testing::StatusIs;
using ::testing::AllOf;
using ::testing::HasSubstr;
using testing::LocalWorld;

class GivenTest : public ::testing::TestWithParam<bool> {
 protected:
  GivenTest() {
    if (GetParam()) world_.SetIds({1879048192 + 11 * 65536, 65536});
  }

  void StartIdle(const std::function<void(ContainerSpec&)>& change) {
    ContainerSpec spec = world_.Shell("a", "exec sleep 1000");
    change(spec);
    ASSERT_OK(world_.engine().Start(spec));
  }
  std::string Shell(const std::string& script) {
    return world_.RunShell("a", script);
  }
  absl::Status StartFails(const std::function<void(ContainerSpec&)>& change) {
    ContainerSpec spec = world_.Shell("bad", "true");
    change(spec);
    return world_.engine().Start(spec).status();
  }

  LocalWorld world_;
};
INSTANTIATE_TEST_SUITE_P(Users, GivenTest, ::testing::Values(false, true),
                         [](const auto& info) {
                           return info.param ? "Own" : "OfTheHost";
                         });

TEST_P(GivenTest, WhenLimitsAreGiven_FirstProcessAndExecsHaveThem) {
  StartIdle([](ContainerSpec& s) {
    s.user = "app";
    s.ulimits = {{RLIMIT_NOFILE, 100, 200},
                 {RLIMIT_CORE, 0, RLIM_INFINITY},
                 {RLIMIT_STACK, 1 << 20, 2 << 20}};
  });
  const std::string expected =
      Shell("grep -E 'open files|core file|stack' /proc/1/limits");
  EXPECT_THAT(expected, AllOf(HasSubstr("100                  200 "),
                              HasSubstr("0                    unlimited"),
                              HasSubstr("1048576              2097152")));
  EXPECT_EQ(Shell("grep -E 'open files|core file|stack' "
                  "/proc/self/limits"),
            expected);
  EXPECT_THAT(StartFails([](ContainerSpec& s) {
                s.ulimits = {{RLIMIT_NOFILE, 1, uint64_t{1} << 40}};
              }),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("set ulimit nofile to 1:1099511627776")));
}

TEST_P(GivenTest, WhenSharedMemoryHasASize_ItIsKept) {
  StartIdle([](ContainerSpec& s) { s.shm_bytes = 1 << 20; });
  EXPECT_THAT(Shell("dd if=/dev/zero of=/dev/shm/x bs=1M count=2"),
              HasSubstr("No space"));
}

TEST_P(GivenTest, WhenSysctlsAreGiven_TheyAreOfTheContainerAlone) {
  const std::string file = "/proc/sys/net/core/somaxconn";
  const std::string host = os::ReadFile(file, 100).value_or("?");
  StartIdle([](ContainerSpec& s) {
    s.sysctls = {{"net.core.somaxconn", "321"},
                 {"kernel.shmmax", "1048576"},
                 {"fs.mqueue.msg_max", "11"}};
  });
  EXPECT_EQ(Shell("cat /proc/sys/net/core/somaxconn /proc/sys/kernel/shmmax "
                  "/proc/sys/fs/mqueue/msg_max"),
            "321\n1048576\n11\n");
  EXPECT_THAT(os::ReadFile(file, 100), IsOkAndHolds(host));
  EXPECT_THAT(Shell("echo 5 > /proc/sys/net/core/somaxconn"),
              HasSubstr("Read-only"));
  EXPECT_THAT(StartFails([](ContainerSpec& s) {
                s.sysctls = {{"net.no.such", "1"}};
              }),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       AllOf(HasSubstr("set sysctl net.no.such"),
                             HasSubstr("No such file"))));
  EXPECT_THAT(StartFails([](ContainerSpec& s) {
                s.sysctls = {{"net.core.somaxconn", "many"}};
              }),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("set sysctl net.core.somaxconn")));
  EXPECT_THAT(StartFails([](ContainerSpec& s) {
                s.sysctls = {{"kernel.core_pattern", "|/x"}};
              }),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("not of a namespace")));
}

TEST_P(GivenTest, WhenDevicesAreGiven_OnlyThoseCanBeUsed) {
  // A device that no container has, and that needs no further right to open.
  const std::string folder = world_ / "devices";
  const std::string node = folder + "/fuse";
  std::filesystem::create_directories(folder);
  if (mknod(node.c_str(), S_IFCHR | 0666, makedev(10, 229)) != 0 ||
      chmod(node.c_str(), 0666) != 0 ||
      !UniqueFd(open(node.c_str(), O_RDWR | O_CLOEXEC)).ok()) {
    GTEST_SKIP() << "needs CAP_MKNOD, and fuse in the kernel";
  }
  StartIdle([&](ContainerSpec& s) {
    s.devices = {{node, "/dev/one", "r"}, {folder, "/opt/all", "r"}};
  });
  EXPECT_EQ(Shell(": </dev/one && : </opt/all/fuse && echo ok"), "ok\n");
  EXPECT_THAT(Shell(": >/dev/one"), HasSubstr("not permitted"));
  EXPECT_EQ(Shell("echo x > /dev/null; head -c 1 /dev/zero | wc -c"), "1\n");

  // Two that have a right to nodes, but were not given this one.
  for (const SecurityProfile profile :
       {SecurityProfile::kBuild, SecurityProfile::kPrivileged}) {
    const bool privileged = profile == SecurityProfile::kPrivileged;
    const std::string id = privileged ? "all" : "build";
    ContainerSpec other = world_.Shell(id, "exec sleep 1000");
    other.profile = profile;
    if (privileged) other.ids = {};
    other.devices = {{"/dev/null", "/opt/null", "rw"}};
    ASSERT_OK(world_.engine().Start(other));
    EXPECT_EQ(world_.RunShell(id, "echo x > /opt/null"), "");
    EXPECT_THAT(
        world_.RunShell(id, "mknod /dev/f c 10 229 && : </dev/f && echo ok"),
        privileged ? HasSubstr("ok\n") : HasSubstr("ermi"));
  }
}

TEST_P(GivenTest, WhenADeviceIsNone_SaysWhich) {
  for (const char* path : {"/dev/no-such", "/etc/passwd", "/dev/shm"}) {
    EXPECT_THAT(StartFails([&](ContainerSpec& s) {
                  s.devices = {{path, "/dev/x", "rw"}};
                }),
                StatusIs(absl::StatusCode::kInvalidArgument,
                         HasSubstr(absl::StrCat("give device ", path))))
        << path;
  }
  EXPECT_TRUE(world_.engine().List().empty());
}

}  // namespace
}  // namespace bulwark::engine
