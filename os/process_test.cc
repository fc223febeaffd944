#include "os/process.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <string>

#include "base/testing/status_matchers.h"
#include "os/files.h"

namespace bulwark::os {
namespace {

using ::bulwark::testing::IsOkAndHolds;
using ::bulwark::testing::StatusIs;

absl::StatusOr<Spawned> Shell(const std::string& script,
                              std::vector<std::pair<int, int>> fds = {}) {
  UniqueFd shell(open("/bin/sh", O_RDONLY | O_CLOEXEC));
  SpawnOptions options;
  options.executable = shell.get();
  options.args = {"sh", "-c", script};
  options.fds = std::move(fds);
  return Spawn(options);
}

TEST(ProcessTest, WhenNameHoldsParentheses_StartTimeIsStillFound) {
  EXPECT_THAT(
      ParseStartTicks("12 (a) b) (c) S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 "
                      "17 18 4242 20"),
      IsOkAndHolds(4242u));
  EXPECT_THAT(ParseStartTicks("12 (a) S 1"),
              StatusIs(absl::StatusCode::kDataLoss));
}

TEST(ProcessTest, WhenStartTimeDiffers_ProcessIsNotFound) {
  ASSERT_OK_AND_ASSIGN(const uint64_t ticks, ReadStartTicks(getpid()));
  EXPECT_OK(OpenPidfd({getpid(), ticks}));
  EXPECT_THAT(OpenPidfd({getpid(), ticks + 1}),
              StatusIs(absl::StatusCode::kNotFound));
}

TEST(ProcessTest, WhenSpawned_HasTheGivenDescriptorsAndNullStreams) {
  int pipe_fds[2];
  ASSERT_EQ(pipe2(pipe_fds, O_CLOEXEC), 0);
  UniqueFd reader(pipe_fds[0]), writer(pipe_fds[1]);
  // The source's own number is another target's: the order must not matter.
  ASSERT_OK_AND_ASSIGN(Spawned child,
                       Shell("readlink /proc/self/fd/0 >&7; echo end >&7",
                             {{writer.get(), 7}, {reader.get(), 8}}));
  writer.Reset();
  EXPECT_TRUE(AwaitEnd(child.pidfd.get(), absl::Seconds(10)));
  char text[64] = {};
  EXPECT_GT(read(reader.get(), text, sizeof(text) - 1), 0);
  EXPECT_STREQ(text, "/dev/null\nend\n");
  ReapChild(child.pidfd.get());
  EXPECT_EQ(waitpid(child.pid, nullptr, WNOHANG), -1);
}

TEST(ProcessTest, WhenProgramDoesNotExecute_LeavesNoChild) {
  UniqueFd text(open("/proc/self/status", O_RDONLY | O_CLOEXEC));
  SpawnOptions options;
  options.executable = text.get();
  options.args = {"broken"};
  EXPECT_FALSE(Spawn(options).ok());
  EXPECT_EQ(waitpid(-1, nullptr, WNOHANG), -1);
}

TEST(ProcessTest, WhenSignalled_Ends) {
  ASSERT_OK_AND_ASSIGN(Spawned child, Shell("exec sleep 100"));
  EXPECT_OK(SendSignal(child.pidfd.get(), SIGKILL));
  EXPECT_TRUE(AwaitEnd(child.pidfd.get(), absl::Seconds(10)));
  ReapChild(child.pidfd.get());
  EXPECT_THAT(SendSignal(child.pidfd.get(), SIGKILL),
              StatusIs(absl::StatusCode::kNotFound));
}

TEST(ProcessTest, WhenSealed_NobodyCanWrite) {
  ASSERT_OK_AND_ASSIGN(UniqueFd fd, SealedBytes("test", "abc"));
  EXPECT_THAT(ReadFd(fd.get(), "test", 100), IsOkAndHolds("abc"));
  EXPECT_EQ(write(fd.get(), "x", 1), -1);
}

}  // namespace
}  // namespace bulwark::os
