// Connections of other users.
#ifndef TESTS_INTEGRATION_API_CONNECT_AS_H_
#define TESTS_INTEGRATION_API_CONNECT_AS_H_

#include <fcntl.h>
#include <grp.h>
#include <grpcpp/create_channel_posix.h>
#include <grpcpp/grpcpp.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "base/unique_fd.h"

namespace bulwark::api {

// A connection to "api.sock" in the working directory, made with another user's
// credentials, by a thread that takes them on for it (the raw calls change the
// calling thread alone). -1: errno.
inline int ConnectAs(uid_t uid, gid_t gid,
                     const std::vector<gid_t>& groups = {}) {
  int result = -1;
  int error = 0;
  std::thread thread([&] {
    syscall(SYS_setgroups, groups.size(), groups.data());
    syscall(SYS_setresgid, -1, gid, -1);
    syscall(SYS_setresuid, -1, uid, -1);
    UniqueFd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    strcpy(address.sun_path, "api.sock");
    if (connect(fd.get(), reinterpret_cast<sockaddr*>(&address),
                sizeof(address)) == 0) {
      result = fd.Release();
    }
    error = errno;
  });
  thread.join();
  errno = error;
  return result;
}

inline std::shared_ptr<grpc::Channel> ChannelOn(int fd) {
  fcntl(fd, F_SETFL, O_NONBLOCK);
  return grpc::CreateInsecureChannelFromFd("api", fd);
}

}  // namespace bulwark::api

#endif  // TESTS_INTEGRATION_API_CONNECT_AS_H_
