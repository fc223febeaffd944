// The part of a session that the epoll engine adds, and how bytes move in it.
#ifndef LB_TCP_EPOLL_SESSION_H_
#define LB_TCP_EPOLL_SESSION_H_

#include <cstddef>
#include <cstdint>
#include <memory>

#include "lb/tcp/session.h"

namespace bulwark::lb {

// What an epoll event points to.
struct EpollSource {
  enum class Kind : uint8_t { kWake, kListener, kLeg };
  Kind kind = Kind::kWake;
};

struct EpollSession;

// One of the two sockets. The flags remember edges.
struct EpollLeg : EpollSource {
  EpollLeg() { kind = Kind::kLeg; }
  EpollSession* session = nullptr;
  int fd = -1;
  bool readable = false;
  bool writable = true;
  // The peer will send no more: read until the end.
  bool peer_ended = false;
  // The kernel reported an error for the socket.
  bool error = false;
  // A send found the connection reset: that took the error away, so that the
  // next receive will report a mere end of stream.
  bool was_reset = false;
  // Changes with the socket, so that an event of an earlier one is known as
  // such. Three bits are used.
  uint8_t generation = 0;
};

// Bytes on their way from one leg to the other.
struct EpollFlow {
  // Read but not yet taken by a slow destination.
  std::unique_ptr<char[]> pending;
  uint32_t pending_begin = 0;
  uint32_t pending_end = 0;
  // The source sent its end of stream, and we passed it on.
  bool ended = false;
  bool end_passed = false;
  // The source was reset.
  bool source_reset = false;
  // The destination takes nothing any more.
  bool broken = false;
  // The destination's socket has not taken a byte: what was read is kept then,
  // even if it is broken.
  bool untouched = true;

  // Nothing will ever move here again.
  bool Over() const {
    return broken || end_passed || (source_reset && pending == nullptr);
  }
};

struct EpollSession : Session {
  EpollLeg client;
  EpollLeg backend;
  EpollFlow up;    // client to backend
  EpollFlow down;  // backend to client
  bool relaying = false;
  // Relaying, and nothing has passed yet.
  bool fresh = false;
  bool closed = false;
  // Link in the engine's ready list.
  struct ReadyLink : Link {
    EpollSession* session = nullptr;
  } ready;
};

// How much one flow may move before others get their turn.
inline constexpr size_t kFlowQuantum = 1 << 20;

// Moves bytes until the source is dry, the destination full, the flow over or
// kFlowQuantum spent. Returns the bytes written; `*more` tells that the quantum
// ended it. `scratch` is a buffer that many sessions share.
size_t MoveBytes(EpollLeg& from, EpollLeg& to, EpollFlow& flow, char* scratch,
                 size_t scratch_size, bool* more);

}  // namespace bulwark::lb

#endif  // LB_TCP_EPOLL_SESSION_H_
