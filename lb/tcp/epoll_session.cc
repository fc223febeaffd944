#include "lb/tcp/epoll_session.h"

#include <sys/socket.h>

#include <cerrno>
#include <cstring>

namespace bulwark::lb {
namespace {

// Writes what it can. Returns the number of bytes, and clears `to.writable` or
// sets `flow.broken` if there was a reason to stop.
size_t Write(EpollLeg& to, EpollFlow& flow, const char* data, size_t size) {
  size_t written = 0;
  while (written < size) {
    const ssize_t n = send(to.fd, data + written, size - written, MSG_NOSIGNAL);
    if (n >= 0) {
      written += n;
      flow.untouched = false;
    } else if (errno == EAGAIN) {
      to.writable = false;
      break;
    } else if (errno != EINTR) {
      // EPIPE: a reset in answer to our bytes, after an orderly end.
      to.was_reset = errno != EPIPE;
      flow.broken = true;
      break;
    }
  }
  return written;
}

void Keep(EpollFlow& flow, const char* data, size_t size) {
  flow.pending.reset(new char[size]);
  std::memcpy(flow.pending.get(), data, size);
  flow.pending_begin = 0;
  flow.pending_end = static_cast<uint32_t>(size);
}

size_t WritePending(EpollLeg& to, EpollFlow& flow) {
  const size_t n = Write(to, flow, flow.pending.get() + flow.pending_begin,
                         flow.pending_end - flow.pending_begin);
  flow.pending_begin += n;
  if ((flow.broken && !flow.untouched) ||
      flow.pending_begin == flow.pending_end) {
    flow.pending.reset();
  }
  return n;
}

// Returns the bytes read; 0 if there are none now (then flags say why).
size_t Read(EpollLeg& from, EpollFlow& flow, char* scratch, size_t size) {
  while (true) {
    const ssize_t n = recv(from.fd, scratch, size, 0);
    if (n > 0) {
      // A short read empties a stream socket (epoll(7)); but a FIN behind the
      // bytes may have come with the same edge.
      if (static_cast<size_t>(n) < size && !from.peer_ended) {
        from.readable = false;
      }
      return n;
    }
    if (n == 0) {
      (from.was_reset ? flow.source_reset : flow.ended) = true;
      from.readable = false;
      return 0;
    }
    if (errno == EINTR) continue;
    if (errno != EAGAIN) flow.source_reset = true;
    from.readable = false;
    return 0;
  }
}

}  // namespace

size_t MoveBytes(EpollLeg& from, EpollLeg& to, EpollFlow& flow, char* scratch,
                 size_t scratch_size, bool* more) {
  size_t moved = 0;
  while (!flow.Over()) {
    if (moved >= kFlowQuantum) {
      *more = true;
      break;
    }
    if (flow.pending != nullptr) {
      if (!to.writable) break;
      moved += WritePending(to, flow);
      continue;
    }
    if (flow.ended) {
      shutdown(to.fd, SHUT_WR);
      flow.end_passed = true;
      break;
    }
    if (!from.readable || !to.writable) break;
    const size_t n = Read(from, flow, scratch, scratch_size);
    if (n == 0) {
      if (flow.ended || flow.source_reset) continue;
      break;
    }
    const size_t written = Write(to, flow, scratch, n);
    moved += written;
    if (written < n && (!flow.broken || flow.untouched)) {
      Keep(flow, scratch + written, n - written);
    }
  }
  return moved;
}

}  // namespace bulwark::lb
