#include "dataplane/keeper/packets.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

namespace bulwark::dataplane {

using lb::KeeperResponse;

PacketState ReceivePacket(int client, KeeperPacket& packet) {
  iovec part = {&packet.request, sizeof(packet.request)};
  alignas(
      cmsghdr) char control[CMSG_SPACE(sizeof(int) * lb::kKeeperMaxSockets)];
  msghdr message = {};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof(control);
  const ssize_t n = recvmsg(client, &message, MSG_CMSG_CLOEXEC);
  if (n < 0) {
    return errno == EAGAIN || errno == EINTR ? PacketState::kNone
                                             : PacketState::kBroken;
  }
  for (cmsghdr* h = CMSG_FIRSTHDR(&message); h != nullptr;
       h = CMSG_NXTHDR(&message, h)) {
    if (h->cmsg_level != SOL_SOCKET || h->cmsg_type != SCM_RIGHTS) continue;
    packet.count =
        static_cast<uint32_t>((h->cmsg_len - CMSG_LEN(0)) / sizeof(int));
    memcpy(packet.fds, CMSG_DATA(h), packet.count * sizeof(int));
  }
  lb::KeeperRequest& request = packet.request;
  if (n == sizeof(request) && request.version == lb::kKeeperVersion) {
    request.address[sizeof(request.address) - 1] = '\0';
    return PacketState::kReceived;
  }
  for (uint32_t i = 0; i < packet.count; ++i) close(packet.fds[i]);
  return PacketState::kBroken;
}

bool SendPacket(int client, const KeeperResponse& response, const int* fds) {
  iovec part = {const_cast<KeeperResponse*>(&response), sizeof(response)};
  alignas(cmsghdr) char
      control[CMSG_SPACE(sizeof(int) * lb::kKeeperMaxSockets)] = {};
  msghdr message = {};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  if (fds != nullptr) {
    const size_t bytes = response.count * sizeof(int);
    message.msg_control = control;
    message.msg_controllen = CMSG_SPACE(bytes);
    cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(bytes);
    memcpy(CMSG_DATA(header), fds, bytes);
  }
  return sendmsg(client, &message, MSG_NOSIGNAL) >= 0;
}

}  // namespace bulwark::dataplane
