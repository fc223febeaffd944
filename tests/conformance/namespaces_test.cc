// config-linux.md: namespaces, mappings of users, clocks, sysctls, personality,
// and paths that are masked or read-only.
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "absl/strings/str_cat.h"
#include "tests/conformance/suite.h"

namespace bulwark::conformance {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class NamespaceSuite : public Suite {
 protected:
  // The namespace of that type ("network") that a process is in, "self" too.
  static std::string Of(const std::string& pid, const std::string& type) {
    char link[64] = {};
    const ssize_t n =
        readlink(PathOf(pid, type).c_str(), link, sizeof(link) - 1);
    return n > 0 ? link : "";
  }
  static std::string PathOf(const std::string& pid, const std::string& type) {
    const std::string file = type == "network" ? "net"
                             : type == "mount" ? "mnt"
                                               : type;
    return absl::StrCat("/proc/", pid, "/ns/", file);
  }
  std::string Pid() { return std::to_string(container().Pid()); }
};

CONFORMANCE_SUITE_OF(NamespacesTest, NamespaceSuite);
CONFORMANCE_SUITE_OF(UserNamespaceTest, NamespaceSuite);
CONFORMANCE_SUITE_OF(TimeNamespaceTest, NamespaceSuite);
CONFORMANCE_SUITE_OF(SysctlTest, NamespaceSuite);
CONFORMANCE_SUITE_OF(PersonalityTest, NamespaceSuite);
CONFORMANCE_SUITE_OF(PathsTest, NamespaceSuite);

constexpr const char* kTypes[] = {"pid", "network", "ipc",
                                  "uts", "mount",   "cgroup"};

TEST_P(NamespacesTest, WhenListed_ThenTheContainerHasNewOnes) {
  StartScript("exec sleep 1000");
  for (const char* type : kTypes) {
    EXPECT_NE(Of(Pid(), type), "") << type;
    EXPECT_NE(Of(Pid(), type), Of("self", type)) << type;
  }
  EXPECT_EQ(Of(Pid(), "user"), Of("self", "user"));
  EXPECT_EQ(Of(Pid(), "time"), Of("self", "time"));
}

TEST_P(NamespacesTest, WhenNotListed_ThenTheContainerHasTheRuntimes) {
  for (const char* type : {"network", "ipc", "uts", "cgroup"}) {
    bundle().RemoveNamespace(type);
  }
  config().erase("hostname");
  StartScript("exec sleep 1000");
  for (const char* type : {"network", "ipc", "uts", "cgroup"}) {
    EXPECT_EQ(Of(Pid(), type), Of("self", type)) << type;
  }
}

TEST_P(NamespacesTest, WhenThePidNamespaceIsNotListed_ThenItIsTheRuntimes) {
  bundle().RemoveNamespace("pid");
  StartScript("exec sleep 1000");
  EXPECT_EQ(Of(Pid(), "pid"), Of("self", "pid"));
  ASSERT_THAT(container().Kill("KILL"), Succeeds());
  container().AwaitExit();
}

TEST_P(NamespacesTest, WhenAPathIsGiven_ThenTheContainerIsInThatOne) {
  auto other = Another("other");
  other->bundle().Script("exec sleep 1000");
  ASSERT_THAT(other->Create(), Succeeds());
  ASSERT_THAT(other->Start(), Succeeds());
  const std::string theirs = std::to_string(other->Pid());
  for (const char* type : {"pid", "network", "ipc", "uts"}) {
    bundle().SetNamespace(type, PathOf(theirs, type));
  }
  config().erase("hostname");
  StartScript("echo in $(hostname); exec sleep 1000");
  ASSERT_TRUE(container().AwaitPrinted("in conformance"));
  for (const char* type : {"pid", "network", "ipc", "uts"}) {
    EXPECT_EQ(Of(Pid(), type), Of(theirs, type)) << type;
  }
  EXPECT_NE(Of(Pid(), "mount"), Of(theirs, "mount"));
  // Joining does not make it the owner.
  ASSERT_THAT(container().Delete({"--force"}), Succeeds());
  // A namespace of processes ends only once all of its dead are reaped.
  container().AwaitExit();
  EXPECT_EQ(other->Status(), "running");
}

TEST_P(NamespacesTest, WhenThePathIsOfAnotherType_ThenCreateFails) {
  bundle().SetNamespace("ipc", "/proc/self/ns/net");
  ExpectCreateRefused();
}

TEST_P(NamespacesTest, WhenThePathIsNoNamespace_ThenCreateFails) {
  WriteFile(scratch() + "/file", "");
  for (const std::string& path :
       {scratch() + "/none", scratch() + "/file", std::string("ns/net")}) {
    SCOPED_TRACE(path);
    bundle().SetNamespace("network", path);
    ExpectCreateRefused();
  }
}

TEST_P(NamespacesTest, WhenATypeIsUnknown_ThenCreateFails) {
  bundle().SetNamespace("weather", "");
  ExpectCreateRefused();
}

TEST_P(NamespacesTest, WhenATypeIsTwice_ThenCreateFails) {
  bundle().os()["namespaces"].push_back({{"type", "network"}});
  ExpectCreateRefused();
}

TEST_P(NamespacesTest, WhenTheCgroupNamespaceIsNew_ThenItsRootIsTheGroup) {
  const Outcome outcome = container().RunScript(
      "cut -d: -f3 /proc/self/cgroup "
      "| sort -u");
  EXPECT_THAT(outcome, Succeeds());
  EXPECT_THAT(outcome.out, Not(HasSubstr(container().id())));
}

const Json kMapping =
    Json::array({{{"containerID", 0}, {"hostID", 100000}, {"size", 1000}},
                 {{"containerID", 1000}, {"hostID", 200000}, {"size", 64536}}});

TEST_P(UserNamespaceTest, WhenMapped_ThenIdsAreOthersOutside) {
  bundle().SetNamespace("user", "");
  bundle().os()["uidMappings"] = kMapping;
  bundle().os()["gidMappings"] = kMapping;
  bundle().process()["user"] = {{"uid", 1000}, {"gid", 1000}};
  StartScript(
      "tr -s ' ' < /proc/self/uid_map; tr -s ' ' < /proc/self/gid_map;"
      "id -u; id -g; echo end; exec sleep 1000");
  ASSERT_TRUE(container().AwaitPrinted("end"));
  EXPECT_EQ(container().Printed(),
            " 0 100000 1000\n 1000 200000 64536\n"
            " 0 100000 1000\n 1000 200000 64536\n1000\n1000\nend\n");
  EXPECT_NE(Of(Pid(), "user"), Of("self", "user"));
  const std::string status = ReadFile("/proc/" + Pid() + "/status");
  EXPECT_THAT(status, HasSubstr("Uid:\t200000\t200000\t"));
  EXPECT_THAT(status, HasSubstr("Gid:\t200000\t200000\t"));
}

TEST_P(UserNamespaceTest, WhenMapped_ThenTheRootsOwnersStay) {
  bundle().SetNamespace("user", "");
  bundle().os()["uidMappings"] = kMapping;
  bundle().os()["gidMappings"] = kMapping;
  // Nobody's there: the host's root is not in the mapping.
  EXPECT_THAT(container().RunScript("stat -c %u /bin/busybox"),
              Prints("65534"));
  struct stat found;
  ASSERT_EQ(stat((bundle().rootfs() + "/bin/busybox").c_str(), &found), 0);
  EXPECT_EQ(found.st_uid, 0u);
}

TEST_P(UserNamespaceTest, WhenMapped_ThenDefaultDevicesWork) {
  bundle().SetNamespace("user", "");
  bundle().os()["uidMappings"] = kMapping;
  bundle().os()["gidMappings"] = kMapping;
  EXPECT_THAT(container().RunScript(
                  "echo x > /dev/null && head -c 4 /dev/zero | wc -c"),
              Prints("4"));
}

TEST_P(UserNamespaceTest, WhenThereIsNoMapping_ThenCreateFails) {
  bundle().SetNamespace("user", "");
  EXPECT_THAT(container().Run(), IsRefused());
}

TEST_P(TimeNamespaceTest, WhenOffsetsAreGiven_ThenTheClocksAreAhead) {
  bundle().SetNamespace("time", "");
  bundle().os()["timeOffsets"] = {
      {"monotonic", {{"secs", 1000000}, {"nanosecs", 0}}},
      {"boottime", {{"secs", 5000000}, {"nanosecs", 0}}}};
  timespec monotonic, boottime;
  clock_gettime(CLOCK_MONOTONIC, &monotonic);
  clock_gettime(CLOCK_BOOTTIME, &boottime);
  const Outcome outcome = container().RunScript("probe clock 1; probe clock 7");
  ASSERT_THAT(outcome, Succeeds());
  long inside[2] = {};
  sscanf(outcome.out.c_str(), "%ld %ld", &inside[0], &inside[1]);
  // Within a minute: what the test itself takes.
  EXPECT_NEAR(inside[0], monotonic.tv_sec + 1000000, 60);
  EXPECT_NEAR(inside[1], boottime.tv_sec + 5000000, 60);
}

TEST_P(TimeNamespaceTest, WhenTheClockIsUnknown_ThenCreateFails) {
  bundle().SetNamespace("time", "");
  bundle().os()["timeOffsets"] = {{"realtime", {{"secs", 1}}}};
  EXPECT_THAT(container().Run(), IsRefused());
}

TEST_P(SysctlTest, WhenGiven_ThenTheContainersNamespacesHaveIt) {
  bundle().os()["sysctl"] = {{"net.ipv4.ip_forward", "1"},
                             {"net.core.somaxconn", "77"},
                             {"kernel.shmmni", "99"},
                             {"fs.mqueue.msg_max", "11"}};
  EXPECT_THAT(container().RunScript(
                  "cd /proc/sys; cat net/ipv4/ip_forward net/core/somaxconn "
                  "kernel/shmmni fs/mqueue/msg_max"),
              Prints("1\n77\n99\n11"));
  EXPECT_NE(ReadFile("/proc/sys/net/core/somaxconn"), "77\n");
}

TEST_P(SysctlTest, WhenThereIsNone_ThenItFails) {
  bundle().os()["sysctl"] = {{"net.none.such", "1"}};
  EXPECT_THAT(container().Run(), IsRefused());
}

TEST_P(PersonalityTest, WhenItIs32Bit_ThenTheMachineLooksSo) {
  bundle().os()["personality"] = {{"domain", "LINUX32"}};
  EXPECT_THAT(container().RunScript("probe personality; uname -m"),
              Prints("8\ni686"));
}

TEST_P(PersonalityTest, WhenItIsTheUsualOne_ThenNothingChanges) {
  bundle().os()["personality"] = {{"domain", "LINUX"}};
  EXPECT_THAT(container().RunScript("probe personality"), Prints("0"));
}

TEST_P(PersonalityTest, WhenItIsUnknown_ThenCreateFails) {
  bundle().os()["personality"] = {{"domain", "SOLARIS"}};
  ExpectCreateRefused();
}

TEST_P(PathsTest, WhenMasked_ThenTheyCannotBeRead) {
  WriteFile(bundle().rootfs() + "/etc/secret", "hidden");
  mkdir((bundle().rootfs() + "/etc/secrets").c_str(), 0755);
  WriteFile(bundle().rootfs() + "/etc/secrets/key", "hidden");
  bundle().os()["maskedPaths"] = {"/etc/secret", "/etc/secrets", "/none",
                                  "/proc/kcore"};
  const Outcome outcome = container().RunScript(
      "cat /etc/secret; ls -A /etc/secrets; head -c 1 /proc/kcore | wc -c;"
      "echo x > /etc/secrets/new && echo written; echo end");
  EXPECT_THAT(outcome.out, Not(HasSubstr("hidden")));
  EXPECT_EQ(outcome.out, "0\nend\n");
}

TEST_P(PathsTest, WhenReadOnly_ThenTheyCannotBeWritten) {
  mkdir((bundle().rootfs() + "/data").c_str(), 0755);
  bundle().os()["readonlyPaths"] = {"/data", "/etc/passwd", "/none",
                                    "/proc/sys"};
  const Outcome outcome = container().RunScript(
      "echo x > /data/file && echo 1; echo x >> /etc/passwd && echo 2;"
      "echo y > /proc/sys/kernel/domainname && echo 3;"
      "cat /proc/sys/kernel/ostype; echo x > /tmp/free && echo 4");
  EXPECT_EQ(outcome.out, "Linux\n4\n");
}

TEST_P(PathsTest, WhenBehindLinks_ThenWhatTheyLeadToIsMasked) {
  const std::string etc = bundle().rootfs() + "/etc";
  mkdir((etc + "/real").c_str(), 0755);
  WriteFile(etc + "/real/file", "hidden");
  WriteFile(etc + "/real/other", "hidden");
  WriteFile(etc + "/real/written", "");
  ASSERT_EQ(symlink("/etc/real", (etc + "/directory").c_str()), 0);
  ASSERT_EQ(symlink("../../../etc/real/other", (etc + "/link").c_str()), 0);
  ASSERT_EQ(symlink("/none/at/all", (etc + "/nothing").c_str()), 0);
  bundle().os()["maskedPaths"] = {"/etc/directory/file", "/etc/link",
                                  "/etc/nothing",        "/etc/nothing/below",
                                  "/etc/directory/none", "/proc/self/net"};
  bundle().os()["readonlyPaths"] = {"/etc/directory/written", "/etc/nothing"};
  EXPECT_THAT(container().RunScript(
                  "cat /etc/real/*; ls -A /proc/1/net;"
                  "echo x > /etc/real/written && echo written; echo end"),
              Prints("end"));
}

TEST_P(PathsTest, WhenNotAbsolute_ThenCreateFails) {
  bundle().os()["maskedPaths"] = {"etc/passwd"};
  EXPECT_THAT(container().Run(), IsRefused());
  bundle().os().erase("maskedPaths");
  bundle().os()["readonlyPaths"] = {"etc/passwd"};
  EXPECT_THAT(container().Run(), IsRefused());
}

}  // namespace
}  // namespace bulwark::conformance
