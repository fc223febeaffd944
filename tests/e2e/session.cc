#include "tests/e2e/session.h"

#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include <atomic>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/check.h"

namespace bulwark::e2e {
namespace {

std::string FreshName(const World& world) {
  static std::atomic<int> count{0};
  return world.Path(absl::StrCat("session", ++count));
}

std::vector<std::string> Redirected(const World& world,
                                    const std::vector<std::string>& arguments,
                                    const std::string& err) {
  std::vector<std::string> argv = {"sh", "-c", "exec \"$@\" 2>\"$0\"", err};
  for (std::string& word : CtlCommand(world, arguments)) {
    argv.push_back(std::move(word));
  }
  return argv;
}

}  // namespace

std::vector<std::string> CtlCommand(const World& world,
                                    const std::vector<std::string>& arguments) {
  std::vector<std::string> argv = {world.bin("ctl"), "--socket",
                                   "unix://" + world.Path("r/bulwarkd.sock")};
  argv.insert(argv.end(), arguments.begin(), arguments.end());
  return argv;
}

Session::Session(const World& world, const std::vector<std::string>& arguments)
    : out_(FreshName(world)),
      err_(out_ + ".err"),
      program_(Redirected(world, arguments, err_), out_) {}

bool Session::AwaitOut(const std::string& text, absl::Duration timeout) {
  return Eventually([&] { return absl::StrContains(Out(), text); }, timeout);
}

bool Session::AwaitErr(const std::string& text, absl::Duration timeout) {
  return Eventually([&] { return absl::StrContains(Err(), text); }, timeout);
}

std::string Session::ToString() const {
  return absl::StrCat("stdout: ", Out(), "\nstderr: ", Err());
}

Terminal::Terminal(const std::vector<std::string>& argv, int rows,
                   int columns) {
  std::vector<char*> pointers;
  for (const std::string& arg : argv) {
    pointers.push_back(const_cast<char*>(arg.c_str()));
  }
  pointers.push_back(nullptr);
  winsize size{};
  size.ws_row = static_cast<unsigned short>(rows);
  size.ws_col = static_cast<unsigned short>(columns);
  int fd = -1;
  pid_ = forkpty(&fd, nullptr, nullptr, &size);
  if (pid_ == 0) {
    execv(pointers[0], pointers.data());
    _exit(127);
  }
  CHECK(pid_ > 0);
  fd_.Reset(fd);
  CHECK(fcntl(fd, F_SETFD, FD_CLOEXEC) == 0);
}

Terminal::~Terminal() {
  if (pid_ < 0) return;
  kill(pid_, SIGKILL);
  waitpid(pid_, nullptr, 0);
}

void Terminal::Type(const std::string& text) {
  CHECK(write(fd_.get(), text.data(), text.size()) ==
        static_cast<ssize_t>(text.size()));
}

void Terminal::Resize(int rows, int columns) {
  winsize size{};
  size.ws_row = static_cast<unsigned short>(rows);
  size.ws_col = static_cast<unsigned short>(columns);
  CHECK(ioctl(fd_.get(), TIOCSWINSZ, &size) == 0);
}

bool Terminal::IsRaw() const {
  termios mode{};
  return tcgetattr(fd_.get(), &mode) == 0 && (mode.c_lflag & ICANON) == 0;
}

void Terminal::Read() {
  pollfd p{fd_.get(), POLLIN, 0};
  char buffer[4096];
  while (poll(&p, 1, 20) > 0) {
    const ssize_t n = read(fd_.get(), buffer, sizeof(buffer));
    if (n <= 0) return;  // EIO is the end
    screen_.append(buffer, n);
  }
}

bool Terminal::Await(const std::string& text, absl::Duration timeout) {
  return Eventually(
      [&] {
        Read();
        const size_t at = screen_.find(text, seen_);
        if (at == std::string::npos) return false;
        seen_ = at + text.size();
        return true;
      },
      timeout);
}

int Terminal::Wait(absl::Duration timeout) {
  int status = 0;
  const bool ended = Eventually(
      [&] {
        Read();
        return waitpid(pid_, &status, WNOHANG) == pid_;
      },
      timeout);
  if (!ended) return -1;
  Read();
  pid_ = -1;
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

}  // namespace bulwark::e2e
