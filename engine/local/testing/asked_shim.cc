#include "engine/local/testing/asked_shim.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "base/unique_fd.h"
#include "os/files.h"

namespace bulwark::engine::testing {

bool IsAsked(int shim_pid) {
  const UniqueFd shim(static_cast<int>(syscall(SYS_pidfd_open, shim_pid, 0)));
  if (!shim.ok()) return false;
  for (const std::string& name :
       os::ListDir(absl::StrCat("/proc/", shim_pid, "/fd"))
           .value_or(std::vector<std::string>())) {
    int number = -1;
    if (!absl::SimpleAtoi(name, &number)) continue;
    // Not kept: while we have it, nobody who waits there hears of its end.
    const UniqueFd fd(
        static_cast<int>(syscall(SYS_pidfd_getfd, shim.get(), number, 0)));
    int listens = 0;
    socklen_t size = sizeof(listens);
    if (getsockopt(fd.get(), SOL_SOCKET, SO_ACCEPTCONN, &listens, &size) != 0 ||
        listens == 0) {
      continue;
    }
    pollfd connection = {fd.get(), POLLIN, 0};
    return poll(&connection, 1, 0) == 1;
  }
  return false;
}

}  // namespace bulwark::engine::testing
