// The terminal and the signals of an interactive command.
#ifndef CTL_TERMINAL_H_
#define CTL_TERMINAL_H_

#include <signal.h>
#include <termios.h>

#include <initializer_list>

#include "base/unique_fd.h"

namespace bulwark::ctl {

// Puts the terminal at `fd` into raw mode until destruction.
class RawTerminal {
 public:
  explicit RawTerminal(int fd);
  RawTerminal(const RawTerminal&) = delete;
  RawTerminal& operator=(const RawTerminal&) = delete;
  ~RawTerminal();

 private:
  const int fd_;
  bool raw_ = false;
  termios saved_{};
};

// Shows nothing of what is typed until it goes, also if a signal ends the
// process first. Does nothing without a terminal. One at a time.
class HiddenInput {
 public:
  explicit HiddenInput(int fd);
  HiddenInput(const HiddenInput&) = delete;
  HiddenInput& operator=(const HiddenInput&) = delete;
  ~HiddenInput();

 private:
  bool hidden_ = false;
};

// Turns signals into something to poll. Blocks them in this thread and in those
// that it starts: make it before the first call to the daemon.
class SignalPoll {
 public:
  explicit SignalPoll(std::initializer_list<int> signals);
  SignalPoll(const SignalPoll&) = delete;
  SignalPoll& operator=(const SignalPoll&) = delete;
  ~SignalPoll();

  // Readable when a signal came.
  int fd() const { return fd_.get(); }
  // The signal that came, or 0.
  int Take();

 private:
  sigset_t saved_;
  UniqueFd fd_;
};

// Wakes a poll in another thread.
class WakePipe {
 public:
  WakePipe();
  void Wake();
  int fd() const { return read_.get(); }

 private:
  UniqueFd read_, write_;
};

}  // namespace bulwark::ctl

#endif  // CTL_TERMINAL_H_
