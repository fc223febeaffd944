// One launch: a shim is started with a plan, and the process that it makes
// reports and asks over a socket until it executes.
#ifndef ENGINE_OCI_LAUNCHING_H_
#define ENGINE_OCI_LAUNCHING_H_

#include <cstdint>
#include <optional>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/unique_fd.h"
#include "engine/plan/plan_builder.h"

namespace bulwark::engine::oci {

struct LaunchRequest {
  const CompiledPlan& plan;
  int init_pidfd = -1;  // of the container that is joined
  int passed = 0;       // descriptors from 3 on that the program gets too
  // The program's streams are a terminal of its own. Otherwise they are ours,
  // which it must not keep open here: who called us may wait for their end.
  bool terminal = false;
  int input = 0;  // the program's standard input, but for a terminal
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
  static absl::StatusOr<Launching> Start(const LaunchRequest& request);
  Launching(Launching&&) = default;
  ~Launching();

  // The next event. A failure of a step is its error, INVALID_ARGUMENT if the
  // configuration is to blame; DEADLINE_EXCEEDED after `timeout`.
  absl::StatusOr<LaunchEvent> Next(absl::Duration timeout);
  absl::Status Continue();

  int pid() const { return pid_; }  // 0 before kProcess

 private:
  explicit Launching(const CompiledPlan& plan) : plan_(&plan) {}
  absl::StatusOr<LaunchEvent> Handle(const uint8_t* data, size_t size,
                                     UniqueFd passed);

  const CompiledPlan* plan_;
  UniqueFd socket_;
  UniqueFd shim_;  // pidfd
  int pid_ = 0;
  // Came before the shim's word of the process.
  std::optional<LaunchEvent> held_;
};

// What LaunchFailure() says of a step, with the words that those who drive
// runtimes look for ("executable file not found in $PATH").
absl::Status StepFailure(const CompiledPlan& plan, uint64_t step, int error);

}  // namespace bulwark::engine::oci

#endif  // ENGINE_OCI_LAUNCHING_H_
