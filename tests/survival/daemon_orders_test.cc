// kill -9 of shims and of bulwarkd itself, in every order, with a service on
// it: as many replicas as declared run afterwards, each once, and nothing else
// is left of them in the kernel.
//
// ROUNDS sets how often (default 3), SEED the moments. Needs root.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <cstdlib>
#include <filesystem>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "base/entropy.h"
#include "engine/local/record.h"
#include "tests/e2e/suite.h"
#include "tests/e2e/world.h"

namespace bulwark::e2e {
namespace {

constexpr int kReplicas = 4;
constexpr int kSeconds = 7316001;

int FromEnvironment(const char* name, int otherwise) {
  const char* text = std::getenv(name);
  int value = otherwise;
  if (text != nullptr && absl::SimpleAtoi(text, &value)) return value;
  return otherwise;
}

class DaemonOrdersTest : public Suite {
 protected:
  static void SetUpTestSuite() { Open("survive"); }
  static void TearDownTestSuite() { Close(); }

  void SetUp() override {
    Suite::SetUp();
    Declare(kReplicas);
    ASSERT_TRUE(world().AwaitReady("web", kReplicas)) << world().DaemonLog();
    ExpectConverged(kReplicas);
  }
  void TearDown() override {
    if (!world().daemon_alive()) world().StartDaemon();
    world().Ctl({"delete", "service", "web", "--wait"});
  }

  void Declare(int replicas, const std::string& more = "") {
    ASSERT_TRUE(
        world()
            .Apply(Manifest("web", absl::StrCat("exec sleep ", kSeconds),
                            absl::StrCat("replicas: ", replicas, "\n", more)))
            .ok());
  }
  // The shims that have written down who they are.
  static std::vector<int> Shims() {
    std::vector<int> pids;
    std::error_code error;
    for (const auto& entry : std::filesystem::directory_iterator(
             world().Path("r/containers"), error)) {
      const absl::StatusOr<engine::StateRecord> state =
          engine::ReadState({entry.path().string(), ""});
      if (state.ok()) pids.push_back(state->shim.pid);
    }
    return pids;
  }
  // What the replicas run, whoever knows of it.
  static int Sleepers() {
    const std::string line = absl::StrCat("sleep", std::string(1, '\0'),
                                          kSeconds, std::string(1, '\0'));
    int count = 0;
    std::error_code error;
    for (const auto& entry :
         std::filesystem::directory_iterator("/proc", error)) {
      if (ReadFile(entry.path() / "cmdline") == line) ++count;
    }
    return count;
  }
  void KillSomeShim() {
    const std::vector<int> shims = Shims();
    if (shims.empty()) return;
    kill(shims[entropy_.Next() % shims.size()], SIGKILL);
  }
  void PauseUpTo(absl::Duration most) { Pause(entropy_.Fraction() * most); }
  static void Restart() {
    world().LaunchDaemon();
    world().AwaitDaemon();
  }

  static void ExpectConverged(int replicas) {
    EXPECT_TRUE(Eventually(
        [&] {
          return static_cast<int>(world().Ready("web").size()) == replicas &&
                 Sleepers() == replicas;
        },
        absl::Seconds(60)))
        << world().Ready("web").size() << " ready, " << Sleepers()
        << " run, declared are " << replicas;
    std::set<int> pids;
    for (const ReplicaInfo& replica : world().Ready("web")) {
      EXPECT_TRUE(pids.insert(replica.pid).second) << "doubled";
    }
  }

  const int rounds_ = FromEnvironment("ROUNDS", 3);
  SeededEntropy entropy_{static_cast<uint64_t>(FromEnvironment("SEED", 1))};
};

TEST_F(DaemonOrdersTest, WhenAShimDies_ItsReplicaIsReplaced) {
  for (int i = 0; i < rounds_; ++i) {
    KillSomeShim();
    ExpectConverged(kReplicas);
  }
}

TEST_F(DaemonOrdersTest, WhenTheDaemonDiesAndThenAShim_TheNextOneReplacesIt) {
  for (int i = 0; i < rounds_; ++i) {
    world().KillDaemon();
    PauseUpTo(absl::Milliseconds(20));
    KillSomeShim();
    Restart();
    ExpectConverged(kReplicas);
  }
}

TEST_F(DaemonOrdersTest, WhenAShimDiesAndThenTheDaemon_TheNextOneReplacesIt) {
  for (int i = 0; i < rounds_; ++i) {
    KillSomeShim();
    PauseUpTo(absl::Milliseconds(60));  // into what the daemon does about it
    world().KillDaemon();
    Restart();
    ExpectConverged(kReplicas);
  }
}

TEST_F(DaemonOrdersTest, WhenAllDie_EverythingIsStartedAnew) {
  for (int i = 0; i < rounds_; ++i) {
    const std::vector<int> shims = Shims();
    kill(world().daemon_pid(), SIGKILL);
    for (const int shim : shims) kill(shim, SIGKILL);
    world().EndDaemon(SIGKILL);
    Restart();
    ExpectConverged(kReplicas);
  }
}

TEST_F(DaemonOrdersTest, WhenBothDieInTheMiddleOfLaunches_AllOfThemRunOnce) {
  for (int i = 0; i < rounds_; ++i) {
    Declare(i % 2 == 0 ? 3 * kReplicas : kReplicas);
    PauseUpTo(absl::Milliseconds(150));
    if (entropy_.Next() % 2 == 0) KillSomeShim();
    world().KillDaemon();
    KillSomeShim();
    Restart();
    ExpectConverged(i % 2 == 0 ? 3 * kReplicas : kReplicas);
  }
}

TEST_F(DaemonOrdersTest, WhenBothDieInTheMiddleOfStops_AllOfThemAreGone) {
  for (int i = 0; i < rounds_; ++i) {
    Declare(kReplicas);
    ExpectConverged(kReplicas);
    Declare(1);
    PauseUpTo(absl::Milliseconds(100));
    if (entropy_.Next() % 2 == 0) KillSomeShim();
    world().KillDaemon();
    KillSomeShim();
    Restart();
    ExpectConverged(1);
  }
}

TEST_F(DaemonOrdersTest, WhenAShimHangs_TheOthersAreServedAndItConverges) {
  const std::vector<int> shims = Shims();
  ASSERT_EQ(static_cast<int>(shims.size()), kReplicas);
  ASSERT_EQ(kill(shims.front(), SIGSTOP), 0);
  world().KillDaemon();
  Restart();
  ExpectConverged(kReplicas);
  Declare(1);
  ExpectConverged(1);
}

}  // namespace
}  // namespace bulwark::e2e
