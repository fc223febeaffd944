// Processes as tests start them: bounded in time, ended by pid only.
#ifndef TESTS_E2E_PROCESS_H_
#define TESTS_E2E_PROCESS_H_

#include <sys/types.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/time/time.h"

namespace bulwark::e2e {

struct Result {
  int code = -1;  // exit status, 128 + signal, or -1: it ran out of time
  std::string out;
  std::string err;

  bool ok() const { return code == 0; }
  // For messages of failed expectations.
  std::string ToString() const;
};

// Runs a program to its end and collects what it printed. argv[0] is looked up
// in PATH.
Result Run(const std::vector<std::string>& argv,
           absl::Duration timeout = absl::Seconds(60),
           const std::string& input = "");

// A program that runs beside the test. Killed, and waited for, by the
// destructor.
class Background {
 public:
  // Its output is appended to `log_path`. Dies with a CHECK if it cannot be
  // started.
  Background(const std::vector<std::string>& argv, const std::string& log_path);
  Background(const Background&) = delete;
  Background& operator=(const Background&) = delete;
  ~Background();

  pid_t pid() const { return pid_; }
  bool Alive();
  void Signal(int signal);
  // Waits for its end; its exit code as in Result, -1 after `timeout`.
  int Wait(absl::Duration timeout);
  // Once it has ended: whether the kernel wrote a core file of it.
  bool dumped_core() const { return dumped_core_; }

 private:
  pid_t pid_ = -1;
  int code_ = -1;
  bool ended_ = false;
  bool dumped_core_ = false;
};

std::string ReadFile(const std::string& path);
void WriteFile(const std::string& path, const std::string& content);

// Calls `condition` every few milliseconds until it holds or `timeout` passes;
// returns whether it held.
template <typename F>
bool Eventually(F&& condition, absl::Duration timeout = absl::Seconds(30));

void Pause(absl::Duration d);
absl::Time WallNow();

template <typename F>
bool Eventually(F&& condition, absl::Duration timeout) {
  const absl::Time deadline = WallNow() + timeout;
  while (true) {
    if (condition()) return true;
    if (WallNow() > deadline) return false;
    Pause(absl::Milliseconds(5));
  }
}

}  // namespace bulwark::e2e

#endif  // TESTS_E2E_PROCESS_H_
