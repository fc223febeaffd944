// The passwords that bulwarkd itself uses: from `ctl login` to the pull of a
// service, and to a backup's repository; and where no copy of them is left.
#include <unistd.h>

#include <algorithm>
#include <set>
#include <string>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "tests/e2e/anchor.h"
#include "tests/e2e/closed_registry.h"
#include "tests/e2e/plaintext_search.h"
#include "tests/e2e/suite.h"

namespace bulwark::e2e {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

constexpr int kPort = 5098;
constexpr char kRepositoryPassword[] = "repository-8b05e6c3d9-password";
constexpr char kStatePassword[] = "state-c47a1f09d2-password";
constexpr char kWrongPassword[] = "wrong-5f2e81ab77-password";

class PasswordsTest : public Suite {
 protected:
  static void SetUpTestSuite() {
    Open("e2epass");
    closed_ = std::make_unique<ClosedRegistry>(world(), kPort);
  }
  static void TearDownTestSuite() {
    closed_.reset();
    Close();
  }

  static Result Login(const std::string& password) {
    return world().Ctl({"login", closed_->address(), "-u",
                        ClosedRegistry::kUser, "--password-stdin"},
                       absl::Seconds(60), password + "\n");
  }
  // A service of an image that only the closed registry gives.
  static void Serve(const std::string& name, const std::string& tag) {
    const std::string image = closed_->Here(world().PushBusybox(tag));
    ASSERT_TRUE(world()
                    .Apply(absl::StrCat(
                        "kind: Service\nname: ", name, "\nimage: ", image,
                        "\ncommand: [sleep, '100000']\n"
                        "resources: {memory: 64Mi}\nstop: {timeout: 1s}\n"
                        "rollout: {minHealthyTime: 100ms}\n"))
                    .ok());
  }
  static void ExpectDenied(const std::string& name) {
    EXPECT_EQ(AwaitCondition(
                  world(), name, "ImageResolved", "FALSE",
                  {"RegistryDenied", "wants a user and password",
                   absl::StrCat("ctl login ", closed_->address(), " -u USER")}),
              "");
    EXPECT_THAT(Describe(world(), name), HasSubstr("RegistryDenied"));
    EXPECT_THAT(world().Ctl({"why", name}).out, HasSubstr("ctl login"));
  }
  static void ExpectReady(const std::string& name) {
    EXPECT_TRUE(world().AwaitReady(name, 1, absl::Seconds(120)))
        << Describe(world(), name);
  }
  // Shims too, which are the parents of what runs.
  static std::set<pid_t> Processes(const std::vector<std::string>& services) {
    std::set<pid_t> found = ProcessesOf(world());
    for (const std::string& service : services) {
      for (const ReplicaInfo& r : world().Ready(service)) {
        found.insert(ParentOf(r.pid));
      }
    }
    return found;
  }

  static std::unique_ptr<ClosedRegistry> closed_;
};

std::unique_ptr<ClosedRegistry> PasswordsTest::closed_;

TEST_F(PasswordsTest, WhenLoggedIn_ServicesPullUntilTheLogout) {
  Serve("before", "b1");
  ExpectDenied("before");
  EXPECT_THAT(Login(kWrongPassword).err,
              HasSubstr("refuses these credentials"));
  // Nothing was kept.
  EXPECT_THAT(world().Ctl({"logout", closed_->address()}).err,
              HasSubstr("nobody is logged in there"));
  EXPECT_THAT(Login(ClosedRegistry::kPassword).out,
              HasSubstr("logged in to " + closed_->address()));
  ExpectReady("before");

  // They outlive the daemon.
  world().StopDaemon();
  world().StartDaemon();
  Serve("during", "d1");
  ExpectReady("during");

  Ctl({"logout", closed_->address()});
  Serve("after", "a1");
  ExpectDenied("after");
  EXPECT_EQ(world().Ready("during").size(), 1u);
  EXPECT_TRUE(Login(ClosedRegistry::kPassword).ok());
  ExpectReady("after");
  Ctl({"logout", closed_->address()});
  Ctl({"delete", "service", "before", "during", "after", "--wait"});
}

TEST_F(PasswordsTest, WhenSearchedFor_NoPasswordIsLeftBehind) {
  const std::string planted = "plant-29cc1d4e08-password";
  Background plant({"sh", "-c", absl::StrCat("x=", planted, "; sleep 1000")},
                   world().Path("plant.log"));
  ASSERT_TRUE(Eventually([&] { return MemoryHolds(plant.pid(), planted); }));

  // The registry's: accepted, refused, for a pull by hand and by a service.
  ASSERT_TRUE(Login(ClosedRegistry::kPassword).ok());
  ASSERT_FALSE(Login(kWrongPassword).ok());
  Serve("holder", "h1");
  ExpectReady("holder");
  Ctl({"pull", "-q", closed_->Here(world().PushBusybox("h2"))});
  // The repository's: a backup, a list, a restore, and a wrong one.
  const std::string repository = world().Path("repository");
  Ctl({"secret", "create", "repo", "-"}, kRepositoryPassword);
  Ctl({"secret", "create", "wrong", "-"}, kWrongPassword);
  world().Apply("kind: Volume\nname: data\n");
  const std::vector<std::string> where = {"--repository", repository,
                                          "--password-secret"};
  const auto volume = [&](const std::string& verb, const std::string& secret) {
    std::vector<std::string> command = {"volume", verb, "data"};
    command.insert(command.end(), where.begin(), where.end());
    command.push_back(secret);
    return world().Ctl(command);
  };
  for (const char* verb : {"backup", "backups", "restore"}) {
    const Result done = volume(verb, "repo");
    EXPECT_TRUE(done.ok()) << done.ToString();
  }
  EXPECT_THAT(volume("backup", "wrong").err,
              HasSubstr("password does not open"));

  // That of a backup of the control state, written and read.
  const std::string state = world().Path("state.backup");
  for (const std::vector<std::string>& command :
       {std::vector<std::string>{"backup", state},
        {"restore", state, "--dry-run", "--replace"}}) {
    std::vector<std::string> all = command;
    all.insert(all.end(), {"--password-file", "-"});
    Ctl(all, absl::StrCat(kStatePassword, "\n"));
  }

  const std::string encoded = absl::Base64Escape(
      absl::StrCat(ClosedRegistry::kUser, ":", ClosedRegistry::kPassword));
  const std::string encoded_wrong = absl::Base64Escape(
      absl::StrCat(ClosedRegistry::kUser, ":", kWrongPassword));
  const std::set<pid_t> processes = Processes({"holder"});
  EXPECT_THAT(processes, Contains(world().daemon_pid()));
  EXPECT_GE(processes.size(), 4u);  // daemon, keeper, proxy, a shim
  // What they do hold is found.
  EXPECT_TRUE(MemoryHolds(world().daemon_pid(), repository));
  for (const std::string& text :
       {std::string(ClosedRegistry::kPassword), encoded, encoded_wrong,
        std::string(kWrongPassword), std::string(kRepositoryPassword),
        std::string(kStatePassword)}) {
    for (const pid_t pid : processes) {
      EXPECT_FALSE(MemoryHolds(pid, text))
          << text << " is in " << pid << " "
          << ReadFile(absl::StrCat("/proc/", pid, "/comm"));
    }
    EXPECT_THAT(FilesThatHold(world().Path("s"), text), IsEmpty());
    EXPECT_THAT(FilesThatHold(world().Path("r"), text), IsEmpty());
    EXPECT_THAT(FilesThatHold(repository, text), IsEmpty());
    EXPECT_THAT(world().DaemonLog(), Not(HasSubstr(text)));
  }
  Ctl({"logout", closed_->address()});
  Ctl({"delete", "service", "holder", "--wait"});
  Ctl({"secret", "delete", "repo", "wrong"});
}

}  // namespace
}  // namespace bulwark::e2e
