#include "ctl/terminal.h"

#include <gtest/gtest.h>
#include <pty.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include <csignal>

#include "base/unique_fd.h"

namespace bulwark::ctl {
namespace {

class HiddenInputTest : public ::testing::Test {
 protected:
  void SetUp() override {
    int ours = -1, theirs = -1;
    ASSERT_EQ(openpty(&ours, &theirs, nullptr, nullptr, nullptr), 0);
    user_.Reset(ours);
    terminal_.Reset(theirs);
    ASSERT_TRUE(Echoes());
  }

  bool Echoes() {
    termios now{};
    EXPECT_EQ(tcgetattr(terminal_.get(), &now), 0);
    return (now.c_lflag & ECHO) != 0;
  }

  UniqueFd user_, terminal_;
};

TEST_F(HiddenInputTest, WhileItIsThere_NothingIsShown) {
  {
    const HiddenInput hidden(terminal_.get());
    EXPECT_FALSE(Echoes());
  }
  EXPECT_TRUE(Echoes());
}

TEST_F(HiddenInputTest, WhenASignalEndsTheProcess_TheTerminalShowsAgain) {
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) {
    const pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      const HiddenInput hidden(terminal_.get());
      if (Echoes()) _exit(1);
      kill(getpid(), signal);
      _exit(2);
    }
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == signal) << status;
    EXPECT_TRUE(Echoes()) << signal;
  }
}

TEST_F(HiddenInputTest, WhenASignalIsIgnored_ItStaysSo) {
  const auto before = std::signal(SIGHUP, SIG_IGN);
  {
    const HiddenInput hidden(terminal_.get());
    kill(getpid(), SIGHUP);
    EXPECT_FALSE(Echoes());
  }
  EXPECT_EQ(std::signal(SIGHUP, before), SIG_IGN);
}

TEST_F(HiddenInputTest, WhenThereIsNoTerminal_DoesNothing) {
  int fds[2];
  ASSERT_EQ(pipe(fds), 0);
  const UniqueFd read(fds[0]), write(fds[1]);
  const HiddenInput hidden(fds[0]);
  EXPECT_EQ(std::signal(SIGINT, SIG_DFL), SIG_DFL);
}

}  // namespace
}  // namespace bulwark::ctl
