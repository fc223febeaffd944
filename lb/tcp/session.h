// One client connection on its way through the proxy.
#ifndef LB_TCP_SESSION_H_
#define LB_TCP_SESSION_H_

#include <cstdint>
#include <memory>
#include <utility>

#include "absl/container/inlined_vector.h"
#include "lb/config.h"

namespace bulwark::lb {

// Link of an intrusive, circular list; a lone link is its own neighbour.
struct Link {
  Link* prev = this;
  Link* next = this;

  Link() = default;
  Link(const Link&) = delete;
  Link& operator=(const Link&) = delete;
  ~Link() { Unlink(); }

  void Unlink() {
    prev->next = next;
    next->prev = prev;
    prev = next = this;
  }
  // Moves to the end of the list whose head is `head`.
  void MoveTo(Link& head) {
    Unlink();
    prev = head.prev;
    next = &head;
    head.prev->next = this;
    head.prev = this;
  }
  bool empty() const { return next == this; }
};

// Belongs to one worker, and is touched by its thread only. The worker decides
// (pick, hold, retry, end); the event engine moves the bytes and derives its
// own part from this.
//
//   accepted -> [held] -> connecting <-> pausing -> relaying -> gone
//                             ^------------------------'
//                    the endpoint ended the connection early
//
// Early is: before anything has passed, that is, before the kernel has taken a
// byte of the client's for the backend, the backend has sent one, or the
// client's end of stream was passed on. Only then can nobody have acted on
// anything, and another endpoint may take the session.
struct Session : Link {
  enum class State {
    // Waits for a ready endpoint.
    kHeld,
    // A connect is under way.
    kConnecting,
    // Every endpoint has refused; the next round starts soon.
    kPausing,
    // Bytes flow; only the engine, an early end or a CLOSED endpoint ends it.
    kRelaying,
  };

  State state = State::kHeld;
  std::shared_ptr<const Pool> pool;
  // Set from the first connect on.
  std::shared_ptr<Endpoint> endpoint;
  // Endpoints not to be tried again: the first `spent` ended a connection of
  // this session early, and are never asked again; the rest have refused in
  // this round.
  absl::InlinedVector<const Endpoint*, 4> tried;
  uint32_t spent = 0;
  // Its pool is no longer served: no endpoint of it may be connected to.
  bool orphan = false;
  uint64_t source_hash = 0;
  // When the last connect was begun.
  int64_t connect_began_ns = 0;
  // When the session must be connected, else it fails; 0 until first tried.
  int64_t give_up_ns = 0;
  // When the hold ends; 0 until first held.
  int64_t hold_until_ns = 0;
  // When the worker's timer fires; 0: not set.
  int64_t timer_ns = 0;
};

}  // namespace bulwark::lb

#endif  // LB_TCP_SESSION_H_
