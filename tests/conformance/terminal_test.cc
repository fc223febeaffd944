// config.md: a terminal for the process, and its size; the console socket that
// runtimes' callers rely on.
#include <poll.h>
#include <unistd.h>

#include "base/unique_fd.h"
#include "tests/conformance/suite.h"
#include "tests/conformance/unix_socket.h"

namespace bulwark::conformance {
namespace {

using ::testing::HasSubstr;

class TerminalSuite : public Suite {
 protected:
  // Creates and starts the container, with the terminal at `terminal_`.
  void Open(const std::string& script) {
    UnixListener server(scratch() + "/console");
    bundle().process()["terminal"] = true;
    bundle().Script(script);
    ASSERT_THAT(container().Create({"--console-socket", server.path()}),
                Succeeds());
    std::vector<UniqueFd> fds;
    server.ReceiveAll(&fds);
    ASSERT_EQ(fds.size(), 1u);
    terminal_ = std::move(fds[0]);
    ASSERT_TRUE(isatty(terminal_.get()));
    ASSERT_THAT(container().Start(), Succeeds());
  }
  // What is on the terminal, until `text` is.
  std::string ReadUntil(const std::string& text) {
    const absl::Time deadline = WallNow() + absl::Seconds(10);
    while (seen_.find(text) == std::string::npos && WallNow() < deadline) {
      pollfd p = {terminal_.get(), POLLIN, 0};
      if (poll(&p, 1, 100) != 1) continue;
      char buffer[1024];
      const ssize_t n = read(terminal_.get(), buffer, sizeof(buffer));
      if (n <= 0) break;
      seen_.append(buffer, n);
    }
    return seen_;
  }

  UniqueFd terminal_;
  std::string seen_;
};

CONFORMANCE_SUITE_OF(TerminalTest, TerminalSuite);

TEST_P(TerminalTest, WhenWanted_ThenEveryStreamIsOne) {
  Open("test -t 0 && test -t 1 && test -t 2 && tty; echo end");
  EXPECT_THAT(ReadUntil("end"), HasSubstr("/dev/pts/"));
}

TEST_P(TerminalTest, WhenWanted_ThenItIsTheControllingOneAndTheConsole) {
  Open(
      "echo through-tty > /dev/tty; echo through-console > /dev/console;"
      "grep -c ' /dev/console ' /proc/self/mountinfo; echo end");
  const std::string seen = ReadUntil("end");
  EXPECT_THAT(seen, HasSubstr("through-tty"));
  EXPECT_THAT(seen, HasSubstr("through-console"));
  EXPECT_THAT(seen, HasSubstr("1\r\nend"));
}

TEST_P(TerminalTest, WhenWrittenTo_ThenTheProgramReadsIt) {
  Open("echo ready; read line; echo got $line; echo end");
  ReadUntil("ready");
  ASSERT_EQ(write(terminal_.get(), "typed\n", 6), 6);
  EXPECT_THAT(ReadUntil("end"), HasSubstr("got typed"));
}

TEST_P(TerminalTest, WhenItHasASize_ThenTheProgramSeesIt) {
  bundle().process()["consoleSize"] = {{"height", 33}, {"width", 111}};
  Open("probe winsize; echo end");
  EXPECT_THAT(ReadUntil("end"), HasSubstr("33 111"));
}

TEST_P(TerminalTest, WhenAUserHasIt_ThenItIsTheUsers) {
  bundle().process()["user"] = {{"uid", 1000}, {"gid", 1000}};
  Open("stat -c 'owner %u' $(tty); echo end");
  EXPECT_THAT(ReadUntil("end"), HasSubstr("owner 1000"));
}

TEST_P(TerminalTest, WhenNotWanted_ThenASizeIsIgnored) {
  bundle().process()["terminal"] = false;
  bundle().process()["consoleSize"] = {{"height", 33}, {"width", 111}};
  EXPECT_THAT(container().RunScript("test -t 0 || echo none; ls /dev/console "
                                    "2>/dev/null; tty"),
              ::testing::ResultOf([](const Outcome& o) { return o.out; },
                                  HasSubstr("none")));
}

TEST_P(TerminalTest, WhenNobodyTakesIt_ThenCreateFails) {
  bundle().process()["terminal"] = true;
  EXPECT_THAT(container().Create({"--console-socket", scratch() + "/nobody"}),
              IsRefused());
  EXPECT_EQ(container().State(), Json::object());
}

}  // namespace
}  // namespace bulwark::conformance
