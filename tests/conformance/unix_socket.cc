#include "tests/conformance/unix_socket.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cstring>

#include "base/check.h"

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
    alignas(cmsghdr) char control[CMSG_SPACE(8 * sizeof(int))];
    iovec part = {data, sizeof(data)};
    msghdr message = {};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = control;
    message.msg_controllen = sizeof(control);
    const ssize_t n = recvmsg(connection.get(), &message, MSG_CMSG_CLOEXEC);
    if (n <= 0) return text;
    text.append(data, n);
    for (cmsghdr* c = CMSG_FIRSTHDR(&message); c != nullptr;
         c = CMSG_NXTHDR(&message, c)) {
      if (c->cmsg_type != SCM_RIGHTS) continue;
      const size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
      for (size_t i = 0; i < count; ++i) {
        int fd;
        memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(fd));
        fds->emplace_back(fd);
      }
    }
  }
}

}  // namespace bulwark::conformance
