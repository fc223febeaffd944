// The daemon dies at random moments under a stream of changes. Every change
// that it acknowledged is there afterwards, every container runs once, what was
// not touched never restarts, and nothing is left in the kernel.
//
// KILLS sets how often it dies in each history (default 10), SEED the moments.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <cstdlib>
#include <filesystem>
#include <memory>
#include <set>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "base/entropy.h"
#include "tests/e2e/world.h"
#include "tests/fault/history.h"

namespace bulwark::fault {
namespace {

using ::testing::AnyOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr char kPowerCutDaemon[] = "tests/fault/power_cut_daemon";
constexpr int kAnchorSeconds = 7319999;
// From the start of the daemon to its end; it serves after about 50 ms, so that
// some ends fall into its start.
constexpr absl::Duration kLongestLife = absl::Milliseconds(900);

int FromEnvironment(const char* name, int otherwise) {
  const char* text = std::getenv(name);
  int value = otherwise;
  if (text != nullptr && absl::SimpleAtoi(text, &value)) return value;
  return otherwise;
}

std::string Lines(const std::vector<std::string>& lines) {
  return absl::StrJoin(lines, "\n");
}

class DaemonKillTest : public ::testing::Test {
 protected:
  // A world with one service that nobody touches, "anchor".
  void Open(const std::string& name) {
    OpenWith(std::make_unique<e2e::World>(name));
  }
  // The same, with a store that forgets what was not synced on SIGUSR2.
  void OpenForPowerCuts(const std::string& name, bool sync = true) {
    auto world = std::make_unique<e2e::World>(name, kPowerCutDaemon);
    std::filesystem::create_directory(world->Path("attic"));
    world->Set("POWER_CUT_ATTIC", world->Path("attic"));
    if (!sync) world->Set("POWER_CUT_NO_SYNC", "1");
    OpenWith(std::move(world));
  }
  void OpenWith(std::unique_ptr<e2e::World> world) {
    world_ = std::move(world);
    world_->StartRegistry();
    image_ = world_->PushBusybox("1");
    world_->StartDaemon();
    ASSERT_TRUE(
        world_
            ->Apply(absl::StrCat("kind: Service\nname: anchor\nimage: ", image_,
                                 "\ncommand: ", Serving(kAnchorSeconds),
                                 "\nreplicas: 2\nports: [\"20999:80\"]\n"))
            .ok());
    ASSERT_TRUE(world_->AwaitReady("anchor", 2)) << world_->DaemonLog();
    // Ready a moment before the last step to what runs from then on.
    e2e::Eventually([this] { return Anchors().size() == 2; });
    anchors_ = Anchors();
    ASSERT_THAT(anchors_, SizeIs(2));
  }

  std::set<int> Anchors() const {
    std::set<int> pids;
    for (const Sleeper& s : Sleepers(world_->name())) {
      if (s.seconds == kAnchorSeconds) pids.insert(s.pid);
    }
    return pids;
  }

  // Ends the daemon `kills` times with `signal`, `history` going on, until
  // `enough` says so.
  void Kill(History& history, int kills, int signal, uint64_t seed) {
    SeededEntropy entropy(seed);
    for (int i = 0; i < kills; ++i) {
      // Half of the ends may fall into the start. The other half have something
      // to lose, on a slow machine, too.
      const int acknowledged = history.acknowledged();
      if (entropy.Next() % 2 == 0) {
        e2e::Eventually([&] { return history.acknowledged() > acknowledged; });
      }
      e2e::Pause(entropy.Fraction() * kLongestLife);
      ASSERT_TRUE(world_->daemon_alive()) << "it ended by itself\n"
                                          << world_->DaemonLog();
      End(signal, entropy);
      history.CheckNoDoubles();
      EXPECT_EQ(Anchors(), anchors_) << "after end " << i;
      world_->LaunchDaemon();
      if (HasFailure()) return;
    }
    world_->AwaitDaemon();
  }

  void End(int signal, Entropy& entropy) {
    world_->Set("POWER_CUT_SEED", absl::StrCat(entropy.Next()));
    world_->EndDaemon(signal);
  }

  // What the end of a history must look like.
  void Check(History& history, const std::string& before) {
    history.Stop();
    history.CheckDeclared();
    history.CheckRunning();
    history.CheckNoDoubles();
    EXPECT_EQ(Anchors(), anchors_);
    history.DeleteAll();
    history.CheckRunning();
    EXPECT_THAT(history.violations(), IsEmpty()) << Lines(history.violations());
    EXPECT_GT(history.acknowledged(), 0);
    EXPECT_GT(history.looks(), 0);
    printf("%d changes acknowledged, %d unknown, %d looks\n",
           history.acknowledged(), history.unknown(), history.looks());
    // What was deleted is taken down behind the answers, unless the daemon is
    // stopped before: then the next one does it.
    e2e::Eventually([&] { return TakenDown(before); });
    world_->StopDaemon();
    EXPECT_EQ(world_->Leaked(before), "");
    if (HasFailure()) fprintf(stderr, "%s\n", world_->DaemonLog().c_str());
    world_->Teardown();
    EXPECT_EQ(world_->Leaked(""), "");
  }

  // Whether the containers that are there are those of `before`.
  bool TakenDown(const std::string& before) {
    for (absl::string_view line : absl::StrSplit(world_->LeakReport(), '\n')) {
      const bool of_container = absl::StrContains(line, R"("kind":"cgroup")") ||
                                absl::StrContains(line, R"("kind":"netns")");
      if (of_container && !absl::StrContains(before, line)) return false;
    }
    return true;
  }

  // What is in the kernel with the anchor alone. The daemon itself would be a
  // difference: it is stopped for the moment.
  std::string Before() {
    world_->StopDaemon();
    std::string before = world_->LeakReport();
    world_->StartDaemon();
    return before;
  }

  std::unique_ptr<e2e::World> world_;
  std::string image_;
  std::set<int> anchors_;
};

TEST_F(DaemonKillTest, WhenKilled_NothingIsLostOrDoubledOrLeaked) {
  const uint64_t seed = FromEnvironment("SEED", 1);
  Open("kill9");
  const std::string before = Before();
  History history(*world_, image_, seed);
  history.Start();
  Kill(history, FromEnvironment("KILLS", 10), SIGKILL, seed);
  Check(history, before);
}

TEST_F(DaemonKillTest, WhenThePowerOfTheStoreIsCut_NothingIsLostEither) {
  const uint64_t seed = FromEnvironment("SEED", 1);
  OpenForPowerCuts("cut");
  const std::string before = Before();
  History history(*world_, image_, seed + 1);
  history.Start();
  Kill(history, FromEnvironment("KILLS", 10), SIGUSR2, seed + 1);
  Check(history, before);
}

// The proof that the history above can find a loss: without fsync it must.
TEST_F(DaemonKillTest, WhenSyncIsTakenAway_TheHistoryFindsALoss) {
  const uint64_t seed = FromEnvironment("SEED", 1);
  OpenForPowerCuts("nosync", /*sync=*/false);
  History history(*world_, image_, seed + 2);
  history.Start();
  SeededEntropy entropy(seed + 2);
  for (int i = 0; i < 40 && history.violations().empty(); ++i) {
    // Time for changes, so that there is something to lose.
    const int acknowledged = history.acknowledged();
    ASSERT_TRUE(e2e::Eventually([&] {
      return history.acknowledged() > acknowledged + 2 ||
             !world_->daemon_alive();
    }));
    if (!world_->daemon_alive()) {
      // So much is lost that bulwarkd itself has found it.
      EXPECT_THAT(world_->DaemonLog(),
                  AnyOf(HasSubstr("Was the store lost?"),
                        HasSubstr("acknowledged commits from revision")));
      history.Stop();
      return;
    }
    End(SIGUSR2, entropy);
    world_->LaunchDaemon();
  }
  world_->AwaitDaemon();
  history.Stop();
  history.CheckDeclared();
  EXPECT_FALSE(history.violations().empty());
  printf("found: %s\n", Lines(history.violations()).c_str());
}

}  // namespace
}  // namespace bulwark::fault

int main(int argc, char** argv) {
  ::testing::InitGoogleTest(&argc, argv);
  if (std::string why = bulwark::e2e::EnterPrivateNamespaces(); !why.empty()) {
    printf("cannot run: %s\n", why.c_str());
    return 1;
  }
  return RUN_ALL_TESTS();
}
