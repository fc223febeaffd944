#include "tests/conformance/unix_socket.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cstring>

#include "base/check.h"
#include "os/passed_fds.h"

namespace bulwark::conformance {

UnixListener::UnixListener(const std::string& path)
    : path_(path), listener_(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  CHECK(path.size() < sizeof(address.sun_path));
  memcpy(address.sun_path, path.data(), path.size());
  CHECK(bind(listener_.get(), reinterpret_cast<sockaddr*>(&address),
             sizeof(address)) == 0);
  CHECK(listen(listener_.get(), 4) == 0);
}

std::string UnixListener::ReceiveAll(std::vector<UniqueFd>* fds) {
  pollfd waiting = {listener_.get(), POLLIN, 0};
  if (poll(&waiting, 1, 10000) != 1) return "";
  UniqueFd connection(accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
  CHECK(connection.ok());
  std::string text;
  while (true) {
    pollfd more = {connection.get(), POLLIN, 0};
    if (poll(&more, 1, 10000) != 1) return text;
    char data[4096];
    const ssize_t n =
        os::ReceiveWithFds(connection.get(), data, sizeof(data), *fds);
    if (n <= 0) return text;
    text.append(data, n);
  }
}

}  // namespace bulwark::conformance
