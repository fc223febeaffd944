// One launch: a shim is started, gets a plan, and the process that it makes
// reports and asks over a socket until it executes.
#ifndef ENGINE_OCI_LAUNCHING_H_
#define ENGINE_OCI_LAUNCHING_H_

#include <cstdint>
#include <optional>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/unique_fd.h"
#include "engine/launch/shim_start.h"
#include "engine/plan/plan_builder.h"

namespace bulwark::engine::oci {

struct LaunchRequest {
  int passed = 0;  // descriptors from 3 on that the program gets too
  // The program's standard input. Its output is ours; a plan with a terminal
  // has none of the three, since who called us may wait for their end.
  int input = 0;
};

// What the process is at.
struct LaunchEvent {
  enum class Kind {
    kProcess,   // it exists
    kSync,      // it waits for Continue()
    kExecuted,  // its program runs; or it was killed
  };
  Kind kind = Kind::kProcess;
  uint64_t point = 0;    // kSync: child::SyncPoint
  uint64_t address = 0;  // kSyncReady: see HandOverListener()
  UniqueFd terminal;     // kSync: the terminal's master, if there is one
};

// Thread-compatible. The process is a child of ours and stays when this goes;
// one that waits in a kSync ends then.
class Launching {
 public:
  // Starts the shim, and does not wait until it runs: what a plan needs is
  // best prepared after this.
  static absl::StatusOr<Launching> Begin(const LaunchRequest& request);
  Launching(Launching&&) = default;

  // Hands the plan over, once; it outlives us. `init_pidfd`: of the container
  // that is joined, or -1.
  absl::Status Launch(const CompiledPlan& plan, int init_pidfd);

  // The next event. A failure of a step is its error, INVALID_ARGUMENT if the
  // configuration is to blame; DEADLINE_EXCEEDED after `timeout`.
  absl::StatusOr<LaunchEvent> Next(absl::Duration timeout);
  absl::Status Continue();

  int pid() const { return pid_; }  // 0 before kProcess

 private:
  explicit Launching(ShimStart shim) : shim_(std::move(shim)) {}
  absl::StatusOr<LaunchEvent> Handle(const uint8_t* data, size_t size,
                                     UniqueFd passed);

  ShimStart shim_;
  const CompiledPlan* plan_ = nullptr;
  int pid_ = 0;
  // Came before the shim's word of the process.
  std::optional<LaunchEvent> held_;
};

// What LaunchFailure() says of a step, with the words that those who drive
// runtimes look for ("executable file not found in $PATH").
absl::Status StepFailure(const CompiledPlan& plan, uint64_t step, int error);

}  // namespace bulwark::engine::oci

#endif  // ENGINE_OCI_LAUNCHING_H_
