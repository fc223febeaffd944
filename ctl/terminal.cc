#include "ctl/terminal.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

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
