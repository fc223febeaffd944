// The part of a session that the io_uring engine adds.
#ifndef LB_TCP_URING_SESSION_H_
#define LB_TCP_URING_SESSION_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "lb/tcp/session.h"

namespace bulwark::lb {

// Bytes on their way: in a buffer of the ring, or (of a flow that cannot send
// now, so that slow readers cannot use up the ring) on the heap.
struct UringChunk {
  static constexpr uint32_t kNoBuffer = UINT32_MAX;
  uint32_t buffer = kNoBuffer;
  uint32_t begin = 0;
  uint32_t end = 0;
  std::unique_ptr<char[]> heap;
};

// One direction. A queue of chunks, the first of which may be under way.
struct UringFlow {
  std::vector<UringChunk> queue;
  // Index of the first chunk in `queue`; those before it are done.
  uint32_t head = 0;
  uint32_t queued_bytes = 0;
  bool sending = false;
  // The destination is full: all chunks are on the heap, and the send waits.
  bool blocked = false;

  // As in EpollFlow.
  bool ended = false;
  bool end_passed = false;
  bool source_reset = false;
  bool broken = false;

  bool empty() const { return head == queue.size(); }
  UringChunk& front() { return queue[head]; }
  bool Over() const {
    return broken || end_passed || (source_reset && empty());
  }
};

struct UringLeg {
  int fd = -1;
  // Requests that have not completed.
  uint16_t pending = 0;
  // A receive is among them.
  bool receiving = false;
  // No receive is wanted: enough is queued.
  bool paused = false;
  // A receive is wanted, but the ring had no buffer.
  bool starved = false;
  // See EpollLeg.
  bool was_reset = false;
};

struct alignas(16) UringSession : Session {
  UringLeg client;
  UringLeg backend;
  UringFlow up;
  UringFlow down;
  // Grows with each socket of the backend: completions of earlier ones are
  // known by it.
  uint16_t generation = 0;
  // Of all sockets, also earlier ones.
  uint32_t pending = 0;
  bool relaying = false;
  // See EpollSession.
  bool fresh = false;
  bool closed = false;
  bool in_starved_list = false;
  // In the engine's list of all sessions.
  struct EngineLink : Link {
    UringSession* session = nullptr;
  } engine_link;
};

}  // namespace bulwark::lb

#endif  // LB_TCP_URING_SESSION_H_
