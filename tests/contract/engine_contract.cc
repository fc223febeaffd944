#include "tests/contract/engine_contract.h"

#include <signal.h>
#include <unistd.h>

#include <thread>

#include "absl/synchronization/mutex.h"
#include "base/testing/status_matchers.h"

namespace bulwark::engine {

using ::bulwark::testing::IsOkAndHolds;
using ::bulwark::testing::StatusIs;
using ::testing::HasSubstr;

namespace {

constexpr absl::Duration kLong = absl::Seconds(20);

std::string ReadAll(int fd) {
  std::string text;
  char buffer[4096];
  for (ssize_t n; (n = read(fd, buffer, sizeof(buffer))) > 0;) {
    text.append(buffer, static_cast<size_t>(n));
  }
  return text;
}

}  // namespace

void EngineContractTest::SetUp() {
  harness_ = GetParam().make();
  ASSERT_OK(engine().Recover([](absl::string_view) {}));
}

void EngineContractTest::TearDown() {
  for (const ContainerInfo& info : engine().List()) {
    EXPECT_OK(engine().Kill(info.id));
    EXPECT_OK(engine().Remove(info.id));
  }
  harness_.reset();
}

ContainerInfo EngineContractTest::AwaitExit(const std::string& id) {
  RealClock clock;
  const absl::Duration deadline = clock.Steady() + kLong;
  for (;;) {
    absl::StatusOr<ContainerInfo> info = engine().Inspect(id);
    EXPECT_OK(info);
    if (!info.ok() || info->state == ContainerState::kExited ||
        clock.Steady() > deadline) {
      return info.value_or(ContainerInfo());
    }
    clock.Sleep(absl::Milliseconds(2));
  }
}

TEST_P(EngineContractTest, WhenStarted_IsRunningWithItsLabels) {
  ContainerSpec spec = harness_->Obedient("a");
  spec.labels = {{"service", "web"}, {"empty", ""}};
  ASSERT_OK_AND_ASSIGN(ContainerInfo info, engine().Start(spec));
  EXPECT_EQ(info.id, "a");
  EXPECT_EQ(info.state, ContainerState::kRunning);
  EXPECT_EQ(info.labels, spec.labels);
  EXPECT_GT(info.pid, 0);
  EXPECT_GT(info.start_ticks, 0u);
  ASSERT_OK_AND_ASSIGN(ContainerInfo seen, engine().Inspect("a"));
  EXPECT_EQ(seen.pid, info.pid);
  EXPECT_EQ(engine().List().size(), 1u);
  ASSERT_OK_AND_ASSIGN(ContainerStats stats, engine().Stats("a"));
  EXPECT_GE(stats.pids, 1);
}

TEST_P(EngineContractTest, WhenUpdated_HasTheNewLimitsAndRunsOn) {
  ContainerSpec spec = harness_->Obedient("a");
  spec.resources = {500, 100, 64 << 20, 100};
  ASSERT_OK_AND_ASSIGN(const ContainerInfo first, engine().Start(spec));
  EXPECT_EQ(first.resources, spec.resources);
  const Resources more = {1000, 200, 128 << 20, 200};
  ASSERT_OK(engine().Update("a", more));
  const Resources less = {200, 50, 32 << 20, 50};
  ASSERT_OK(engine().Update("a", less));
  ASSERT_OK(engine().Update("a", less));
  ASSERT_OK_AND_ASSIGN(ContainerInfo seen, engine().Inspect("a"));
  EXPECT_EQ(seen.resources, less);
  EXPECT_EQ(seen.pid, first.pid);
  EXPECT_EQ(seen.state, ContainerState::kRunning);
  // Whoever takes it over knows them.
  harness_->Reopen();
  ASSERT_OK(engine().Recover([](absl::string_view) {}));
  ASSERT_OK_AND_ASSIGN(seen, engine().Inspect("a"));
  EXPECT_EQ(seen.resources, less);
  ASSERT_OK(engine().Update("a", {}));
}

TEST_P(EngineContractTest, WhenMoreMemoryIsUsed_UpdateIsRefusedAndKillsNone) {
  ContainerSpec spec = harness_->Obedient("a");
  spec.resources.memory_limit_bytes = 256 << 20;
  ASSERT_OK(engine().Start(spec));
  // More than is asked for below: what is no memory of the process's own, such
  // as pages of files, may go meanwhile.
  harness_->UseMemory("a", 49 << 20);
  Resources less;
  less.cpu_limit_millicores = 100;
  less.memory_limit_bytes = 16 << 20;
  EXPECT_THAT(engine().Update("a", less),
              StatusIs(absl::StatusCode::kFailedPrecondition));
  ASSERT_OK_AND_ASSIGN(ContainerInfo seen, engine().Inspect("a"));
  EXPECT_EQ(seen.state, ContainerState::kRunning);
  EXPECT_EQ(seen.resources, spec.resources);
  ASSERT_OK_AND_ASSIGN(const ContainerStats stats, engine().Stats("a"));
  EXPECT_EQ(stats.oom_kills, 0);
  EXPECT_GE(stats.memory_bytes, 48 << 20);
  less.memory_limit_bytes = 128 << 20;
  EXPECT_OK(engine().Update("a", less));
}

TEST_P(EngineContractTest, WhenExitedOrUnknown_UpdateIsRefused) {
  EXPECT_THAT(engine().Update("a", {}), StatusIs(absl::StatusCode::kNotFound));
  ASSERT_OK(engine().Start(harness_->Obedient("a")));
  harness_->MakeExit("a", 0);
  AwaitExit("a");
  EXPECT_THAT(engine().Update("a", {}),
              StatusIs(absl::StatusCode::kFailedPrecondition));
}

TEST_P(EngineContractTest, WhenStarted_StatsTellItsLimits) {
  ContainerSpec spec = harness_->Obedient("a");
  spec.resources.cpu_limit_millicores = 500;
  spec.resources.memory_limit_bytes = 64 << 20;
  ASSERT_OK(engine().Start(spec));
  ASSERT_OK_AND_ASSIGN(ContainerStats stats, engine().Stats("a"));
  EXPECT_EQ(stats.cpu_limit_millicores, 500);
  EXPECT_EQ(stats.memory_limit_bytes, 64 << 20);
  EXPECT_GE(stats.cpu_usage, absl::ZeroDuration());
  EXPECT_LE(stats.memory_bytes, stats.memory_limit_bytes);
}

TEST_P(EngineContractTest, WhenStartedAgain_IsTheSameContainer) {
  ASSERT_OK_AND_ASSIGN(ContainerInfo first,
                       engine().Start(harness_->Obedient("a")));
  ASSERT_OK_AND_ASSIGN(ContainerInfo second,
                       engine().Start(harness_->Obedient("a")));
  EXPECT_EQ(first.pid, second.pid);
  EXPECT_EQ(engine().List().size(), 1u);
}

TEST_P(EngineContractTest, WhenStartedByManyAtOnce_OneContainerRuns) {
  std::vector<std::thread> threads;
  absl::Mutex mu;
  std::set<int> pids;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&] {
      absl::StatusOr<ContainerInfo> info =
          engine().Start(harness_->Obedient("a"));
      EXPECT_OK(info);
      absl::MutexLock lock(&mu);
      if (info.ok()) pids.insert(info->pid);
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(pids.size(), 1u);
}

TEST_P(EngineContractTest, WhenCommandDoesNotExist_SaysSoAndLeavesNothing) {
  EXPECT_THAT(engine().Start(harness_->Broken("a")),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("/no/such/command")));
  EXPECT_THAT(engine().Inspect("a"), StatusIs(absl::StatusCode::kNotFound));
  EXPECT_TRUE(engine().List().empty());
  // The id is free again.
  EXPECT_OK(engine().Start(harness_->Obedient("a")));
}

TEST_P(EngineContractTest, WhenThereIsSomethingToAwait_ItIsAwaitedOnce) {
  int awaited = 0;
  ContainerSpec spec = harness_->Obedient("a");
  spec.await_program = [&] {
    ++awaited;
    return absl::OkStatus();
  };
  ASSERT_OK_AND_ASSIGN(const ContainerInfo first, engine().Start(spec));
  EXPECT_EQ(awaited, 1);
  EXPECT_EQ(first.state, ContainerState::kRunning);
  // It is there: nobody has to wait for it.
  ASSERT_OK_AND_ASSIGN(const ContainerInfo second, engine().Start(spec));
  EXPECT_EQ(second.pid, first.pid);
  EXPECT_EQ(awaited, 1);
  harness_->MakeExit("a", 7);
  EXPECT_EQ(AwaitExit("a").exit.code, 7);
}

TEST_P(EngineContractTest, WhenTheAwaitFails_SaysSoAndLeavesNothing) {
  ContainerSpec spec = harness_->Obedient("a");
  spec.await_program = [] { return absl::AbortedError("no program"); };
  EXPECT_THAT(engine().Start(spec),
              StatusIs(absl::StatusCode::kAborted, HasSubstr("no program")));
  EXPECT_THAT(engine().Inspect("a"), StatusIs(absl::StatusCode::kNotFound));
  EXPECT_TRUE(engine().List().empty());
  EXPECT_OK(engine().Start(harness_->Obedient("a")));
}

TEST_P(EngineContractTest, WhenIdIsBad_IsInvalid) {
  for (const char* id : {"", "../a", "A", ".a", "a b"}) {
    ContainerSpec spec = harness_->Obedient("a");
    spec.id = id;
    EXPECT_THAT(engine().Start(spec),
                StatusIs(absl::StatusCode::kInvalidArgument))
        << id;
  }
}

TEST_P(EngineContractTest, WhenIdIsUnknown_IsNotFound) {
  const auto not_found = StatusIs(absl::StatusCode::kNotFound);
  EXPECT_THAT(engine().Signal("a", SIGTERM), not_found);
  EXPECT_THAT(engine().Kill("a"), not_found);
  EXPECT_THAT(engine().Inspect("a"), not_found);
  EXPECT_THAT(engine().Stats("a"), not_found);
  EXPECT_THAT(engine().Exec("a", harness_->Printing("x", 0)), not_found);
  EXPECT_THAT(engine().Logs("a", {}), not_found);
  EXPECT_OK(engine().Remove("a"));
}

TEST_P(EngineContractTest, WhenItExits_TellsTheCodeAndNotifies) {
  absl::Mutex mu;
  std::vector<std::string> events;
  ASSERT_OK(engine().Recover([&](absl::string_view id) {
    absl::MutexLock lock(&mu);
    events.emplace_back(id);
  }));
  ASSERT_OK(engine().Start(harness_->Obedient("a")));
  harness_->MakeExit("a", 42);
  const ContainerInfo info = AwaitExit("a");
  EXPECT_EQ(info.state, ContainerState::kExited);
  EXPECT_EQ(info.exit.code, 42);
  EXPECT_EQ(info.exit.signal, 0);
  EXPECT_FALSE(info.exit.oom_killed);
  EXPECT_EQ(info.exit.unknown_reason, "");
  EXPECT_GE(info.exit.finish_time, info.start_time);
  {
    absl::MutexLock lock(&mu);
    const auto told = [&] { return !events.empty(); };
    EXPECT_TRUE(mu.AwaitWithTimeout(absl::Condition(&told), kLong));
    EXPECT_EQ(events[0], "a");
  }
  // The sink's objects die before the engine does.
  ASSERT_OK(engine().Remove("a"));
  harness_->Reopen();
}

TEST_P(EngineContractTest, WhenKilledByASignal_TellsWhich) {
  ASSERT_OK(engine().Start(harness_->Obedient("a")));
  ASSERT_OK(engine().Signal("a", SIGKILL));
  const ContainerInfo info = AwaitExit("a");
  EXPECT_EQ(info.exit.signal, SIGKILL);
  EXPECT_EQ(info.exit.code, 137);
  EXPECT_FALSE(info.exit.oom_killed);
  EXPECT_THAT(engine().Signal("a", SIGTERM),
              StatusIs(absl::StatusCode::kFailedPrecondition));
  EXPECT_THAT(engine().Exec("a", harness_->Printing("x", 0)),
              StatusIs(absl::StatusCode::kFailedPrecondition));
}

TEST_P(EngineContractTest, WhenSignalIsNone_IsInvalid) {
  ASSERT_OK(engine().Start(harness_->Obedient("a")));
  for (const int signal : {0, -1, 65}) {
    EXPECT_THAT(engine().Signal("a", signal),
                StatusIs(absl::StatusCode::kInvalidArgument));
  }
}

TEST_P(EngineContractTest, WhenKilled_HasExitedOnReturn) {
  ASSERT_OK(engine().Start(harness_->Obedient("a")));
  EXPECT_OK(engine().Kill("a"));
  ASSERT_OK_AND_ASSIGN(ContainerInfo info, engine().Inspect("a"));
  EXPECT_EQ(info.state, ContainerState::kExited);
  EXPECT_EQ(info.exit.code, 137);
  EXPECT_OK(engine().Kill("a"));
}

TEST_P(EngineContractTest, WhenRemoved_IsForgottenAndItsIdIsFree) {
  ASSERT_OK_AND_ASSIGN(ContainerInfo first,
                       engine().Start(harness_->Obedient("a")));
  EXPECT_THAT(engine().Remove("a"),
              StatusIs(absl::StatusCode::kFailedPrecondition));
  ASSERT_OK(engine().Kill("a"));
  EXPECT_OK(engine().Remove("a"));
  EXPECT_THAT(engine().Inspect("a"), StatusIs(absl::StatusCode::kNotFound));
  EXPECT_OK(engine().Remove("a"));
  ASSERT_OK_AND_ASSIGN(ContainerInfo second,
                       engine().Start(harness_->Obedient("a")));
  EXPECT_NE(first.pid, second.pid);
}

TEST_P(EngineContractTest, WhenReopened_ContainersRunOn) {
  ContainerSpec spec = harness_->Obedient("a");
  spec.labels = {{"k", "v"}};
  ASSERT_OK_AND_ASSIGN(ContainerInfo before, engine().Start(spec));
  harness_->Reopen();
  ASSERT_OK(engine().Recover([](absl::string_view) {}));
  ASSERT_OK_AND_ASSIGN(ContainerInfo after, engine().Inspect("a"));
  EXPECT_EQ(after.state, ContainerState::kRunning);
  EXPECT_EQ(after.pid, before.pid);
  EXPECT_EQ(after.start_ticks, before.start_ticks);
  EXPECT_EQ(after.start_time, before.start_time);
  EXPECT_EQ(after.labels, spec.labels);
  ASSERT_OK_AND_ASSIGN(ContainerInfo again, engine().Start(spec));
  EXPECT_EQ(again.pid, before.pid);
  harness_->MakeExit("a", 3);
  EXPECT_EQ(AwaitExit("a").exit.code, 3);

  harness_->Reopen();
  ASSERT_OK(engine().Recover([](absl::string_view) {}));
  ASSERT_OK_AND_ASSIGN(ContainerInfo exited, engine().Inspect("a"));
  EXPECT_EQ(exited.state, ContainerState::kExited);
  EXPECT_EQ(exited.exit.code, 3);
  EXPECT_EQ(exited.start_time, before.start_time);
}

TEST_P(EngineContractTest, WhenExecEnds_TellsItsOutputAndCode) {
  ASSERT_OK(engine().Start(harness_->Obedient("a")));
  ASSERT_OK_AND_ASSIGN(std::unique_ptr<ExecSession> session,
                       engine().Exec("a", harness_->Printing("hello", 7)));
  EXPECT_EQ(ReadAll(session->output()), "hello\n");
  EXPECT_EQ(ReadAll(session->error()), "");
  EXPECT_THAT(session->WaitFor(kLong), IsOkAndHolds(7));
  EXPECT_THAT(session->Wait(), IsOkAndHolds(7));
  EXPECT_THAT(session->Resize(24, 80),
              StatusIs(absl::StatusCode::kFailedPrecondition));
}

TEST_P(EngineContractTest, WhenLogIsRead_HasWhatWasPrinted) {
  ASSERT_OK(engine().Start(harness_->Obedient("a")));
  for (const char* line : {"one", "two", "three"}) {
    harness_->MakePrint("a", line);
  }
  harness_->MakeExit("a", 0);
  AwaitExit("a");
  ASSERT_OK_AND_ASSIGN(auto reader, engine().Logs("a", {}));
  for (const char* line : {"one", "two", "three"}) {
    ASSERT_OK_AND_ASSIGN(LogEntry entry, reader->Next(kLong));
    EXPECT_EQ(entry.line, line);
    EXPECT_FALSE(entry.is_stderr);
    EXPECT_FALSE(entry.partial);
  }
  EXPECT_THAT(reader->Next(kLong), StatusIs(absl::StatusCode::kOutOfRange));

  LogOptions last;
  last.tail = 1;
  last.follow = true;
  ASSERT_OK_AND_ASSIGN(reader, engine().Logs("a", last));
  ASSERT_OK_AND_ASSIGN(LogEntry entry, reader->Next(kLong));
  EXPECT_EQ(entry.line, "three");
  EXPECT_THAT(reader->Next(kLong), StatusIs(absl::StatusCode::kOutOfRange));
  last.tail = 0;
  ASSERT_OK_AND_ASSIGN(reader, engine().Logs("a", last));
  EXPECT_THAT(reader->Next(kLong), StatusIs(absl::StatusCode::kOutOfRange));
  LogOptions late;
  late.since = harness_->clock().Now() + absl::Hours(1);
  ASSERT_OK_AND_ASSIGN(reader, engine().Logs("a", late));
  EXPECT_THAT(reader->Next(kLong), StatusIs(absl::StatusCode::kOutOfRange));
}

TEST_P(EngineContractTest, WhenLogHasAnEnd_NothingAfterItIsRead) {
  ASSERT_OK(engine().Start(harness_->Obedient("a")));
  harness_->MakePrint("a", "one");
  LogOptions options;
  options.follow = true;
  ASSERT_OK_AND_ASSIGN(auto reader, engine().Logs("a", options));
  ASSERT_OK_AND_ASSIGN(LogEntry entry, reader->Next(kLong));
  options.until = entry.time;
  ASSERT_OK_AND_ASSIGN(reader, engine().Logs("a", options));
  EXPECT_THAT(reader->Next(kLong), StatusIs(absl::StatusCode::kOutOfRange));
  options.follow = false;
  options.until = entry.time + absl::Nanoseconds(1);
  options.tail = 1;
  ASSERT_OK_AND_ASSIGN(reader, engine().Logs("a", options));
  ASSERT_OK_AND_ASSIGN(entry, reader->Next(kLong));
  EXPECT_EQ(entry.line, "one");
  EXPECT_THAT(reader->Next(kLong), StatusIs(absl::StatusCode::kOutOfRange));
}

TEST_P(EngineContractTest, WhenDriverKeepsNothing_LogsSayWhy) {
  ContainerSpec spec = harness_->Obedient("a");
  ASSERT_OK_AND_ASSIGN(ContainerInfo info, engine().Start(spec));
  EXPECT_NE(info.log_path, "");
  spec.id = "b";
  spec.log.driver = LogDriver::kNone;
  ASSERT_OK_AND_ASSIGN(info, engine().Start(spec));
  EXPECT_EQ(info.log_path, "");
  EXPECT_THAT(engine().Logs("b", {}),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       HasSubstr("log driver is none")));
}

TEST_P(EngineContractTest, WhenLogIsFollowed_WaitsForMoreUntilTheExit) {
  ASSERT_OK(engine().Start(harness_->Obedient("a")));
  LogOptions options;
  options.follow = true;
  ASSERT_OK_AND_ASSIGN(auto reader, engine().Logs("a", options));
  EXPECT_THAT(reader->Next(absl::Milliseconds(20)),
              StatusIs(absl::StatusCode::kDeadlineExceeded));
  harness_->MakePrint("a", "late");
  ASSERT_OK_AND_ASSIGN(LogEntry entry, reader->Next(kLong));
  EXPECT_EQ(entry.line, "late");
  harness_->MakeExit("a", 0);
  EXPECT_THAT(reader->Next(kLong), StatusIs(absl::StatusCode::kOutOfRange));
}

TEST_P(EngineContractTest, WhenReaderIsCancelled_NextReturns) {
  ASSERT_OK(engine().Start(harness_->Obedient("a")));
  LogOptions options;
  options.follow = true;
  ASSERT_OK_AND_ASSIGN(auto reader, engine().Logs("a", options));
  std::thread canceller([&] { reader->Cancel(); });
  EXPECT_THAT(reader->Next(kLong), StatusIs(absl::StatusCode::kCancelled));
  canceller.join();
  EXPECT_THAT(reader->Next(kLong), StatusIs(absl::StatusCode::kCancelled));
}

}  // namespace bulwark::engine
