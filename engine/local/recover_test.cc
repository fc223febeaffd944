// Shims that end while the next daemon looks at them, or cannot be asked. Needs
// root and busybox-static.
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <functional>
#include <string>
#include <utility>

#include "base/testing/await.h"
#include "base/testing/fake_clock.h"
#include "base/testing/status_matchers.h"
#include "engine/local/record.h"
#include "engine/local/testing/asked_shim.h"
#include "engine/local/testing/local_world.h"
#include "os/process.h"

namespace bulwark::engine {
namespace {

using ::bulwark::testing::Await;
using ::bulwark::testing::FakeClock;
using testing::IsAsked;
using testing::LocalWorld;

const EventSink kNoSink = [](absl::string_view) {};
constexpr absl::Duration kLong = absl::Seconds(20);
// How long all shims together are waited for, and one that is late.
constexpr absl::Duration kBudget = absl::Seconds(2);

// Stands still but for sleeps and for what a test does whenever the time is
// read. For one container: it has one reader at a time.
class HookedClock final : public FakeClock {
 public:
  explicit HookedClock(std::function<void()> hook) : hook_(std::move(hook)) {}

  absl::Duration Steady() override {
    hook_();
    return FakeClock::Steady();
  }

 private:
  const std::function<void()> hook_;
};

class RecoverTest : public ::testing::Test {
 protected:
  // Has "a" print something.
  void Start() {
    ASSERT_OK(world_.engine().Start(world_.Obedient("a")));
    world_.Command("a", "say ran");
    ASSERT_TRUE(Await([&] { return world_.Output("a") == "ran\n"; }));
    ASSERT_OK_AND_ASSIGN(state_, ReadState({world_ / "run/containers/a", ""}));
    ASSERT_OK_AND_ASSIGN(shim_, os::OpenPidfd(state_.shim));
  }
  void StopShim() { ASSERT_OK(os::SendSignal(shim_.get(), SIGSTOP)); }
  void EndShim(int signal) {
    EXPECT_OK(os::SendSignal(shim_.get(), signal));
    EXPECT_TRUE(os::AwaitEnd(shim_.get(), kLong));
  }
  // The next daemon, to which each look at the clock costs `look`. The shim,
  // which is stopped, gets the signal that ends it once it is asked, and the
  // time for its answer is over by then.
  void RecoverWhileItEnds(int signal, absl::Duration look) {
    world_.Close();
    bool asked = false;
    HookedClock clock([&] {
      clock.Advance(look);
      if (asked || !IsAsked(state_.shim.pid)) return;
      asked = true;
      EndShim(signal);
      clock.Advance(kBudget);
    });
    Recover(clock);
    EXPECT_TRUE(asked);
  }
  void Recover(Clock& clock) {
    world_.Close();
    auto engine = LocalEngine::Create(world_.config(), clock);
    ASSERT_OK(engine);
    ASSERT_OK((*engine)->Recover(kNoSink));
  }
  // As the daemon after that one finds it.
  void ExpectEnded(int code, const std::string& unknown_reason) {
    world_.Reopen();
    ASSERT_OK(world_.engine().Recover(kNoSink));
    ASSERT_OK_AND_ASSIGN(const ContainerInfo info,
                         world_.engine().Inspect("a"));
    EXPECT_EQ(info.state, ContainerState::kExited);
    EXPECT_EQ(info.exit.code, code);
    EXPECT_EQ(info.exit.unknown_reason, unknown_reason);
    EXPECT_EQ(world_.Output("a"), "ran\n");
  }

  LocalWorld world_;
  StateRecord state_;
  UniqueFd shim_;
};

// The second looks for the last time at once.
class EndingShimTest : public RecoverTest,
                       public ::testing::WithParamInterface<absl::Duration> {};
INSTANTIATE_TEST_SUITE_P(Looks, EndingShimTest,
                         ::testing::Values(absl::ZeroDuration(), kBudget),
                         [](const auto& info) {
                           return info.param == kBudget ? "Slow" : "Quick";
                         });

TEST_P(EndingShimTest, WhenItEndsAsItsTimeIsOver_ItsEndIsKnown) {
  Start();
  ASSERT_FALSE(HasFatalFailure());
  ASSERT_OK_AND_ASSIGN(const UniqueFd init, os::OpenPidfd(state_.init));
  StopShim();
  world_.Command("a", "exit 7");
  ASSERT_TRUE(os::AwaitEnd(init.get(), kLong));
  RecoverWhileItEnds(SIGCONT, GetParam());
  ExpectEnded(7, "");
}

TEST_P(EndingShimTest, WhenItIsKilledAsItsTimeIsOver_WhatItWroteStays) {
  Start();
  ASSERT_FALSE(HasFatalFailure());
  StopShim();
  RecoverWhileItEnds(SIGKILL, GetParam());
  ExpectEnded(255, "its shim was killed");
}

TEST_F(RecoverTest, WhenTheTimeForAllIsOver_WhoCannotBeAskedIsHardlyWaitedFor) {
  Start();
  ASSERT_FALSE(HasFatalFailure());
  ASSERT_EQ(unlink((world_ / "run/containers/a/control.sock").c_str()), 0);
  int looks = 0;
  HookedClock clock([&] {
    // After the first, which says when the time is over.
    if (++looks == 2) clock.Advance(kBudget);
  });
  const absl::Time begin = clock.Now();
  Recover(clock);
  EXPECT_GT(looks, 2);
  EXPECT_GE(clock.Now() - begin, kBudget);
  EXPECT_LE(clock.Now() - begin, kBudget + absl::Milliseconds(10));
  world_.Reopen();
  ASSERT_OK(world_.engine().Recover(kNoSink));
  EXPECT_EQ(world_.RunShell("a", "echo alive"), "alive\n");
}

}  // namespace
}  // namespace bulwark::engine
