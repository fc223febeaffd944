// How bytes move through a session of the io_uring engine.
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "lb/tcp/uring_engine.h"

namespace bulwark::lb {
namespace {

// What may be queued in one direction before its source is no longer read.
constexpr uint32_t kPauseBytes = 256 << 10;
constexpr uint32_t kResumeBytes = 64 << 10;
// Before the backend is there: enough for a request's head.
constexpr uint32_t kEarlyBytes = 16 << 10;

}  // namespace

void UringEngine::ArmReceive(UringSession& s, UringLeg& leg) {
  if (leg.receiving || leg.fd < 0) return;
  const bool of_client = &leg == &s.client;
  io_uring_sqe* sqe = NextSqe();
  io_uring_prep_recv_multishot(sqe, leg.fd, nullptr, 0, 0);
  sqe->flags |= IOSQE_BUFFER_SELECT;
  sqe->buf_group = UringBuffers::kGroup;
  // A backend has nothing to say yet; a look would be in vain.
  if (!of_client) sqe->ioprio |= IORING_RECVSEND_POLL_FIRST;
  SetData(sqe, &s, of_client ? Op::kReceiveClient : Op::kReceiveBackend,
          of_client ? 0 : s.generation);
  leg.receiving = true;
  ++leg.pending;
  ++s.pending;
}

void UringEngine::PauseReceive(UringSession& s, UringLeg& leg) {
  if (leg.paused) return;
  leg.paused = true;
  if (!leg.receiving) return;
  const bool of_client = &leg == &s.client;
  io_uring_sqe* sqe = NextSqe();
  const Op op = of_client ? Op::kReceiveClient : Op::kReceiveBackend;
  io_uring_prep_cancel64(
      sqe,
      reinterpret_cast<uintptr_t>(&s) | static_cast<uint64_t>(op) |
          uint64_t{of_client ? uint16_t{0} : s.generation} << 48,
      0);
  SetData(sqe, nullptr, Op::kIgnored);
}

void UringEngine::ArmErrorPoll(UringSession& s, UringLeg& leg) {
  const bool of_client = &leg == &s.client;
  io_uring_sqe* sqe = NextSqe();
  // Errors and hang-ups are reported unasked.
  io_uring_prep_poll_add(sqe, leg.fd, 0);
  SetData(sqe, &s, of_client ? Op::kErrorClient : Op::kErrorBackend,
          of_client ? 0 : s.generation);
  ++leg.pending;
  ++s.pending;
}

void UringEngine::OnError(UringSession& s, UringLeg& leg, int result) {
  // A hang-up alone means that both directions have ended in order.
  if (result < 0 || !(result & POLLERR)) return;
  leg.was_reset = true;
  if (!s.relaying) return Finish(s, CloseMode::kReset);
  // With the client gone, all is over. Of a backend the next send tells.
  Advance(s);
}

void UringEngine::OnReceived(UringSession& s, UringLeg& from, UringFlow& flow,
                             const io_uring_cqe& cqe) {
  if (!(cqe.flags & IORING_CQE_F_MORE)) from.receiving = false;
  if (cqe.flags & IORING_CQE_F_BUFFER) {
    buffers_.Taken();
    const uint32_t buffer = cqe.flags >> IORING_CQE_BUFFER_SHIFT;
    if (cqe.res > 0 && !flow.broken) {
      Enqueue(s, flow, buffer, static_cast<uint32_t>(cqe.res));
      if (s.fresh && &flow == &s.down) Commit(s);
    } else {
      buffers_.GiveBack(buffer);
    }
  }
  if (cqe.res == 0) {
    (from.was_reset ? flow.source_reset : flow.ended) = true;
    ArmErrorPoll(s, from);
  } else if (cqe.res == -ENOBUFS) {
    from.starved = true;
    if (!s.in_starved_list) starved_.push_back(&s);
    s.in_starved_list = true;
  } else if (cqe.res < 0 && cqe.res != -ECANCELED && cqe.res != -EINTR) {
    flow.source_reset = true;
  }
  if (!s.relaying) {
    if (flow.source_reset) return Finish(s, CloseMode::kReset);
    if (flow.queued_bytes >= kEarlyBytes) PauseReceive(s, from);
    if (!from.receiving && !flow.ended && !from.paused && !from.starved) {
      ArmReceive(s, from);
    }
    return;
  }
  Advance(s);
}

void UringEngine::Enqueue(UringSession& s, UringFlow& flow, uint32_t buffer,
                          uint32_t size) {
  UringChunk chunk;
  chunk.end = size;
  if (s.relaying && !flow.blocked) {
    chunk.buffer = buffer;
  } else {
    chunk.heap.reset(new char[size]);
    std::memcpy(chunk.heap.get(), buffers_.At(buffer), size);
    buffers_.GiveBack(buffer);
  }
  flow.queue.push_back(std::move(chunk));
  flow.queued_bytes += size;
}

void UringEngine::Spill(UringFlow& flow) {
  for (uint32_t i = flow.head; i < flow.queue.size(); ++i) {
    UringChunk& chunk = flow.queue[i];
    if (chunk.buffer == UringChunk::kNoBuffer) continue;
    const uint32_t size = chunk.end - chunk.begin;
    chunk.heap.reset(new char[size]);
    std::memcpy(chunk.heap.get(), buffers_.At(chunk.buffer) + chunk.begin,
                size);
    buffers_.GiveBack(chunk.buffer);
    chunk.buffer = UringChunk::kNoBuffer;
    chunk.begin = 0;
    chunk.end = size;
  }
}

void UringEngine::PopFront(UringFlow& flow) {
  UringChunk& chunk = flow.front();
  if (chunk.buffer != UringChunk::kNoBuffer) buffers_.GiveBack(chunk.buffer);
  chunk = UringChunk();
  ++flow.head;
  if (flow.empty()) {
    // An idle flow keeps little room.
    if (flow.queue.capacity() > 8) std::vector<UringChunk>().swap(flow.queue);
    flow.queue.clear();
    flow.head = 0;
  } else if (flow.head >= 64 && flow.head * 2 >= flow.queue.size()) {
    flow.queue.erase(flow.queue.begin(), flow.queue.begin() + flow.head);
    flow.head = 0;
  }
}

void UringEngine::Drop(UringFlow& flow) {
  while (!flow.empty()) PopFront(flow);
  flow.queued_bytes = 0;
}

void UringEngine::StartSend(UringSession& s, UringLeg& to, UringFlow& flow) {
  UringChunk& chunk = flow.front();
  const char* data = chunk.buffer == UringChunk::kNoBuffer
                         ? chunk.heap.get()
                         : buffers_.At(chunk.buffer);
  const bool to_client = &to == &s.client;
  io_uring_sqe* sqe = NextSqe();
  // At first only what fits: a buffer of the ring must not wait for a slow
  // reader.
  io_uring_prep_send(sqe, to.fd, data + chunk.begin, chunk.end - chunk.begin,
                     MSG_NOSIGNAL | (flow.blocked ? 0 : MSG_DONTWAIT));
  SetData(sqe, &s, to_client ? Op::kSendClient : Op::kSendBackend,
          to_client ? 0 : s.generation);
  flow.sending = true;
  ++to.pending;
  ++s.pending;
}

void UringEngine::OnSent(UringSession& s, UringLeg& to, UringFlow& flow,
                         int result) {
  flow.sending = false;
  if (result > 0) {
    if (s.fresh) Commit(s);
    UringChunk& chunk = flow.front();
    chunk.begin += static_cast<uint32_t>(result);
    flow.queued_bytes -= static_cast<uint32_t>(result);
    std::atomic<uint64_t>& total = &flow == &s.up ? s.endpoint->bytes_in_total
                                                  : s.endpoint->bytes_out_total;
    total.fetch_add(static_cast<uint64_t>(result), std::memory_order_relaxed);
    if (chunk.begin == chunk.end) {
      PopFront(flow);
      if (flow.empty()) flow.blocked = false;
    } else if (!flow.blocked) {
      flow.blocked = true;
      Spill(flow);
    }
  } else if (result == -EAGAIN) {
    flow.blocked = true;
    Spill(flow);
  } else if (result != -EINTR) {
    to.was_reset = result != -EPIPE;
    flow.broken = true;
    // Nothing was taken of a fresh session's: it may be another endpoint's.
    if (!s.fresh) Drop(flow);
  }
  Advance(s);
}

void UringEngine::AdvanceFlow(UringSession& s, UringLeg& from, UringLeg& to,
                              UringFlow& flow) {
  if (!flow.sending && !flow.broken) {
    if (!flow.empty()) {
      StartSend(s, to, flow);
    } else if (flow.ended && !flow.end_passed) {
      shutdown(to.fd, SHUT_WR);
      flow.end_passed = true;
      if (s.fresh && &flow == &s.up) Commit(s);
    }
  }
  if (flow.queued_bytes >= kPauseBytes) {
    PauseReceive(s, from);
  } else if (flow.queued_bytes <= kResumeBytes) {
    from.paused = false;
  }
  if (!from.receiving && !from.paused && !from.starved && !flow.ended &&
      !flow.source_reset) {
    ArmReceive(s, from);
  }
}

void UringEngine::Commit(UringSession& s) {
  s.fresh = false;
  events_.OnCommitted(s);
}

bool UringEngine::EndedEarly(UringSession& s) {
  if (s.client.was_reset || s.up.source_reset) return false;
  if (!s.up.broken && !s.down.ended && !s.down.source_reset) return false;
  if (s.up.sending) return true;
  const bool reset = s.up.broken || s.down.source_reset;
  if (events_.OnEarlyEnd(s, reset)) return true;
  s.fresh = false;
  if (s.up.broken) Drop(s.up);
  return false;
}

void UringEngine::Advance(UringSession& s) {
  if (s.fresh && EndedEarly(s)) return;
  AdvanceFlow(s, s.client, s.backend, s.up);
  AdvanceFlow(s, s.backend, s.client, s.down);
  // A client that is gone needs no more answers; of what it sent, the backend
  // gets what it takes at once.
  if (s.client.was_reset || s.down.broken) {
    return Finish(s, CloseMode::kReset);
  }
  if (s.up.source_reset && (s.up.Over() || s.up.blocked)) {
    return Finish(s, CloseMode::kReset);
  }
  if (s.down.source_reset && s.down.Over()) {
    return Finish(s, CloseMode::kReset);
  }
  if (s.up.Over() && s.down.Over()) Finish(s, CloseMode::kOrderly);
}

}  // namespace bulwark::lb
