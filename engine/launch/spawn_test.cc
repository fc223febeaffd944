#include "engine/launch/spawn.h"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <memory>
#include <string>

#include "gtest/gtest.h"

namespace bulwark::engine {
namespace {

class SpawnTest : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_EQ(pipe2(pipe_, O_CLOEXEC), 0);
    spawn_.reset(new BackgroundSpawn);
    spawn_->args = args_;
    spawn_->env = env_;
    spawn_->fds = fds_;
    spawn_->fd_count = 2;
    fds_[0] = {pipe_[1], 1};
    fds_[1] = {pipe_[0], pipe_[1]};
  }
  void TearDown() override {
    close(pipe_[0]);
    if (spawn_->pidfd >= 0) close(spawn_->pidfd);
  }

  // Its exit status, or 1000 + signal.
  int Reap() {
    int status = 0;
    EXPECT_EQ(waitpid(spawn_->pid, &status, 0), spawn_->pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
  }
  std::string ReadAll() {
    std::string text;
    char buffer[64];
    for (ssize_t n; (n = read(pipe_[0], buffer, sizeof(buffer))) > 0;) {
      text.append(buffer, static_cast<size_t>(n));
    }
    return text;
  }

  std::string shell_ = "/bin/sh", flag_ = "-c", script_ = "echo $WORD; exit 7";
  std::string word_ = "WORD=it-runs";
  char* args_[4] = {shell_.data(), flag_.data(), script_.data(), nullptr};
  char* env_[2] = {word_.data(), nullptr};
  PassedFd fds_[2];
  int pipe_[2] = {-1, -1};
  std::unique_ptr<BackgroundSpawn> spawn_;
};

TEST_F(SpawnTest, WhenStarted_ThenItRunsWithWhatItWasGiven) {
  spawn_->program = open("/bin/sh", O_RDONLY | O_CLOEXEC);
  ASSERT_GE(spawn_->program, 0);
  ASSERT_EQ(BeginSpawn(spawn_.get()), 0);
  // It has copies of its own.
  close(spawn_->program);
  close(pipe_[1]);
  EXPECT_EQ(AwaitSpawn(spawn_.get()), 0);
  EXPECT_EQ(ReadAll(), "it-runs\n");
  EXPECT_EQ(Reap(), 7);
}

TEST_F(SpawnTest, WhenItCannotExecute_ThenTheErrorIsToldAndErrnoKept) {
  spawn_->program = open("/etc/passwd", O_RDONLY | O_CLOEXEC);
  ASSERT_GE(spawn_->program, 0);
  errno = ENOTTY;
  ASSERT_EQ(BeginSpawn(spawn_.get()), 0);
  EXPECT_EQ(AwaitSpawn(spawn_.get()), -EACCES);
  EXPECT_EQ(errno, ENOTTY);
  EXPECT_EQ(AwaitSpawn(spawn_.get()), -EACCES);  // again
  EXPECT_EQ(Reap(), 127);
  close(spawn_->program);
  close(pipe_[1]);
}

TEST_F(SpawnTest, WhenItIsKilledBeforeItExecutes_ThenNobodyWaitsForEver) {
  spawn_->program = open("/bin/sh", O_RDONLY | O_CLOEXEC);
  ASSERT_GE(spawn_->program, 0);
  ASSERT_EQ(BeginSpawn(spawn_.get()), 0);
  kill(spawn_->pid, SIGKILL);
  AwaitSpawn(spawn_.get());  // whichever was first
  close(spawn_->program);
  close(pipe_[1]);
  Reap();
}

TEST_F(SpawnTest, WhenADescriptorIsNotOpen_ThenTheErrorSaysSo) {
  spawn_->program = open("/bin/sh", O_RDONLY | O_CLOEXEC);
  ASSERT_GE(spawn_->program, 0);
  fds_[0].from = 777;
  ASSERT_EQ(BeginSpawn(spawn_.get()), 0);
  EXPECT_EQ(AwaitSpawn(spawn_.get()), -EBADF);
  Reap();
  close(spawn_->program);
  close(pipe_[1]);
}

}  // namespace
}  // namespace bulwark::engine
