// What a container may be given, and its log drivers, on a real daemon.
#include <signal.h>

#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "tests/e2e/suite.h"

namespace bulwark::e2e {
namespace {

using ::testing::HasSubstr;

constexpr char kIdle[] = "trap \"exit 0\" TERM; while :; do sleep 0.1; done";

class GivenTest : public Suite {
 protected:
  static void SetUpTestSuite() { Open("e2egiv"); }
  static void TearDownTestSuite() { Close(); }

  static std::string Exec(const std::string& service,
                          const std::string& script) {
    return Ctl({"exec", service, "sh", "-c", script}).out;
  }
};

// First, when no links are made ahead: they are set in the network as it is
// when it is whole.
TEST_F(GivenTest, SysctlsOfTheLink_AreSetAndStay) {
  world().Apply(Manifest("links", kIdle,
                         "sysctls: {net.ipv4.conf.eth0.arp_notify: 1, "
                         "net.ipv6.conf.all.disable_ipv6: 1, "
                         "net.ipv4.ip_unprivileged_port_start: 99}\n"));
  ASSERT_TRUE(world().AwaitReady("links", 1));
  EXPECT_EQ(Exec("links",
                 "cd /proc/sys/net; cat ipv4/conf/eth0/arp_notify "
                 "ipv6/conf/all/disable_ipv6 ipv6/conf/eth0/disable_ipv6 "
                 "ipv4/ip_unprivileged_port_start"),
            "1\n1\n1\n99\n");
  Ctl({"delete", "service", "links"});
}

TEST_F(GivenTest, WhenAServiceUsesAllOfIt_EachIsThere) {
  world().Apply(Manifest("all", kIdle,
                         "devices: [{hostPath: /dev/full, path: /dev/mine, "
                         "access: r}]\n"
                         "ulimits: {nofile: \"100:200\", core: 0}\n"
                         "tmpfs: [\"/scratch:size=1Mi,mode=0700\"]\n"
                         "shmSize: 2Mi\n"
                         "hostname: box\n"
                         "extraHosts: {db.example: 10.1.2.3, "
                         "host: host-gateway}\n"
                         "sysctls: {net.core.somaxconn: 321, "
                         "kernel.shmmax: 1048576}\n"
                         "log: json-file\n"));
  ASSERT_TRUE(world().AwaitReady("all", 1));
  EXPECT_EQ(Exec("all", "hostname; ulimit -n; ulimit -Hn; ulimit -c"),
            "box\n100\n200\n0\n");
  EXPECT_EQ(Exec("all", "ls -l /dev/mine | cut -c1"), "c\n");
  EXPECT_EQ(Exec("all",
                 "stat -c %a /scratch; "
                 "dd if=/dev/zero of=/scratch/x bs=1M count=2 2>/dev/null || "
                 "echo full; "
                 "dd if=/dev/zero of=/dev/shm/x bs=1M count=1 2>/dev/null && "
                 "echo room; "
                 "dd if=/dev/zero of=/dev/shm/x bs=1M count=3 2>/dev/null || "
                 "echo full"),
            "700\nfull\nroom\nfull\n");
  EXPECT_EQ(
      Exec("all", "cat /proc/sys/net/core/somaxconn /proc/sys/kernel/shmmax"),
      "321\n1048576\n");
  const std::string hosts = Exec("all", "cat /etc/hosts");
  EXPECT_THAT(hosts, HasSubstr("10.1.2.3\tdb.example\n"));
  EXPECT_THAT(hosts, HasSubstr("\tbox\n"));
  EXPECT_THAT(hosts, HasSubstr("\thost\n"));
  // What was declared comes back.
  const std::string manifest =
      Ctl({"get", "service", "all", "-o", "manifest"}).out;
  EXPECT_THAT(manifest, HasSubstr("net.core.somaxconn"));
  Ctl({"delete", "service", "all"});
}

TEST_F(GivenTest, WhenItIsWrong_ThePlaceIsNamed) {
  const auto refuses = [](const std::string& more, const char* text) {
    const Result result = world().Ctl({"apply", "-f", "-"}, absl::Seconds(60),
                                      Manifest("wrong", kIdle, more));
    EXPECT_NE(result.code, 0) << more;
    EXPECT_THAT(result.err, HasSubstr(text)) << more;
  };
  refuses("ulimits: {files: 5}\n", "is not a limit");
  refuses("ulimits: {nofile: \"9:5\"}\n", "is above the hard limit");
  refuses("sysctls: {kernel.core_pattern: x}\n",
          "not a setting that a container has of its own");
  refuses("tmpfs: [run]\n", "is not a file system in memory");
  refuses("devices: [/etc/passwd]\n", "is not a device of the host");
  refuses("hostname: \"a b\"\n", "is not a host name");
  refuses("extraHosts: {db: nowhere}\n", "is not an address");
  refuses("log: syslog\n", "is not one of local, json-file");
  EXPECT_FALSE(Exists("service", "wrong"));
}

TEST_F(GivenTest, WhenADeviceIsNotThere_TheServiceSaysWhich) {
  world().Apply(Manifest("lost", kIdle, "devices: [/dev/no-such-device]\n"));
  EXPECT_TRUE(Eventually([] {
    return absl::StrContains(world().Ctl({"why", "lost"}).out,
                             "give device /dev/no-such-device");
  })) << world().Ctl({"why", "lost"}).out;
  Ctl({"delete", "service", "lost"});
}

TEST_F(GivenTest, WhenRunFromTheCommandLine_FlagsDoTheSame) {
  const Result result =
      Ctl({"run", "--ulimit", "nofile=50", "--hostname", "box", "--tmpfs",
           "/t:size=1Mi", "--sysctl", "net.core.somaxconn=99", "--add-host",
           "db:10.9.8.7", "--log-driver", "json-file", "--entrypoint", "sh",
           busybox(), "-c",
           "ulimit -n; hostname; "
           "cat /proc/sys/net/core/somaxconn; "
           "grep -c 10.9.8.7 /etc/hosts"});
  EXPECT_EQ(result.out, "50\nbox\n99\n1\n") << result.err;
}

TEST_F(GivenTest, WhenTheLogIsNone_LogsSaySo) {
  world().Apply(
      Manifest("mute", absl::StrCat("echo hello; ", kIdle), "log: none\n"));
  ASSERT_TRUE(world().AwaitReady("mute", 1));
  EXPECT_THAT(CtlFails({"logs", "mute"}).err,
              HasSubstr("its log driver is none"));
  Ctl({"delete", "service", "mute"});
}

// A replica that failed is kept for its log.
TEST_F(GivenTest, WhenAReplicaWasReplaced_ItsLogIsThePrevious) {
  world().Apply(
      Manifest("flaky", absl::StrCat("echo life of $HOSTNAME; ", kIdle)));
  ASSERT_TRUE(world().AwaitReady("flaky", 1));
  EXPECT_THAT(CtlFails({"logs", "flaky", "--previous"}).err,
              HasSubstr("no earlier replica is kept"));
  const ReplicaInfo victim = world().Ready("flaky").at(0);
  ASSERT_EQ(kill(victim.pid, SIGKILL), 0);
  ASSERT_TRUE(Eventually([&] {
    const auto ready = world().Ready("flaky");
    return ready.size() == 1 && ready[0].uid != victim.uid;
  }));
  EXPECT_EQ(Ctl({"logs", "flaky", "--previous"}).out,
            absl::StrCat("life of ", victim.name, "\n"));
  EXPECT_EQ(Ctl({"logs", "flaky", "--until", "1h"}).out, "");
  Ctl({"delete", "service", "flaky"});
}

}  // namespace
}  // namespace bulwark::e2e
