// Options that every proxied connection has.
#ifndef LB_TCP_SOCKET_OPTIONS_H_
#define LB_TCP_SOCKET_OPTIONS_H_

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

namespace bulwark::lb {

// A peer that vanished without a word is noticed after about two minutes.
// Accepted sockets inherit these from their listener.
inline constexpr int kKeepAliveIdleSeconds = 60;
inline constexpr int kKeepAliveIntervalSeconds = 15;
inline constexpr int kKeepAliveProbes = 4;

inline void SetStreamOptions(int fd) {
  const int one = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
  setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof(one));
  setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &kKeepAliveIdleSeconds,
             sizeof(int));
  setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &kKeepAliveIntervalSeconds,
             sizeof(int));
  setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &kKeepAliveProbes, sizeof(int));
}

// A socket for a connect; -1 and errno on failure. `flags`: SOCK_NONBLOCK or 0.
// Probes as often as the namespace says: backends are near, and each call
// costs.
inline int OpenBackendSocket(int family, int flags) {
  const int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC | flags, 0);
  if (fd < 0) return fd;
  const int one = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
  setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof(one));
  setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &kKeepAliveIdleSeconds,
             sizeof(int));
  return fd;
}

// False and errno on failure.
inline bool SetNonBlocking(int fd, bool on) {
  const int flags = fcntl(fd, F_GETFL);
  const int wanted = on ? flags | O_NONBLOCK : flags & ~O_NONBLOCK;
  return flags >= 0 && (flags == wanted || fcntl(fd, F_SETFL, wanted) == 0);
}

// close(fd) will send a reset.
inline void ResetOnClose(int fd) {
  const linger at_once = {1, 0};
  setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
}

}  // namespace bulwark::lb

#endif  // LB_TCP_SOCKET_OPTIONS_H_
