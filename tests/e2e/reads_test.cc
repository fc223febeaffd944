// Who got which version of a secret is in the audit log, whatever dies.
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "tests/e2e/suite.h"

namespace bulwark::e2e {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;

constexpr char kSleep[] = "exec sleep 100000";

class ReadsTest : public Suite {
 protected:
  static void SetUpTestSuite() { Open("e2eread"); }
  static void TearDownTestSuite() { Close(); }

  // Lines of the log about containers that got this secret.
  static std::vector<std::string> Reads(const std::string& secret) {
    std::vector<std::string> lines;
    const std::string log =
        world().Ctl({"audit", "--object", "secret/" + secret}).out;
    for (absl::string_view line : absl::StrSplit(log, '\n')) {
      if (absl::StrContains(line, " got ")) lines.emplace_back(line);
    }
    return lines;
  }
  static bool Await(const std::function<bool()>& condition) {
    return Eventually(condition, absl::Seconds(60));
  }
  static std::string KeyFile() { return world().Path("s.key"); }
  // What doctor says of the key file.
  static std::string Doctor() {
    for (absl::string_view line :
         absl::StrSplit(world().Ctl({"doctor"}).out, '\n')) {
      if (absl::StrContains(line, "key-file")) return std::string(line);
    }
    return "";
  }
};

TEST_F(ReadsTest, WhenContainersStart_EachIsNamedWithWhatItGot) {
  Ctl({"secret", "create", "token", "-"}, "hunter2");
  Ctl({"config", "create", "app", "-"}, "x");
  ASSERT_TRUE(world()
                  .Apply(Manifest("reads", kSleep,
                                  "replicas: 2\nsecrets: [token]\n"
                                  "configs: [\"app:/run/configs/app\"]\n"))
                  .ok());
  ASSERT_TRUE(world().AwaitReady("reads", 2));
  std::vector<std::string> lines = Reads("token");
  EXPECT_THAT(lines, SizeIs(2));
  for (const ReplicaInfo& r : world().Ready("reads")) {
    const std::string got = absl::StrCat("container reads of replica ", r.name,
                                         " got token version 1");
    EXPECT_EQ(std::count_if(lines.begin(), lines.end(),
                            [&](const std::string& line) {
                              return absl::StrContains(line, got) &&
                                     absl::StrContains(line, "system") &&
                                     absl::StrContains(line, "service/reads");
                            }),
              1)
        << got << " in " << Ctl({"audit"}).out;
  }
  // What runs got nothing anew.
  world().KillDaemon();
  world().StartDaemon();
  ASSERT_TRUE(world().AwaitReady("reads", 2));
  EXPECT_THAT(Reads("token"), SizeIs(2));
  // The one that heals did, and so do those of the next version.
  ASSERT_EQ(kill(world().Ready("reads").at(0).pid, SIGKILL), 0);
  EXPECT_TRUE(Await([] { return Reads("token").size() == 3; }));
  Ctl({"secret", "set", "token", "-"}, "hunter3");
  EXPECT_TRUE(Await([] {
    const std::vector<std::string> all = Reads("token");
    return std::count_if(all.begin(), all.end(), [](const std::string& line) {
             return absl::StrContains(line, "token version 2");
           }) == 2;
  })) << Ctl({"audit"}).out;
  EXPECT_THAT(Ctl({"audit"}).out,
              AllOf(Not(HasSubstr("hunter")), Not(HasSubstr(" got app"))));
  EXPECT_THAT(Ctl({"audit", "verify"}).out, HasSubstr("all in place"));
  Ctl({"delete", "service", "reads", "--wait"});
  Ctl({"secret", "delete", "token"});
  Ctl({"config", "delete", "app"});
}

TEST_F(ReadsTest, WhenFilesAreSwapped_ThatIsOnRecordToo) {
  Ctl({"secret", "create", "swap", "-"}, "one");
  world().Apply(
      Manifest("swaps", kSleep, "secrets: [swap]\nonChange: {action: swap}\n"));
  ASSERT_TRUE(world().AwaitReady("swaps", 1));
  const int pid = world().Ready("swaps").at(0).pid;
  Ctl({"secret", "set", "swap", "-"}, "two");
  EXPECT_TRUE(Await([] {
    return world()
               .Ctl({"exec", "swaps", "--", "cat", "/run/secrets/swap"})
               .out == "two";
  }));
  EXPECT_EQ(world().Ready("swaps").at(0).pid, pid);
  const std::vector<std::string> lines = Reads("swap");
  ASSERT_THAT(lines, SizeIs(2));
  EXPECT_THAT(lines[0], HasSubstr("got swap version 1"));
  EXPECT_THAT(lines[1], HasSubstr("got swap version 2"));
  Ctl({"delete", "service", "swaps", "--wait"});
  Ctl({"secret", "delete", "swap"});
}

// Each kill may come between the record and the start: one too many is on
// record then, never one too few.
TEST_F(ReadsTest, WhenTheDaemonDiesAsContainersStart_NoneIsMissing) {
  Ctl({"secret", "create", "often", "-"}, "x");
  world().Apply(Manifest("often", kSleep, "secrets: [often]\n"));
  ASSERT_TRUE(world().AwaitReady("often", 1));
  for (int i = 2; i <= 6; ++i) {
    Ctl({"scale", "often", absl::StrCat(i)});
    Pause(absl::Milliseconds(40 * i));
    world().KillDaemon();
    world().StartDaemon();
    ASSERT_TRUE(world().AwaitReady("often", i));
  }
  const std::vector<std::string> lines = Reads("often");
  for (const ReplicaInfo& r : world().Ready("often")) {
    EXPECT_TRUE(std::any_of(lines.begin(), lines.end(),
                            [&](const std::string& line) {
                              return absl::StrContains(line, r.name + " got ");
                            }))
        << r.name;
  }
  EXPECT_THAT(Ctl({"audit", "verify"}).out, HasSubstr("all in place"));
  Ctl({"delete", "service", "often", "--wait"});
  Ctl({"secret", "delete", "often"});
}

TEST_F(ReadsTest, WhenTheKeyFileIsWrong_DoctorSaysSo) {
  EXPECT_THAT(Doctor(), HasSubstr("is root's alone"));
  ASSERT_EQ(chmod(KeyFile().c_str(), 0644), 0);
  EXPECT_THAT(Doctor(), HasSubstr("has mode 0644"));
  EXPECT_THAT(world().Ctl({"doctor"}).out, HasSubstr("chmod 0400 "));
  ASSERT_EQ(chmod(KeyFile().c_str(), 0400), 0);
  std::filesystem::rename(KeyFile(), KeyFile() + ".away");
  EXPECT_THAT(Doctor(), HasSubstr("No such file or directory"));
  std::filesystem::rename(KeyFile() + ".away", world().Path("s/key"));
  std::filesystem::create_symlink(world().Path("s/key"), KeyFile());
  EXPECT_THAT(Doctor(), HasSubstr("lies in " + world().Path("s")));
  std::filesystem::remove(KeyFile());
  std::filesystem::rename(world().Path("s/key"), KeyFile());
  EXPECT_THAT(Doctor(), HasSubstr("is root's alone"));
}

TEST_F(ReadsTest, TheNodeTellsTheKeyThatClientsSealTo) {
  EXPECT_TRUE(Await([] {
    return absl::StrContains(
        world().Ctl({"get", "node", "local", "-o", "json"}).out,
        "\"publicKey\"");
  })) << Ctl({"get", "node", "local", "-o", "json"}).out;
}

}  // namespace
}  // namespace bulwark::e2e
