// Packets of keeper_wire.h as the keeper reads and writes them. Libc only.
#ifndef DATAPLANE_KEEPER_PACKETS_H_
#define DATAPLANE_KEEPER_PACKETS_H_

#include <stdint.h>

#include "lb/handover/keeper_wire.h"

namespace bulwark::dataplane {

// A request, and the descriptors that came along.
struct KeeperPacket {
  lb::KeeperRequest request = {};
  uint32_t count = 0;
  int fds[lb::kKeeperMaxSockets];
};

enum class PacketState {
  // The caller owns packet.fds.
  kReceived,
  // Nothing to read after all.
  kNone,
  // The client is gone, or speaks another version. No descriptor is open.
  kBroken,
};

// Reads the next request of `client`, a non-blocking socket.
PacketState ReceivePacket(int client, KeeperPacket& packet);

// Sends `response` with the first response.count of `fds` (borrowed; null:
// none). False if the client does not take it at once.
bool SendPacket(int client, const lb::KeeperResponse& response, const int* fds);

}  // namespace bulwark::dataplane

#endif  // DATAPLANE_KEEPER_PACKETS_H_
