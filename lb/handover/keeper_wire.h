// What bulwark-keeper and its clients say to each other. Libc only: the keeper
// includes this.
//
// Over a unix SOCK_SEQPACKET socket at RUNTIME_DIR/keeper.sock. Each packet
// from a client is one KeeperRequest, answered by one KeeperResponse, in order.
// Sockets travel as SCM_RIGHTS with the packet that names them. Both ends run
// on one machine, but maybe from different releases: `version` says which.
#ifndef LB_HANDOVER_KEEPER_WIRE_H_
#define LB_HANDOVER_KEEPER_WIRE_H_

#include <cstdint>

namespace bulwark::lb {

inline constexpr uint32_t kKeeperVersion = 1;

// At most so many sockets in one packet (the kernel takes 253).
inline constexpr uint32_t kKeeperMaxSockets = 128;

enum class KeeperOp : uint32_t {
  // Nothing; answers with the pid of the proxy (0: none yet) in `count`.
  kPing = 1,
  // Opens this listener unless it is open, and answers with its sockets.
  kOpen = 2,
  // Starts a round: no listener is wanted yet.
  kBegin = 3,
  // This listener is wanted.
  kKeep = 4,
  // Ends the round: closes every listener that nobody has wanted in it.
  kCommit = 5,
  // The proxy's control socket (listening, SOCK_STREAM, unix).
  kControl = 6,
  // From a proxy that outlived its keeper: these are the sockets of this
  // listener; keep them.
  kAdopt = 7,
  // The same for the control socket.
  kAdoptControl = 8,
  // Ends the proxy and the keeper, and with them every listener.
  kShutdown = 9,
  // A new socket of this place and protocol, of the family of `address`;
  // neither
  // bound nor kept.
  kSocket = 10,
};

// Names one listener, by values of SocketKey's enums.
struct KeeperRequest {
  uint32_t version;
  KeeperOp op;
  uint32_t place;
  uint32_t protocol;
  uint32_t port;
  // Sockets wanted, or sent along.
  uint32_t count;
  // Numeric, zero-terminated.
  char address[64];
};

struct KeeperResponse {
  uint32_t version;
  // 0, or the errno of the call that failed,
  int32_t error;
  uint32_t count;
  // and which call that was: "bind".
  char step[20];
};

}  // namespace bulwark::lb

#endif  // LB_HANDOVER_KEEPER_WIRE_H_
