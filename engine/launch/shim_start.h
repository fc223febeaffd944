// A shim that is started before its plan is known: it is executed while the
// caller prepares the launch, and waits for the order.
#ifndef ENGINE_LAUNCH_SHIM_START_H_
#define ENGINE_LAUNCH_SHIM_START_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/unique_fd.h"
#include "engine/launch/spawn.h"

namespace bulwark::engine {

// Thread-compatible. A shim that gets no order, since this object or its whole
// process goes before that, ends by itself.
class ShimStart {
 public:
  // `program`: descriptor of the shim. `args`: with its name. `fds`: what it
  // gets besides its standard streams, which are /dev/null, and its status
  // socket. All of them may be closed as soon as this returns.
  static absl::StatusOr<ShimStart> Begin(int program,
                                         std::vector<std::string> args,
                                         std::vector<PassedFd> fds);

  ShimStart(ShimStart&&) = default;
  ShimStart& operator=(ShimStart&&) = delete;
  // Waits until it is executed; until its end, if it has got no order.
  ~ShimStart();

  // Has it launch `plan`. `third` and `gate`: what it gets as shim::kThirdFd
  // and, beside that, shim::kGateFd. They stay the caller's; -1: nothing.
  absl::Status Order(absl::string_view plan, int third, int gate = -1);

  // Waits until it is executed: an error says why it could not be.
  absl::Status Settle();

  // The status socket, of packets, and a pidfd: the shim is ours to reap.
  int socket() const { return socket_.get(); }
  int pidfd() const { return pidfd_.get(); }
  UniqueFd TakePidfd() { return std::move(pidfd_); }

 private:
  struct Process;
  struct Delete {
    void operator()(Process* process) const;
  };

  ShimStart() = default;

  std::unique_ptr<Process, Delete> process_;
  UniqueFd socket_;
  UniqueFd pidfd_;
  bool ordered_ = false;
};

}  // namespace bulwark::engine

#endif  // ENGINE_LAUNCH_SHIM_START_H_
