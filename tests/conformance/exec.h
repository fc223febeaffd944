// Programs that end by themselves, and what they leave on their standard
// streams. The streams are files: a container that a runtime's `create` leaves
// behind holds them open, and whoever waited for the end of a pipe would wait
// for the container.
#ifndef TESTS_CONFORMANCE_EXEC_H_
#define TESTS_CONFORMANCE_EXEC_H_

#include <ostream>
#include <string>
#include <vector>

#include "absl/time/time.h"

namespace bulwark::conformance {

struct Outcome {
  int code = -1;  // exit status, 128 + signal, or -1: it ran out of time
  std::string out;
  std::string err;

  bool ok() const { return code == 0; }
  // For messages of failed expectations.
  std::string ToString() const;
};

inline void PrintTo(const Outcome& outcome, std::ostream* out) {
  *out << outcome.ToString();
}

struct ExecOptions {
  std::string in = "/dev/null";
  std::string out;       // a file to append to; empty: one that is gone after
  std::string err;       // likewise
  std::string cwd;       // empty: the caller's
  std::vector<int> fds;  // the program's descriptors from 3 on
  absl::Duration timeout = absl::Seconds(120);
};

// Runs argv[0], looked up in PATH. The result holds what the files had when the
// program ended. A program that cannot be started has code 127, and says why in
// `err`.
Outcome Exec(const std::vector<std::string>& argv,
             const ExecOptions& options = {});

std::string ReadFile(const std::string& path);
void WriteFile(const std::string& path, const std::string& content,
               int mode = 0644);

absl::Time WallNow();
void Pause(absl::Duration d);

// Calls `condition` every few milliseconds until it holds or `timeout` passes;
// returns whether it held.
template <typename F>
bool Eventually(F&& condition, absl::Duration timeout = absl::Seconds(10)) {
  const absl::Time deadline = WallNow() + timeout;
  while (true) {
    if (condition()) return true;
    if (WallNow() > deadline) return false;
    Pause(absl::Milliseconds(5));
  }
}

}  // namespace bulwark::conformance

#endif  // TESTS_CONFORMANCE_EXEC_H_
