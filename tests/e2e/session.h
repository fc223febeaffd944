// Programs that a test talks to while they run: beside it, or on a terminal.
#ifndef TESTS_E2E_SESSION_H_
#define TESTS_E2E_SESSION_H_

#include <string>
#include <vector>

#include "absl/time/time.h"
#include "base/unique_fd.h"
#include "tests/e2e/process.h"
#include "tests/e2e/world.h"

namespace bulwark::e2e {

// ctl beside the test. Killed by the destructor if it still runs.
class Session {
 public:
  Session(const World& world, const std::vector<std::string>& arguments);

  // Everything so far.
  std::string Out() const { return ReadFile(out_); }
  std::string Err() const { return ReadFile(err_); }
  bool AwaitOut(const std::string& text,
                absl::Duration timeout = absl::Seconds(20));
  bool AwaitErr(const std::string& text,
                absl::Duration timeout = absl::Seconds(20));

  void Signal(int signal) { program_.Signal(signal); }
  // Its exit code as in Result, -1 after `timeout`.
  int Wait(absl::Duration timeout = absl::Seconds(20)) {
    return program_.Wait(timeout);
  }
  std::string ToString() const;

 private:
  const std::string out_, err_;
  Background program_;
};

// A program on a pseudo-terminal of its own. Killed by the destructor.
class Terminal {
 public:
  Terminal(const std::vector<std::string>& argv, int rows, int columns);
  Terminal(const Terminal&) = delete;
  Terminal& operator=(const Terminal&) = delete;
  ~Terminal();

  void Type(const std::string& text);
  void Resize(int rows, int columns);
  // Whether the terminal hands each key on as it is.
  bool IsRaw() const;
  // Reads until the screen shows `text` after what earlier calls have found.
  bool Await(const std::string& text,
             absl::Duration timeout = absl::Seconds(20));
  // Everything that was shown so far.
  const std::string& screen() const { return screen_; }
  // Its exit code as in Result, -1 after `timeout`.
  int Wait(absl::Duration timeout = absl::Seconds(20));

 private:
  void Read();

  UniqueFd fd_;
  pid_t pid_ = -1;
  std::string screen_;
  size_t seen_ = 0;
};

// The command line of ctl for the world's daemon.
std::vector<std::string> CtlCommand(const World& world,
                                    const std::vector<std::string>& arguments);

}  // namespace bulwark::e2e

#endif  // TESTS_E2E_SESSION_H_
