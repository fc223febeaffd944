// Starts a program that goes into the background by itself.
#ifndef LB_LOCAL_SPAWN_H_
#define LB_LOCAL_SPAWN_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/clock.h"

namespace bulwark::lb {

struct Launched {
  int exit_code = 0;
  // What it wrote to standard error, at most 4 KiB.
  std::string error_text;
};

// Runs `argv` in a session of its own, with no descriptor of ours but standard
// error, until its first process exits. Without fork: safe in a large process
// with many threads. DEADLINE_EXCEEDED (and it is killed) after `timeout`.
absl::StatusOr<Launched> Launch(const std::vector<std::string>& argv,
                                absl::Duration timeout, Clock& clock);

}  // namespace bulwark::lb

#endif  // LB_LOCAL_SPAWN_H_
