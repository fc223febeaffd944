#include "lb/tcp/epoll_engine.h"

#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>

#include "base/status.h"
#include "lb/tcp/socket_options.h"

namespace bulwark::lb {
namespace {

constexpr size_t kScratchBytes = 256 << 10;
// Connections taken from one listener before others get their turn.
constexpr int kAcceptBatch = 64;
constexpr int kEventBatch = 256;
// Pause of a listener while the process has no descriptors left.
constexpr int64_t kStarvedNs = 50'000'000;
// What is thrown away at most of a client that talks to a closed backend.
constexpr int kDiscardRounds = 16;

EpollSession& Of(Session& session) {
  return static_cast<EpollSession&>(session);
}

uint64_t Tag(EpollSource* source, uint8_t generation) {
  return reinterpret_cast<uintptr_t>(source) | (generation & 7);
}

void CloseLeg(EpollLeg& leg, CloseMode mode) {
  if (leg.fd < 0) return;
  if (mode == CloseMode::kReset) ResetOnClose(leg.fd);
  close(leg.fd);
  leg.fd = -1;
}

}  // namespace

absl::StatusOr<std::unique_ptr<EventEngine>> MakeEpollEngine(
    EngineEvents& events) {
  return EpollEngine::Create(events);
}

absl::StatusOr<std::unique_ptr<EpollEngine>> EpollEngine::Create(
    EngineEvents& events) {
  auto engine = std::unique_ptr<EpollEngine>(new EpollEngine(events));
  engine->epoll_.Reset(epoll_create1(EPOLL_CLOEXEC));
  if (!engine->epoll_.ok()) return ErrnoStatus("create", "epoll");
  engine->wake_.Reset(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
  if (!engine->wake_.ok()) return ErrnoStatus("create", "eventfd");
  if (!engine->Add(engine->wake_.get(), &engine->wake_source_, EPOLLIN)) {
    return ErrnoStatus("watch", "eventfd");
  }
  return engine;
}

EpollEngine::EpollEngine(EngineEvents& events)
    : events_(events), scratch_(kScratchBytes) {}

EpollEngine::~EpollEngine() = default;

bool EpollEngine::Add(int fd, EpollSource* source, uint32_t events) {
  epoll_event event = {};
  event.events = events;
  event.data.u64 = Tag(source, source->kind == EpollSource::Kind::kLeg
                                   ? static_cast<EpollLeg*>(source)->generation
                                   : 0);
  return epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) == 0;
}

absl::Status EpollEngine::AddListener(uint64_t token, int fd) {
  auto listener = std::make_unique<ListenerSource>();
  listener->kind = EpollSource::Kind::kListener;
  listener->token = token;
  listener->fd = fd;
  if (!SetNonBlocking(fd, true)) return ErrnoStatus("prepare", "listener");
  if (!Add(fd, listener.get(), EPOLLIN | EPOLLET)) {
    return ErrnoStatus("watch", "listener");
  }
  listeners_[token] = std::move(listener);
  return absl::OkStatus();
}

void EpollEngine::RemoveListener(uint64_t token) {
  auto it = listeners_.find(token);
  if (it == listeners_.end()) return;
  epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, it->second->fd, nullptr);
  it->second->removed = true;
  dead_listeners_.push_back(std::move(it->second));
  listeners_.erase(it);
}

Session* EpollEngine::NewSession(int client_fd) {
  auto session = std::make_unique<EpollSession>();
  session->client.session = session->backend.session = session.get();
  session->ready.session = session.get();
  session->client.fd = client_fd;
  if (!Add(client_fd, &session->client,
           EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET)) {
    CloseLeg(session->client, CloseMode::kReset);
    return nullptr;
  }
  return session.release();
}

int EpollEngine::Connect(Session& base, const SocketAddress& address) {
  EpollSession& session = Of(base);
  EpollLeg& leg = session.backend;
  leg.fd = OpenBackendSocket(address.family(), SOCK_NONBLOCK);
  if (leg.fd < 0) return errno;
  ++leg.generation;
  leg.readable = false;
  leg.writable = true;
  leg.peer_ended = leg.error = leg.was_reset = false;
  int error = 0;
  // Added after connect: before it, the socket would report a hang-up.
  if (connect(leg.fd, address.get(), address.size()) != 0 &&
      errno != EINPROGRESS) {
    error = errno;
  } else if (!Add(leg.fd, &leg, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET)) {
    error = errno == ENOSPC ? ENOMEM : errno;
  }
  if (error != 0) CloseLeg(leg, CloseMode::kReset);
  return error;
}

bool EpollEngine::Disconnect(Session& base) {
  EpollSession& session = Of(base);
  if (session.relaying && !session.fresh) return false;
  session.relaying = session.fresh = false;
  session.ready.Unlink();
  CloseLeg(session.backend, CloseMode::kReset);
  session.down = EpollFlow();
  session.up.broken = false;
  return true;
}

void EpollEngine::ConnectDone(EpollSession& session) {
  EpollLeg& leg = session.backend;
  int error = 0;
  if (leg.error) {
    socklen_t size = sizeof(error);
    getsockopt(leg.fd, SOL_SOCKET, SO_ERROR, &error, &size);
    if (error == 0) error = ECONNRESET;
    CloseLeg(leg, CloseMode::kReset);
  } else if (!leg.writable) {
    return;
  }
  events_.OnConnect(session, error);
}

void EpollEngine::Relay(Session& base) {
  EpollSession& session = Of(base);
  session.relaying = session.fresh = true;
  session.client.readable = true;
  Pump(session);
}

void EpollEngine::OnListener(ListenerSource& listener) {
  listener.starved = false;
  for (int i = 0; i < kAcceptBatch && !listener.removed; ++i) {
    const int fd =
        accept4(listener.fd, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0) {
      events_.OnAccept(listener.token, fd);
      continue;
    }
    if (errno == EAGAIN) return;
    if (errno == EMFILE || errno == ENFILE || errno == ENOMEM ||
        errno == ENOBUFS) {
      listener.starved = starved_ = true;
      break;
    }
    // Others are faults of one connection that died in the queue (accept(2)).
  }
  if (!listener.removed) ready_listeners_.push_back(&listener);
}

void EpollEngine::OnLeg(EpollLeg& leg, uint32_t events) {
  EpollSession& session = *leg.session;
  if (session.closed) return;
  if (events & (EPOLLERR | EPOLLHUP)) leg.error |= (events & EPOLLERR) != 0;
  if (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) {
    leg.readable = true;
  }
  if (events & (EPOLLRDHUP | EPOLLHUP)) leg.peer_ended = true;
  if (&leg == &session.backend && !session.relaying) {
    leg.writable = (events & EPOLLOUT) != 0;
    leg.error |= (events & EPOLLHUP) != 0;
    return ConnectDone(session);
  }
  if (events & (EPOLLOUT | EPOLLERR | EPOLLHUP)) leg.writable = true;
  if (session.relaying) return Pump(session);
  // The client, before it was connected: gone, or merely early.
  if (events & (EPOLLERR | EPOLLHUP)) Finish(session, CloseMode::kReset);
}

bool EpollEngine::EndedEarly(EpollSession& s) {
  if (s.client.error || s.up.source_reset) return false;
  EpollLeg& backend = s.backend;
  bool reset = s.up.broken;
  if (!reset) {
    char byte;
    const ssize_t n = recv(backend.fd, &byte, 1, MSG_PEEK);
    if (n > 0) return false;
    if (n < 0 && errno == EAGAIN) {
      // What comes after this look brings an event of its own.
      backend.readable = false;
      return false;
    }
    backend.readable = true;
    // The look has taken the error away.
    reset = backend.was_reset = n < 0;
  }
  if (events_.OnEarlyEnd(s, reset)) return true;
  s.fresh = false;
  if (s.up.broken) s.up.pending.reset();
  return false;
}

void EpollEngine::Pump(EpollSession& s) {
  // A look at the backend before its first byte: what is written to a socket
  // whose other end is dead can be given to nobody else.
  if (s.fresh && EndedEarly(s)) return;
  bool more = false;
  const size_t in = MoveBytes(s.client, s.backend, s.up, scratch_.data(),
                              scratch_.size(), &more);
  if (s.fresh && s.up.broken && in == 0 && EndedEarly(s)) return;
  const size_t out = MoveBytes(s.backend, s.client, s.down, scratch_.data(),
                               scratch_.size(), &more);
  if (s.fresh && (in != 0 || out != 0 || s.up.end_passed)) {
    s.fresh = false;
    events_.OnCommitted(s);
  }
  if (in != 0) {
    s.endpoint->bytes_in_total.fetch_add(in, std::memory_order_relaxed);
  }
  if (out != 0) {
    s.endpoint->bytes_out_total.fetch_add(out, std::memory_order_relaxed);
  }
  if (more) {
    s.ready.MoveTo(ready_);
    return;
  }
  // A client that is gone needs no more answers; of what it sent, the backend
  // has got what it would take.
  if (s.client.error || s.client.was_reset || s.up.source_reset ||
      s.down.broken) {
    return Finish(s, CloseMode::kReset);
  }
  if (s.down.source_reset && s.down.Over()) {
    return Finish(s, CloseMode::kReset);
  }
  if (!s.up.Over() || !s.down.Over()) return;
  if (s.up.broken && s.down.end_passed) {
    // The backend closed while the client still sends. A close with unread
    // bytes would reset the client before it has read the answer.
    for (int i = 0; i < kDiscardRounds; ++i) {
      if (recv(s.client.fd, scratch_.data(), scratch_.size(), 0) <= 0) break;
    }
    return Finish(s, CloseMode::kOrderly);
  }
  Finish(s, CloseMode::kOrderly);
}

void EpollEngine::Finish(EpollSession& session, CloseMode mode) {
  events_.OnClosed(session);
  Free(session, mode);
}

void EpollEngine::Close(Session& session, CloseMode mode) {
  Free(Of(session), mode);
}

void EpollEngine::Free(EpollSession& session, CloseMode mode) {
  if (session.closed) return;
  session.closed = true;
  session.ready.Unlink();
  CloseLeg(session.backend, mode);
  CloseLeg(session.client, mode);
  graveyard_.emplace_back(&session);
}

void EpollEngine::RunReady() {
  std::vector<ListenerSource*> listeners;
  listeners.swap(ready_listeners_);
  starved_ = false;
  for (ListenerSource* l : listeners) {
    if (!l->removed) OnListener(*l);
  }
  // Those that become ready again meanwhile go to the end.
  Link batch;
  while (!ready_.empty()) ready_.next->MoveTo(batch);
  while (!batch.empty()) {
    EpollSession& session =
        *static_cast<EpollSession::ReadyLink*>(batch.next)->session;
    session.ready.Unlink();
    Pump(session);
  }
}

void EpollEngine::Poll(int64_t timeout_ns) {
  if (!ready_.empty() || (!ready_listeners_.empty() && !starved_)) {
    timeout_ns = 0;
  } else if (starved_ && (timeout_ns < 0 || timeout_ns > kStarvedNs)) {
    timeout_ns = kStarvedNs;
  }
  // Rounded up, or the last fraction of a wait would be spent spinning.
  const int timeout_ms =
      timeout_ns < 0 ? -1
                     : static_cast<int>(std::min<int64_t>(
                           (timeout_ns + 999'999) / 1000000, 3'600'000));
  epoll_event batch[kEventBatch];
  const int n = epoll_wait(epoll_.get(), batch, kEventBatch, timeout_ms);
  for (int i = 0; i < n; ++i) {
    const uint64_t data = batch[i].data.u64;
    auto* source = reinterpret_cast<EpollSource*>(data & ~uint64_t{7});
    switch (source->kind) {
      case EpollSource::Kind::kWake: {
        uint64_t count;
        [[maybe_unused]] ssize_t r = read(wake_.get(), &count, sizeof(count));
        break;
      }
      case EpollSource::Kind::kListener:
        OnListener(*static_cast<ListenerSource*>(source));
        break;
      case EpollSource::Kind::kLeg: {
        EpollLeg& leg = *static_cast<EpollLeg*>(source);
        if ((leg.generation & 7) == (data & 7)) OnLeg(leg, batch[i].events);
        break;
      }
    }
  }
  if (!ready_.empty() || !ready_listeners_.empty()) RunReady();
  graveyard_.clear();
  std::erase_if(ready_listeners_,
                [](const ListenerSource* l) { return l->removed; });
  dead_listeners_.clear();
}

void EpollEngine::Wake() {
  const uint64_t one = 1;
  [[maybe_unused]] ssize_t r = write(wake_.get(), &one, sizeof(one));
}

}  // namespace bulwark::lb
