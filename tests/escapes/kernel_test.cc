// Escapes by files of the kernel: what is hidden, devices, consoles, settings.
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <filesystem>
#include <map>

#include "absl/strings/str_cat.h"
#include "tests/escapes/escape_suite.h"

namespace bulwark::escapes {
namespace {

namespace fs = std::filesystem;
using conformance::Json;
using conformance::ReadFile;
using conformance::Workspace;
using conformance::WriteFile;
using ::testing::AnyOf;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr char kCorePattern[] = "/proc/sys/kernel/core_pattern";

std::map<std::string, std::string> ReleaseAgents() {
  std::map<std::string, std::string> agents;
  for (const conformance::Hierarchy& h : Workspace::hierarchies()) {
    const std::string path = h.mount + "/release_agent";
    if (!h.v2 && access(path.c_str(), F_OK) == 0) agents[path] = ReadFile(path);
  }
  return agents;
}

// Finds hierarchies of version 1 and says which it could write.
constexpr char kWriteAgents[] =
    "for f in $(find /sys/fs/cgroup /mnt -name release_agent); do "
    "echo seen $f; echo /evil > $f && echo wrote $f; done 2>/dev/null; ";

Json AllCapabilities() {
  Json all = conformance::DefaultCapabilities();
  for (const char* name :
       {"CAP_SYS_ADMIN", "CAP_NET_ADMIN", "CAP_SYS_PTRACE"}) {
    all.push_back(name);
  }
  return all;
}

// Who had CAP_SYS_ADMIN in a user namespace of his own could mount a cgroup
// hierarchy of version 1 and name a program that the kernel ran on the host
// (release_agent). The container sees its own groups as the root of each
// hierarchy, where that file is not.
TEST_P(EscapeTest, Cve2022_0492_ReleaseAgentInAUserNamespace) {
  const auto before = ReleaseAgents();
  if (before.empty()) GTEST_SKIP() << "this host has no cgroups of version 1";
  bundle().SetNamespace("user", "");
  const Json map =
      Json::array({{{"containerID", 0}, {"hostID", 100000}, {"size", 65536}}});
  bundle().os()["uidMappings"] = map;
  bundle().os()["gidMappings"] = map;
  for (const char* set : {"bounding", "effective", "permitted"}) {
    bundle().process()["capabilities"][set] = AllCapabilities();
  }
  bundle().AddMount("/sys/fs/cgroup", "cgroup", "cgroup",
                    {"nosuid", "noexec", "nodev"});
  const Outcome outcome = container().RunScript(
      absl::StrCat("echo started; ls /sys/fs/cgroup; ", kWriteAgents,
                   "for c in memory rdma devices pids freezer; do "
                   "mount -t cgroup -o $c x /mnt && { ",
                   kWriteAgents, " umount /mnt; }; done 2>/dev/null; true"));
  EXPECT_THAT(outcome, Prints(HasSubstr("started")));
  EXPECT_THAT(outcome.out, Not(HasSubstr("seen"))) << outcome.ToString();
  EXPECT_THAT(outcome.out, Not(HasSubstr("wrote")));
  EXPECT_EQ(ReleaseAgents(), before);
}

// As the report had it: no namespace for the user, and the container unshares
// one by itself.
TEST_P(EscapeTest, Cve2022_0492_ReleaseAgentAfterUnshare) {
  const auto before = ReleaseAgents();
  if (before.empty()) GTEST_SKIP() << "this host has no cgroups of version 1";
  bundle().AddMount("/sys/fs/cgroup", "cgroup", "cgroup",
                    {"nosuid", "noexec", "nodev"});
  const Outcome outcome = container().RunScript(
      absl::StrCat("echo started; ", kWriteAgents,
                   "unshare -U -r -m sh -c '"
                   "for c in memory rdma devices pids freezer; do "
                   "mount -t cgroup -o $c x /mnt; done; ",
                   kWriteAgents, "' 2>/dev/null; true"));
  EXPECT_THAT(outcome, Prints(HasSubstr("started")));
  EXPECT_THAT(outcome.out, Not(HasSubstr("wrote")));
  EXPECT_EQ(ReleaseAgents(), before);
}

// runc hid paths by binding the container's own /dev/null over them, which an
// image could make a link: to core_pattern, or to nothing, so that the path was
// not hidden. Here the host's is bound, once it has been seen to be 1:3.
TEST_P(EscapeTest, Cve2025_31133_NullIsALink) {
  WriteFile(Inside("/etc/masked"), "to be hidden");
  WriteFile(Inside("/victim"), "shown instead");
  const std::string pattern = ReadFile(kCorePattern);
  for (const std::string& target :
       {std::string("../victim"),
        std::string("../proc/sys/kernel/core_pattern"), std::string("nowhere"),
        WayUp() + "/sentinel"}) {
    const std::string dev = scratch() + "/dev";
    if (!fs::exists(dev)) AddHostileDev();
    fs::remove(dev + "/null");
    fs::create_symlink(target, dev + "/null");
    bundle().os()["maskedPaths"] = {"/etc/masked", "/proc/timer_list"};
    const Outcome outcome = container().RunScript(
        "cat /etc/masked; stat -c '%F %t:%T' /etc/masked; "
        "echo '|/evil' > /etc/masked; true");
    EXPECT_THAT(outcome,
                AnyOf(IsRefused(), Prints("character special file 1:3")))
        << target;
    EXPECT_EQ(ReadFile(kCorePattern), pattern);
  }
}

TEST_P(EscapeTest, Cve2025_31133_NullIsSwappedForALink) {
  WriteFile(Inside("/etc/masked"), "to be hidden");
  WriteFile(Inside("/victim"), "shown instead");
  const std::string dev = AddHostileDev();
  ASSERT_EQ(mknod((dev + "/null").c_str(), S_IFCHR | 0666, makedev(1, 3)), 0);
  fs::create_symlink("../victim", dev + "/link");
  bundle().os()["maskedPaths"] = {"/etc/masked"};
  bundle().Script("cat /etc/masked; stat -c '%F %t:%T' /etc/masked");
  const Swapper swapper(dev + "/null", dev + "/link");
  RunAgainst(swapper, [&](const Outcome& outcome) {
    EXPECT_THAT(outcome,
                AnyOf(IsRefused(), Prints("character special file 1:3")));
  });
}

// What is to be hidden is itself behind a link that leads out, and is not in
// the root: refused, not looked for.
TEST_P(EscapeTest, Cve2025_31133_MaskedPathIsALink) {
  fs::create_symlink(WayUp(), Inside("/etc/link"));
  bundle().os()["maskedPaths"] = {"/etc/link/sentinel"};
  EXPECT_THAT(container().RunScript("echo started"), IsRefused());
  EXPECT_EQ(ReadFile(host() + "/sentinel"), kUntouched);
}

// If it is in the root, where the root holds such a link, that is covered.
TEST_P(EscapeTest, Cve2025_31133_MaskedPathIsALinkHeldInTheRoot) {
  fs::create_directories(Inside(host()));
  WriteFile(Inside(host() + "/sentinel"), "to be hidden");
  fs::create_symlink(WayUp(), Inside("/etc/link"));
  fs::create_symlink("/proc/self/root/etc", Inside("/etc/magic"));
  for (const char* kind : {"maskedPaths", "readonlyPaths"}) {
    bundle().os()["maskedPaths"] = {"/etc/link/sentinel"};
    bundle().os()["readonlyPaths"] = {"/etc/link"};
    EXPECT_THAT(container().RunScript(
                    absl::StrCat("cat ", host(), "/sentinel; echo x > ", host(),
                                 "/new || echo protected")),
                Prints("protected"));
    struct stat st;
    ASSERT_EQ(lstat((host() + "/sentinel").c_str(), &st), 0);
    EXPECT_TRUE(S_ISREG(st.st_mode));
    EXPECT_EQ(ReadFile(host() + "/sentinel"), kUntouched);
    // No link of the kernel's own is followed.
    bundle().os()[kind] = {"/etc/magic/passwd"};
    EXPECT_THAT(container().RunScript("echo started"), IsRefused()) << kind;
  }
}

// runc bound /dev/pts/N over /dev/console by name, before paths were hidden: an
// image that made either a link got a writable file of procfs. Here the
// terminal is a descriptor from its own devpts, and /dev/console may be no
// link.
TEST_P(EscapeTest, Cve2025_52565_ConsoleIsALink) {
  WriteFile(Inside("/victim"), "not mounted over");
  const std::string dev = AddHostileDev();
  for (const std::string& target :
       {std::string("../victim"),
        std::string("../proc/sys/kernel/core_pattern"), WayUp() + "/sentinel",
        host() + "/new"}) {
    fs::remove(dev + "/console");
    fs::create_symlink(target, dev + "/console");
    bundle().process()["terminal"] = true;
    bundle().Script("cat /victim; grep -c sys/kernel/core /proc/mounts");
    const Outcome outcome = container().Run();
    // Reading what was mounted over would wait for the terminal.
    EXPECT_THAT(outcome,
                AnyOf(IsRefused(),
                      ::testing::Field(&Outcome::out, "not mounted over0\r\n")))
        << target;
    EXPECT_EQ(ReadFile(host() + "/sentinel"), kUntouched);
  }
}

TEST_P(EscapeTest, Cve2025_52565_ConsoleIsSwappedForALink) {
  WriteFile(Inside("/victim"), "not mounted over\n");
  const std::string dev = AddHostileDev();
  WriteFile(dev + "/console", "");
  fs::create_symlink("../victim", dev + "/link");
  bundle().process()["terminal"] = true;
  bundle().Script("cat /victim");
  const Swapper swapper(dev + "/console", dev + "/link");
  RunAgainst(swapper, [&](const Outcome& outcome) {
    EXPECT_THAT(outcome, AnyOf(IsRefused(), Prints("not mounted over")));
  });
}

// A terminal in a container whose /dev/pts is what the image made of it.
TEST_P(EscapeTest, Cve2025_52565_TerminalDevicesAreLinks) {
  const std::string dev = AddHostileDev();
  Json kept = Json::array();
  for (const Json& mount : config()["mounts"]) {
    if (mount["destination"] != "/dev/pts") kept.push_back(mount);
  }
  config()["mounts"] = kept;
  fs::remove_all(dev + "/pts");
  fs::create_symlink("../tmp", dev + "/pts");
  StartScript("exec sleep 1000");
  for (const std::string& target :
       {WayUp() + "/sentinel", std::string("/proc/self/fd/0"),
        std::string("/proc/sys/kernel/core_pattern")}) {
    fs::remove(Inside("/tmp/ptmx"));
    fs::create_symlink(target, Inside("/tmp/ptmx"));
    EXPECT_THAT(container().Exec({"/bin/true"}, {"--tty"}), Not(Succeeds()))
        << target;
  }
  fs::remove(Inside("/tmp/ptmx"));
  ASSERT_EQ(mkfifo(Inside("/tmp/ptmx").c_str(), 0666), 0);
  EXPECT_THAT(container().Exec({"/bin/true"}, {"--tty"}), Not(Succeeds()));
}

// A link in the container's /proc made runc write sysctls and labels elsewhere:
// to core_pattern, or to a file that swallows them. Here they are written
// through a procfs that the runtime made for itself and nobody else sees.
TEST_P(EscapeTest, Cve2025_52881_SysctlsBesideTheContainersProc) {
  const std::string proc = scratch() + "/proc";
  fs::create_directories(proc + "/sys/net/ipv4");
  fs::create_symlink("../../../../victim", proc + "/sys/net/ipv4/ip_forward");
  WriteFile(proc + "/sys/net/ipv4/ip_default_ttl", "swallowed");
  WriteFile(Inside("/victim"), "not written");
  bundle().AddMount("/tmp", "proc", "proc", {"nosuid", "noexec", "nodev"});
  Bind(proc, "/proc");
  bundle().os()["sysctl"] = {{"net.ipv4.ip_forward", "1"},
                             {"net.ipv4.ip_default_ttl", "77"}};
  const auto before = Tree(proc);
  const Outcome outcome = container().RunScript(
      "cd /tmp/sys/net/ipv4; cat ip_forward ip_default_ttl /victim");
  EXPECT_EQ(Tree(proc), before);
  EXPECT_EQ(ReadFile(Inside("/victim")), "not written");
  EXPECT_THAT(outcome, Prints("1\n77\nnot written"));
}

// No name of a sysctl that is the container's own leads to one of the host's.
TEST_P(EscapeTest, Cve2025_52881_SysctlWithDotsInItsName) {
  const std::string pattern = ReadFile(kCorePattern);
  for (const char* name :
       {"net/../kernel/core_pattern", "net/./../kernel/core_pattern",
        "fs/mqueue/../../kernel/core_pattern", "net/",
        "net/../../self/oom_score_adj"}) {
    bundle().os()["sysctl"] = {{name, pattern}};
    EXPECT_THAT(container().RunScript("echo started"), IsRefused()) << name;
  }
  EXPECT_EQ(ReadFile(kCorePattern), pattern);
}

// The score is the process's own, whatever the image has at /proc.
TEST_P(EscapeTest, Cve2025_52881_OomScoreBesideTheContainersProc) {
  const std::string proc = scratch() + "/proc";
  fs::create_directories(proc + "/self");
  WriteFile(proc + "/self/oom_score_adj", "swallowed");
  bundle().AddMount("/tmp", "proc", "proc", {"nosuid", "noexec", "nodev"});
  Bind(proc, "/proc");
  bundle().process()["oomScoreAdj"] = 500;
  EXPECT_THAT(container().RunScript("cat /tmp/self/oom_score_adj"),
              Prints("500"));
  EXPECT_EQ(ReadFile(proc + "/self/oom_score_adj"), "swallowed");
}

}  // namespace
}  // namespace bulwark::escapes
