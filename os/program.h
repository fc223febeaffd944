// Programs of the host that are run to their end.
#ifndef OS_PROGRAM_H_
#define OS_PROGRAM_H_

#include <csignal>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "base/secret_text.h"

namespace bulwark::os {

struct Program {
  // The name is looked up in the usual directories for programs of the system;
  // an absolute path is taken as it is.
  std::string name;
  std::vector<std::string> args;  // without the name
  std::vector<std::string> env;   // all of it
  std::string directory;          // where it runs; empty: /
  // What it reads as descriptor 3, through a pipe; at most 64 KiB. For what may
  // stand neither in its arguments nor on a disk. The program writes no core
  // file then.
  SecretText secret;
  // What it gets when we die, and when it should end early.
  int end_signal = SIGKILL;
  // It starts others: they get that signal too when it should end early, and
  // none outlives it. Only of our own death they hear nothing.
  bool has_children = false;
  absl::Duration timeout = absl::InfiniteDuration();
  // With `has_children`: it is ended when none of them has read, written or
  // computed anything for so long, for then they wait for somebody who does not
  // speak. Who sends signs of life, however few, is waited for.
  absl::Duration silence = absl::InfiniteDuration();
  // Each line of standard output as it comes; else they are collected.
  std::function<void(absl::string_view line)> on_line;
  // Asked about every quarter of a second: false ends it, with CANCELLED.
  std::function<bool()> wanted;
};

struct ProgramResult {
  int exit_code = 0;   // 128 + signal if one ended it
  std::string output;  // of standard output, at most the first 1 MiB
  std::string errors;  // of standard error, at most the last 8 KiB
};

// Blocks until the program has ended. Does not fork: see Spawn(). Thread-safe.
//   NOT_FOUND          no such program
//   DEADLINE_EXCEEDED  it was ended at its timeout, or after its silence
//   CANCELLED          `wanted` said no
absl::StatusOr<ProgramResult> RunProgram(const Program& program);

}  // namespace bulwark::os

#endif  // OS_PROGRAM_H_
