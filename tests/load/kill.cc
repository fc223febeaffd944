#include "tests/load/kill.h"

#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/check.h"
#include "base/unique_fd.h"

namespace bulwark::load {

Kill KillProcess(pid_t pid, const std::string& backend, Clock& clock) {
  UniqueFd pidfd(static_cast<int>(syscall(SYS_pidfd_open, pid, 0)));
  CHECK(pidfd.ok());
  Kill kill;
  kill.backend = backend;
  kill.at = clock.Steady();
  CHECK(syscall(SYS_pidfd_send_signal, pidfd.get(), SIGKILL, nullptr, 0) == 0);
  pollfd gone = {pidfd.get(), POLLIN, 0};
  CHECK(poll(&gone, 1, 10'000) == 1);
  kill.gone = clock.Steady();
  return kill;
}

}  // namespace bulwark::load
