#include "ctl/terminal.h"

#include <fcntl.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <csignal>
#include <iterator>

#include "base/check.h"

namespace bulwark::ctl {

RawTerminal::RawTerminal(int fd) : fd_(fd) {
  if (tcgetattr(fd_, &saved_) != 0) return;
  termios raw = saved_;
  cfmakeraw(&raw);
  raw_ = tcsetattr(fd_, TCSADRAIN, &raw) == 0;
}

RawTerminal::~RawTerminal() {
  if (raw_) tcsetattr(fd_, TCSADRAIN, &saved_);
}

namespace {

// What a handler of signals has to put back. Its own thread may be any.
constexpr int kEnding[] = {SIGINT, SIGTERM, SIGQUIT, SIGHUP};
int hidden_fd = -1;
termios hidden_saved;
struct sigaction hidden_actions[std::size(kEnding)];

void ShowAndEnd(int signal) {
  tcsetattr(hidden_fd, TCSANOW, &hidden_saved);
  // As if there had been no handler: whoever waits sees the signal.
  std::signal(signal, SIG_DFL);
  raise(signal);
}

}  // namespace

HiddenInput::HiddenInput(int fd) {
  if (tcgetattr(fd, &hidden_saved) != 0) return;
  hidden_fd = fd;
  hidden_ = true;
  struct sigaction action {};
  action.sa_handler = ShowAndEnd;
  for (size_t i = 0; i < std::size(kEnding); ++i) {
    sigaction(kEnding[i], nullptr, &hidden_actions[i]);
    // What is ignored, or taken by somebody already, stays so.
    if (hidden_actions[i].sa_handler == SIG_DFL) {
      sigaction(kEnding[i], &action, nullptr);
    }
  }
  termios quiet = hidden_saved;
  quiet.c_lflag &= ~static_cast<tcflag_t>(ECHO);
  tcsetattr(fd, TCSAFLUSH, &quiet);
}

HiddenInput::~HiddenInput() {
  if (!hidden_) return;
  tcsetattr(hidden_fd, TCSAFLUSH, &hidden_saved);
  for (size_t i = 0; i < std::size(kEnding); ++i) {
    sigaction(kEnding[i], &hidden_actions[i], nullptr);
  }
}

SignalPoll::SignalPoll(std::initializer_list<int> signals) {
  sigset_t set;
  sigemptyset(&set);
  for (int signal : signals) sigaddset(&set, signal);
  pthread_sigmask(SIG_BLOCK, &set, &saved_);
  fd_.Reset(signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
}

SignalPoll::~SignalPoll() { pthread_sigmask(SIG_SETMASK, &saved_, nullptr); }

int SignalPoll::Take() {
  signalfd_siginfo info{};
  if (read(fd_.get(), &info, sizeof(info)) != sizeof(info)) return 0;
  return static_cast<int>(info.ssi_signo);
}

WakePipe::WakePipe() {
  int fds[2];
  CHECK(pipe2(fds, O_CLOEXEC) == 0);
  read_.Reset(fds[0]);
  write_.Reset(fds[1]);
}

void WakePipe::Wake() {
  const char byte = 0;
  // A full pipe wakes as well.
  if (write(write_.get(), &byte, 1) != 1) return;
}

}  // namespace bulwark::ctl
