// Each replica's users are its own; what they write is everybody's.
#include <sys/stat.h>

#include <filesystem>
#include <set>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "tests/e2e/suite.h"

namespace bulwark::e2e {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

constexpr char kSleep[] = "trap \"exit 0\" TERM; while :; do sleep 0.1; done";

class UsersTest : public Suite {
 protected:
  static void SetUpTestSuite() { Open("e2eusers"); }
  static void TearDownTestSuite() { Close(); }

  static void Serve(const std::string& name, const std::string& more,
                    int replicas = 1) {
    ASSERT_TRUE(
        world()
            .Apply(Manifest(name, kSleep,
                            absl::StrCat("replicas: ", replicas, "\n", more)))
            .ok());
    ASSERT_TRUE(world().AwaitReady(name, replicas))
        << world().Ctl({"describe", "service", name}).out;
  }
  // The host's number of root in a replica's containers; 0: the host's own.
  static std::string BaseOf(const ReplicaInfo& replica) {
    const std::string map =
        ReadFile(absl::StrCat("/proc/", replica.pid, "/uid_map"));
    const std::vector<std::string> words =
        absl::StrSplit(map, absl::ByAnyChar(" \n"), absl::SkipEmpty());
    return words.size() == 3 ? words[1] : "?";
  }
  static std::set<std::string> BasesOf(const std::string& service) {
    std::set<std::string> bases;
    for (const ReplicaInfo& replica : world().Ready(service)) {
      bases.insert(BaseOf(replica));
    }
    return bases;
  }
  static std::string Sh(const std::string& service, const std::string& script) {
    const Result result =
        world().Ctl({"exec", service, "--", "sh", "-c", script});
    return result.out + result.err;
  }
};

TEST_F(UsersTest, WhenReplicasRun_NoTwoShareIds) {
  Serve("many", "", 3);
  const std::set<std::string> bases = BasesOf("many");
  EXPECT_EQ(bases.size(), 3u);
  EXPECT_EQ(bases.count("0"), 0u);
  // What a new daemon hands out is none of what runs.
  world().KillDaemon();
  world().StartDaemon();
  Serve("more", "", 2);
  EXPECT_EQ(BasesOf("many"), bases);
  for (const std::string& base : BasesOf("more")) {
    EXPECT_EQ(bases.count(base), 0u) << base;
  }
  EXPECT_EQ(BasesOf("more").size(), 2u);
  Ctl({"delete", "service", "more", "--wait"});
  Ctl({"delete", "service", "many", "--wait"});
}

TEST_F(UsersTest, WhenAUserWritesToAVolume_TheNextRevisionAndTheHostSeeIt) {
  Serve("app", "volumes: [\"data:/data\"]\n");
  EXPECT_EQ(Sh("app",
               "echo one > /data/file; chown 1000:1000 /data/file; "
               "chmod 600 /data/file; touch /data/roots"),
            "");
  // Another revision, as another user.
  Serve("app", "volumes: [\"data:/data\"]\nuser: \"1000\"\n");
  EXPECT_TRUE(Eventually(
      [] { return Sh("app", "id -u; cat /data/file") == "1000\none\n"; },
      absl::Seconds(60)))
      << Sh("app", "id -u; cat /data/file");
  EXPECT_NE(BaseOf(world().Ready("app").front()), "0");
  int found = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(
           world().Path("s/volumes"))) {
    struct stat st = {};
    const std::string name = entry.path().filename();
    if (name != "file" && name != "roots") continue;
    ASSERT_EQ(lstat(entry.path().c_str(), &st), 0);
    EXPECT_EQ(st.st_uid, name == "file" ? 1000u : 0u) << entry.path();
    ++found;
  }
  EXPECT_EQ(found, 2);
  Ctl({"delete", "service", "app", "--wait"});
  Ctl({"volume", "delete", "data", "--wait"});
}

TEST_F(UsersTest, WhenRunning_TheNetworkIsItsOwn) {
  Serve("net", "");
  EXPECT_EQ(Sh("net",
               "nc -l -p 80 </dev/null >/dev/null & sleep 0.2; "
               "nc 127.0.0.1 80 </dev/null && echo low port"),
            "low port\n");
  EXPECT_THAT(Sh("net", "ls /sys/class/net"), HasSubstr("eth0"));
  Ctl({"delete", "service", "net", "--wait"});
}

TEST_F(UsersTest, WhenHostUsersAreWanted_TheyAreGiven) {
  Serve("host", "hostUsers: true\n");
  EXPECT_EQ(BaseOf(world().Ready("host").front()), "0");
  EXPECT_THAT(Sh("host", "grep CapEff /proc/self/status"),
              HasSubstr("00000000000005fb"));
  Serve("host", "profile: privileged\n");
  EXPECT_EQ(BaseOf(world().Ready("host").front()), "0");
  Ctl({"delete", "service", "host", "--wait"});
}

TEST_F(UsersTest, WhenRestricted_OnlyOthersThanRootRun) {
  Serve("tight", "profile: restricted\nuser: \"1000\"\n");
  EXPECT_THAT(
      Sh("tight", "grep CapBnd /proc/self/status; touch /x"),
      ::testing::AllOf(HasSubstr("0000000000000000"), HasSubstr("Read-only")));
  Ctl({"delete", "service", "tight", "--wait"});
  ASSERT_TRUE(
      world().Apply(Manifest("root", kSleep, "profile: restricted\n")).ok());
  EXPECT_TRUE(Eventually(
      [] {
        return world().Ctl({"why", "root"}).out.find("profile restricted") !=
               std::string::npos;
      },
      absl::Seconds(60)))
      << world().Ctl({"why", "root"}).out;
  Ctl({"delete", "service", "root", "--wait"});
}

// As on a host that cannot do it.
TEST_F(UsersTest, WhenSwitchedOff_OldReplicasKeepTheirsAndItIsSaid) {
  Serve("kept", "");
  const std::string base = BaseOf(world().Ready("kept").front());
  world().StopDaemon();
  world().StartDaemon({"--id-base=0"});
  EXPECT_EQ(BaseOf(world().Ready("kept").front()), base);
  EXPECT_NE(base, "0");
  Serve("late", "");
  EXPECT_EQ(BaseOf(world().Ready("late").front()), "0");
  EXPECT_THAT(world().Ctl({"doctor"}).out, HasSubstr("--id-base is 0"));
  world().StopDaemon();
  world().StartDaemon();
  EXPECT_THAT(world().Ctl({"doctor"}).out, Not(HasSubstr("--id-base is 0")));
  Ctl({"delete", "service", "kept", "--wait"});
  Ctl({"delete", "service", "late", "--wait"});
}

}  // namespace
}  // namespace bulwark::e2e
