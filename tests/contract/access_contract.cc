// What every engine::ContainerAccess must do.
#include <poll.h>
#include <signal.h>

#include "base/testing/status_matchers.h"
#include "tests/contract/engine_contract.h"

namespace bulwark::engine {
namespace {

using ::bulwark::testing::StatusIs;

constexpr absl::Duration kLong = absl::Seconds(20);

// Output until it ends with `text`; all that came if it never does.
std::string ReadUntil(AttachSession& session, const std::string& text) {
  RealClock clock;
  const absl::Duration deadline = clock.Steady() + kLong;
  std::string all;
  while (clock.Steady() < deadline) {
    absl::StatusOr<std::vector<AttachChunk>> chunks = session.Read();
    if (!chunks.ok()) break;
    for (const AttachChunk& chunk : *chunks) all += chunk.data;
    if (all.size() >= text.size() &&
        all.compare(all.size() - text.size(), text.size(), text) == 0) {
      break;
    }
    pollfd fd = {session.fd(), POLLIN, 0};
    poll(&fd, 1, 100);
  }
  return all;
}

absl::Status ReadToEnd(AttachSession& session) {
  RealClock clock;
  const absl::Duration deadline = clock.Steady() + kLong;
  while (clock.Steady() < deadline) {
    absl::StatusOr<std::vector<AttachChunk>> chunks = session.Read();
    if (!chunks.ok()) return chunks.status();
    pollfd fd = {session.fd(), POLLIN, 0};
    poll(&fd, 1, 100);
  }
  return absl::DeadlineExceededError("it does not end");
}

}  // namespace

TEST_P(EngineContractTest, WhenAttached_InputAndOutputFlow) {
  ASSERT_OK(engine().Start(harness_->Echoing("a")));
  AttachOptions options;
  options.input = true;
  ASSERT_OK_AND_ASSIGN(auto session, access().Attach("a", options));
  EXPECT_FALSE(session->terminal());
  EXPECT_TRUE(session->has_input());
  ASSERT_OK_AND_ASSIGN(const size_t taken, session->Write("hello\n"));
  EXPECT_EQ(taken, 6u);
  EXPECT_EQ(ReadUntil(*session, "hello\n"), "hello\n");
  EXPECT_THAT(session->Resize(24, 80),
              StatusIs(absl::StatusCode::kFailedPrecondition));

  // Others see what was put out before them only if they ask.
  options.replay = true;
  ASSERT_OK_AND_ASSIGN(auto second, access().Attach("a", options));
  EXPECT_EQ(ReadUntil(*second, "hello\n"), "hello\n");
  ASSERT_OK_AND_ASSIGN(auto third, access().Attach("a", {}));
  ASSERT_OK(second->Write("more\n").status());
  EXPECT_EQ(ReadUntil(*session, "more\n"), "more\n");
  EXPECT_EQ(ReadUntil(*third, "more\n"), "more\n");
  session.reset();
  ASSERT_OK(second->Write("last\n").status());
  EXPECT_EQ(ReadUntil(*third, "last\n"), "last\n");
  ASSERT_OK(engine().Kill("a"));
  EXPECT_THAT(ReadToEnd(*third), StatusIs(absl::StatusCode::kOutOfRange));
  EXPECT_THAT(access().Attach("a", options),
              StatusIs(absl::StatusCode::kFailedPrecondition));
}

TEST_P(EngineContractTest, WhenReopened_AttachesAgainWithWhatWasKept) {
  ASSERT_OK(engine().Start(harness_->Echoing("a")));
  AttachOptions options;
  options.input = true;
  options.replay = true;
  ASSERT_OK_AND_ASSIGN(auto session, access().Attach("a", options));
  ASSERT_OK(session->Write("one\n").status());
  EXPECT_EQ(ReadUntil(*session, "one\n"), "one\n");
  session.reset();
  harness_->Reopen();
  ASSERT_OK(engine().Recover([](absl::string_view) {}));
  ASSERT_OK_AND_ASSIGN(session, access().Attach("a", options));
  EXPECT_EQ(ReadUntil(*session, "one\n"), "one\n");
}

TEST_P(EngineContractTest, WhenPaused_StaysSoUntilUnpausedOrEnded) {
  ASSERT_OK(engine().Start(harness_->Obedient("a")));
  ASSERT_OK(access().SetPaused("a", true));
  ASSERT_OK(access().SetPaused("a", true));
  EXPECT_TRUE(engine().Inspect("a")->paused);
  EXPECT_THAT(engine().Exec("a", harness_->Printing("x", 0)),
              StatusIs(absl::StatusCode::kFailedPrecondition));
  harness_->Reopen();
  ASSERT_OK(engine().Recover([](absl::string_view) {}));
  EXPECT_TRUE(engine().Inspect("a")->paused);
  ASSERT_OK(access().SetPaused("a", false));
  EXPECT_FALSE(engine().Inspect("a")->paused);
  EXPECT_OK(engine().Exec("a", harness_->Printing("x", 0)).status());
  ASSERT_OK(access().SetPaused("a", true));
  ASSERT_OK(engine().Kill("a"));
  EXPECT_FALSE(engine().Inspect("a")->paused);
  EXPECT_THAT(access().SetPaused("a", true),
              StatusIs(absl::StatusCode::kFailedPrecondition));
  EXPECT_THAT(access().SetPaused("b", true),
              StatusIs(absl::StatusCode::kNotFound));
}

TEST_P(EngineContractTest, WhenHeldStill_GoesOnOnceNobodyHoldsIt) {
  ASSERT_OK(engine().Start(harness_->Obedient("a")));
  ASSERT_OK_AND_ASSIGN(auto one, access().HoldStill("a"));
  ASSERT_OK_AND_ASSIGN(auto other, access().HoldStill("a"));
  EXPECT_TRUE(engine().Inspect("a")->paused);
  EXPECT_THAT(engine().Exec("a", harness_->Printing("x", 0)),
              StatusIs(absl::StatusCode::kFailedPrecondition));
  ASSERT_OK(one->End());
  ASSERT_OK(one->End());
  one.reset();
  EXPECT_TRUE(engine().Inspect("a")->paused);
  // Who pauses it meanwhile, or ends that, changes what comes after.
  ASSERT_OK(access().SetPaused("a", true));
  ASSERT_OK(access().SetPaused("a", false));
  EXPECT_TRUE(engine().Inspect("a")->paused);
  other.reset();
  EXPECT_FALSE(engine().Inspect("a")->paused);
  EXPECT_OK(engine().Exec("a", harness_->Printing("x", 0)).status());

  ASSERT_OK_AND_ASSIGN(one, access().HoldStill("a"));
  ASSERT_OK(access().SetPaused("a", true));
  ASSERT_OK(one->End());
  EXPECT_TRUE(engine().Inspect("a")->paused);
  ASSERT_OK_AND_ASSIGN(one, access().HoldStill("a"));
  ASSERT_OK(one->End());
  EXPECT_TRUE(engine().Inspect("a")->paused);

  ASSERT_OK_AND_ASSIGN(one, access().HoldStill("a"));
  ASSERT_OK(engine().Kill("a"));
  EXPECT_FALSE(engine().Inspect("a")->paused);
  EXPECT_OK(one->End());
  EXPECT_THAT(access().HoldStill("a"),
              StatusIs(absl::StatusCode::kFailedPrecondition));
  EXPECT_THAT(access().HoldStill("b"), StatusIs(absl::StatusCode::kNotFound));
}

TEST_P(EngineContractTest, WhenWhoHoldsItDies_OnlyAPauseStays) {
  for (const char* id : {"held", "paused", "both", "later"}) {
    ASSERT_OK(engine().Start(harness_->Obedient(id)));
  }
  ASSERT_OK(access().SetPaused("paused", true));
  ASSERT_OK(access().SetPaused("both", true));
  // Never destroyed: nobody is left who could.
  for (const char* id : {"held", "both", "later"}) {
    ASSERT_OK_AND_ASSIGN(auto still, access().HoldStill(id));
    [[maybe_unused]] Standstill* lost = still.release();
  }
  ASSERT_OK(access().SetPaused("later", true));
  harness_->Reopen();
  ASSERT_OK(engine().Recover([](absl::string_view) {}));
  EXPECT_FALSE(engine().Inspect("held")->paused);
  EXPECT_OK(engine().Exec("held", harness_->Printing("x", 0)).status());
  for (const char* id : {"paused", "both", "later"}) {
    EXPECT_TRUE(engine().Inspect(id)->paused) << id;
    EXPECT_THAT(engine().Exec(id, harness_->Printing("x", 0)),
                StatusIs(absl::StatusCode::kFailedPrecondition));
    ASSERT_OK(access().SetPaused(id, false));
    EXPECT_OK(engine().Exec(id, harness_->Printing("x", 0)).status());
  }
}

TEST_P(EngineContractTest, WhenPaused_ASignalLetsItGoOn) {
  ASSERT_OK(engine().Start(harness_->Echoing("a")));
  ASSERT_OK(access().SetPaused("a", true));
  ASSERT_OK(engine().Signal("a", SIGKILL));
  EXPECT_EQ(AwaitExit("a").exit.signal, SIGKILL);
}

TEST_P(EngineContractTest, WhenProcessesAreListed_TheFirstIsFirst) {
  EXPECT_THAT(access().Processes("a"), StatusIs(absl::StatusCode::kNotFound));
  ASSERT_OK_AND_ASSIGN(const ContainerInfo info,
                       engine().Start(harness_->Obedient("a")));
  ASSERT_OK_AND_ASSIGN(const std::vector<ContainerProcess> processes,
                       access().Processes("a"));
  ASSERT_FALSE(processes.empty());
  EXPECT_EQ(processes[0].pid, info.pid);
  EXPECT_EQ(processes[0].container_pid, 1);
  EXPECT_EQ(processes[0].uid, 0u);
  EXPECT_EQ(processes[0].user, "root");
  EXPECT_FALSE(processes[0].command.empty());
  ASSERT_OK(engine().Kill("a"));
  EXPECT_THAT(access().Processes("a"),
              StatusIs(absl::StatusCode::kFailedPrecondition));
}

}  // namespace bulwark::engine
