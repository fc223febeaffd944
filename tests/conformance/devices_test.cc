// config-linux.md: devices that are always there, those that a configuration
// adds, and which may be used. runtime-linux.md: links in /dev.
#include <sys/stat.h>

#include "tests/conformance/suite.h"

namespace bulwark::conformance {
namespace {

using ::testing::HasSubstr;

class DeviceSuite : public Suite {
 protected:
  void Add(const std::string& path, const std::string& type, int major,
           int minor) {
    bundle().os()["devices"].push_back({{"path", path},
                                        {"type", type},
                                        {"major", major},
                                        {"minor", minor},
                                        {"fileMode", 0640},
                                        {"uid", 5},
                                        {"gid", 6}});
  }
  void Rule(bool allow, const Json& numbers, const std::string& access) {
    Json rule = numbers;
    rule["allow"] = allow;
    rule["access"] = access;
    bundle().os()["resources"]["devices"].push_back(rule);
  }
};

CONFORMANCE_SUITE_OF(DevicesTest, DeviceSuite);
CONFORMANCE_SUITE_OF(DeviceRulesTest, DeviceSuite);

TEST_P(DevicesTest, WhenNoneIsConfigured_ThenTheDefaultOnesAreThere) {
  EXPECT_THAT(
      container().RunScript("cd /dev; stat -L -c '%n %F %t:%T %a' null zero "
                            "full random urandom tty"),
      Prints("null character special file 1:3 666\n"
             "zero character special file 1:5 666\n"
             "full character special file 1:7 666\n"
             "random character special file 1:8 666\n"
             "urandom character special file 1:9 666\n"
             "tty character special file 5:0 666"));
}

TEST_P(DevicesTest, WhenUsed_ThenTheDefaultOnesWork) {
  EXPECT_THAT(
      container().RunScript(
          "echo x > /dev/null; head -c 3 /dev/zero | od -An -tx1;"
          "head -c 3 /dev/urandom | wc -c; head -c 3 /dev/random | wc -c;"
          "echo x > /dev/full || echo full"),
      Prints(" 00 00 00\n3\n3\nfull"));
}

TEST_P(DevicesTest, WhenThereIsDevpts_ThenPtmxIsTheContainersOwn) {
  EXPECT_THAT(container().RunScript("[ /dev/ptmx -ef /dev/pts/ptmx ] || "
                                    "[ $(readlink /dev/ptmx) = pts/ptmx ] && "
                                    "[ -c /dev/ptmx ] && echo same"),
              Prints("same"));
}

TEST_P(DevicesTest, WhenTheirTargetsExist_ThenTheLinksAreThere) {
  EXPECT_THAT(container().RunScript(
                  "for l in fd stdin stdout stderr; do readlink /dev/$l; done"),
              Prints("/proc/self/fd\n/proc/self/fd/0\n/proc/self/fd/1\n"
                     "/proc/self/fd/2"));
}

TEST_P(DevicesTest, WhenConfigured_ThenTheyAreThere) {
  mkdir((bundle().rootfs() + "/opt").c_str(), 0755);
  Add("/dev/mine", "c", 1, 3);
  Add("/dev/deep/down", "u", 1, 5);
  Add("/dev/block", "b", 7, 200);
  Add("/opt/elsewhere", "c", 1, 3);
  EXPECT_THAT(container().RunScript("stat -c '%n %F %t:%T %a %u %g' /dev/mine "
                                    "/dev/deep/down /dev/block /opt/elsewhere"),
              Prints("/dev/mine character special file 1:3 640 5 6\n"
                     "/dev/deep/down character special file 1:5 640 5 6\n"
                     "/dev/block block special file 7:c8 640 5 6\n"
                     "/opt/elsewhere character special file 1:3 640 5 6"));
}

TEST_P(DevicesTest, WhenAPipeIsConfigured_ThenItIsThere) {
  bundle().os()["devices"] =
      Json::array({{{"path", "/dev/pipe"}, {"type", "p"}, {"fileMode", 0600}}});
  EXPECT_THAT(container().RunScript("stat -c '%F %a' /dev/pipe"),
              Prints("fifo 600"));
}

TEST_P(DevicesTest, WhenSomethingElseIsAtThePath_ThenCreateFails) {
  WriteFile(bundle().rootfs() + "/etc/device", "not a device");
  Add("/etc/device", "c", 1, 3);
  EXPECT_THAT(container().Run(), IsRefused());
  EXPECT_EQ(ReadFile(bundle().rootfs() + "/etc/device"), "not a device");
}

TEST_P(DevicesTest, WhenTheTypeIsUnknown_ThenCreateFails) {
  Add("/dev/mine", "x", 1, 3);
  ExpectCreateRefused();
}

// A device that no runtime allows unasked; whether a driver is there does not
// matter: the group's rules are asked first.
const Json kFuse = {{"type", "c"}, {"major", 10}, {"minor", 229}};
constexpr char kOpenFuse[] =
    "mknod /tmp/fuse c 10 229;"
    "(: < /tmp/fuse) 2>&1 | grep -q 'not permitted' && echo no read;"
    "(: > /tmp/fuse) 2>&1 | grep -q 'not permitted' && echo no write;"
    "echo end";

TEST_P(DeviceRulesTest, WhenNotAllowed_ThenADeviceCannotBeOpened) {
  EXPECT_THAT(container().RunScript(kOpenFuse),
              Prints("no read\nno write\nend"));
}

TEST_P(DeviceRulesTest, WhenAllowed_ThenADeviceCanBeOpened) {
  Rule(true, kFuse, "rw");
  EXPECT_THAT(container().RunScript(kOpenFuse), Prints("end"));
}

TEST_P(DeviceRulesTest, WhenAllowedForReading_ThenItCannotBeWritten) {
  Rule(true, kFuse, "r");
  EXPECT_THAT(container().RunScript(kOpenFuse), Prints("no write\nend"));
}

TEST_P(DeviceRulesTest, WhenRulesContradict_ThenTheLaterOneHolds) {
  Rule(true, kFuse, "rwm");
  Rule(false, kFuse, "w");
  EXPECT_THAT(container().RunScript(kOpenFuse), Prints("no write\nend"));
}

TEST_P(DeviceRulesTest, WhenAnyMinorIsAllowed_ThenThisOneIs) {
  Rule(true, {{"type", "c"}, {"major", 10}}, "rw");
  EXPECT_THAT(container().RunScript(kOpenFuse), Prints("end"));
}

TEST_P(DeviceRulesTest, WhenAllIsAllowed_ThenThisOneIs) {
  bundle().os()["resources"]["devices"] =
      Json::array({{{"allow", true}, {"access", "rwm"}}});
  EXPECT_THAT(container().RunScript(kOpenFuse), Prints("end"));
}

}  // namespace
}  // namespace bulwark::conformance
