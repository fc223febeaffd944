#include "lb/tcp/uring_engine.h"

#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <iterator>

#include "base/check.h"
#include "base/status.h"
#include "lb/tcp/socket_options.h"

namespace bulwark::lb {
namespace {

constexpr unsigned kSubmissions = 1024;
constexpr unsigned kCompletions = 8192;
// Pause of a listener while the process has no descriptors left.
constexpr int64_t kStarvedNs = 50'000'000;
// When accepts are armed anew, each counted from the one before.
constexpr int64_t kRearmNs[] = {5'000'000,   10'000'000,    20'000'000,
                                50'000'000,  100'000'000,   300'000'000,
                                500'000'000, 1'000'000'000, 3'000'000'000};
constexpr uint64_t kOpMask = 15;
constexpr int kGenerationShift = 48;

UringSession& Of(Session& session) {
  return static_cast<UringSession&>(session);
}

}  // namespace

absl::StatusOr<std::unique_ptr<EventEngine>> MakeUringEngine(
    EngineEvents& events) {
  return UringEngine::Create(events);
}

absl::StatusOr<std::unique_ptr<UringEngine>> UringEngine::Create(
    EngineEvents& events) {
  auto engine = std::unique_ptr<UringEngine>(new UringEngine(events));
  io_uring_params params = {};
  params.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN |
                 IORING_SETUP_SUBMIT_ALL | IORING_SETUP_CQSIZE;
  params.cq_entries = kCompletions;
  const int error =
      io_uring_queue_init_params(kSubmissions, &engine->ring_, &params);
  if (error != 0) return ErrnoStatus(-error, "set up", "io_uring");
  engine->ring_made_ = true;
  RETURN_IF_ERROR(engine->buffers_.Register(engine->ring_));
  engine->wake_.Reset(eventfd(0, EFD_CLOEXEC));
  if (!engine->wake_.ok()) return ErrnoStatus("create", "eventfd");
  engine->ArmWake();
  return engine;
}

UringEngine::~UringEngine() {
  if (ring_made_) {
    // Closes that are queued still.
    io_uring_submit(&ring_);
    io_uring_queue_exit(&ring_);
  }
  while (!sessions_.empty()) {
    delete static_cast<UringSession::EngineLink*>(sessions_.next)->session;
  }
}

io_uring_sqe* UringEngine::NextSqe() {
  io_uring_sqe* sqe = io_uring_get_sqe(&ring_);
  while (sqe == nullptr) {
    io_uring_submit(&ring_);
    sqe = io_uring_get_sqe(&ring_);
  }
  return sqe;
}

void UringEngine::SetData(io_uring_sqe* sqe, const void* object, Op op,
                          uint16_t generation) {
  io_uring_sqe_set_data64(sqe, reinterpret_cast<uintptr_t>(object) |
                                   static_cast<uint64_t>(op) |
                                   uint64_t{generation} << kGenerationShift);
}

void UringEngine::ArmWake() {
  io_uring_sqe* sqe = NextSqe();
  io_uring_prep_read(sqe, wake_.get(), &wake_count_, sizeof(wake_count_), 0);
  SetData(sqe, nullptr, Op::kWake);
}

void UringEngine::Wake() {
  const uint64_t one = 1;
  [[maybe_unused]] ssize_t r = write(wake_.get(), &one, sizeof(one));
}

absl::Status UringEngine::AddListener(uint64_t token, int fd) {
  // A non-blocking file makes the kernel answer EAGAIN instead of waiting.
  if (!SetNonBlocking(fd, false)) return ErrnoStatus("prepare", "listener");
  auto listener = std::make_unique<ListenerSource>();
  listener->token = token;
  listener->fd = fd;
  ArmAccept(*listener);
  listeners_[token] = std::move(listener);
  rearms_ = 0;
  if (!rearm_pending_) ArmRearm();
  return absl::OkStatus();
}

void UringEngine::ArmAccept(ListenerSource& listener) {
  io_uring_sqe* sqe = NextSqe();
  io_uring_prep_multishot_accept(sqe, listener.fd, nullptr, nullptr,
                                 SOCK_CLOEXEC);
  SetData(sqe, &listener, Op::kAccept);
  listener.pending = true;
}

void UringEngine::CancelAccept(ListenerSource& listener) {
  io_uring_sqe* sqe = NextSqe();
  io_uring_prep_cancel64(sqe,
                         reinterpret_cast<uintptr_t>(&listener) |
                             static_cast<uint64_t>(Op::kAccept),
                         0);
  SetData(sqe, nullptr, Op::kIgnored);
}

void UringEngine::ArmRearm() {
  if (rearms_ == std::size(kRearmNs)) return;
  const int64_t ns = kRearmNs[rearms_++];
  rearm_wait_ = {ns / 1'000'000'000, ns % 1'000'000'000};
  io_uring_sqe* sqe = NextSqe();
  io_uring_prep_timeout(sqe, &rearm_wait_, 0, 0);
  SetData(sqe, nullptr, Op::kRearm);
  rearm_pending_ = true;
}

void UringEngine::OnRearm() {
  rearm_pending_ = false;
  // The end of a cancelled accept arms the next one.
  for (const auto& [token, listener] : listeners_) {
    if (listener->pending) CancelAccept(*listener);
  }
  ArmRearm();
}

void UringEngine::RemoveListener(uint64_t token) {
  auto it = listeners_.find(token);
  if (it == listeners_.end()) return;
  ListenerSource& listener = *it->second;
  listener.removed = true;
  if (listener.pending) {
    CancelAccept(listener);
    // Now: the owner closes the socket when we return, and it must not stay
    // open, and listening, by a request of ours.
    io_uring_submit_and_get_events(&ring_);
  }
  dead_listeners_.push_back(std::move(it->second));
  listeners_.erase(it);
}

Session* UringEngine::NewSession(int client_fd) {
  auto* session = new UringSession;
  session->client.fd = client_fd;
  session->engine_link.session = session;
  session->engine_link.MoveTo(sessions_);
  ArmReceive(*session, session->client);
  return session;
}

int UringEngine::Connect(Session& base, const SocketAddress& address) {
  UringSession& s = Of(base);
  ++s.generation;
  s.backend = UringLeg();
  s.backend.fd = OpenBackendSocket(address.family(), 0);
  if (s.backend.fd < 0) return errno;
  io_uring_sqe* sqe = NextSqe();
  // The address belongs to the endpoint, which the session holds.
  io_uring_prep_connect(sqe, s.backend.fd, address.get(), address.size());
  SetData(sqe, &s, Op::kConnect, s.generation);
  ++s.backend.pending;
  ++s.pending;
  return 0;
}

bool UringEngine::Disconnect(Session& base) {
  UringSession& s = Of(base);
  if (s.relaying && (!s.fresh || s.up.sending)) return false;
  s.relaying = s.fresh = false;
  CloseLeg(s.backend, CloseMode::kReset);
  // What is still to come of this socket belongs to an older generation.
  ++s.generation;
  s.backend = UringLeg();
  s.down = UringFlow();
  s.up.broken = s.up.blocked = false;
  Spill(s.up);
  return true;
}

void UringEngine::OnConnected(UringSession& s, int result) {
  if (result != 0) {
    CloseLeg(s.backend, CloseMode::kReset);
    ++s.generation;
    s.backend = UringLeg();
  }
  events_.OnConnect(s, -result);
}

void UringEngine::Relay(Session& base) {
  UringSession& s = Of(base);
  s.relaying = s.fresh = true;
  ArmReceive(s, s.backend);
  Advance(s);
}

void UringEngine::CloseLeg(UringLeg& leg, CloseMode mode) {
  if (leg.fd < 0) return;
  if (mode == CloseMode::kReset) ResetOnClose(leg.fd);
  if (leg.pending > 0) {
    // Requests hold the socket open until they are cancelled.
    io_uring_sqe* sqe = NextSqe();
    io_uring_prep_cancel_fd(sqe, leg.fd, IORING_ASYNC_CANCEL_ALL);
    SetData(sqe, nullptr, Op::kIgnored);
  }
  // Requests are started in order: the cancel still finds the descriptor.
  io_uring_sqe* sqe = NextSqe();
  io_uring_prep_close(sqe, leg.fd);
  SetData(sqe, nullptr, Op::kIgnored);
  leg.fd = -1;
}

void UringEngine::Close(Session& session, CloseMode mode) {
  Free(Of(session), mode);
}

void UringEngine::Finish(UringSession& s, CloseMode mode) {
  events_.OnClosed(s);
  Free(s, mode);
}

void UringEngine::Free(UringSession& s, CloseMode mode) {
  if (s.closed) return;
  s.closed = true;
  CloseLeg(s.backend, mode);
  CloseLeg(s.client, mode);
  if (s.pending == 0) Completed(s);
}

void UringEngine::Completed(UringSession& s) {
  s.engine_link.Unlink();
  Drop(s.up);
  Drop(s.down);
  if (s.in_starved_list) std::erase(starved_, &s);
  graveyard_.emplace_back(&s);
}

void UringEngine::OnAccepted(ListenerSource& listener,
                             const io_uring_cqe& cqe) {
  const bool more = (cqe.flags & IORING_CQE_F_MORE) != 0;
  if (!more) listener.pending = false;
  if (cqe.res >= 0) {
    if (listener.removed) {
      close(cqe.res);
    } else {
      events_.OnAccept(listener.token, cqe.res);
    }
  }
  if (more) return;
  if (listener.removed) {
    std::erase_if(dead_listeners_,
                  [&](const auto& l) { return l.get() == &listener; });
    return;
  }
  if (cqe.res == -EMFILE || cqe.res == -ENFILE || cqe.res == -ENOMEM ||
      cqe.res == -ENOBUFS) {
    starved_listeners_.push_back(&listener);
  } else {
    ArmAccept(listener);
  }
}

void UringEngine::OnCompletion(const io_uring_cqe& cqe) {
  const uint64_t data = cqe.user_data;
  const Op op = static_cast<Op>(data & kOpMask);
  if (op == Op::kIgnored) return;
  if (op == Op::kWake) return ArmWake();
  if (op == Op::kRearm) return OnRearm();
  auto* object = reinterpret_cast<void*>(
      data & ~kOpMask & ((uint64_t{1} << kGenerationShift) - 1));
  if (op == Op::kAccept) {
    return OnAccepted(*static_cast<ListenerSource*>(object), cqe);
  }
  UringSession& s = *static_cast<UringSession*>(object);
  const bool of_client = op == Op::kReceiveClient || op == Op::kSendClient ||
                         op == Op::kErrorClient;
  const bool current = of_client || (data >> kGenerationShift) == s.generation;
  UringLeg& leg = of_client ? s.client : s.backend;
  const bool last = (cqe.flags & IORING_CQE_F_MORE) == 0;
  if (last) {
    --s.pending;
    if (current) --leg.pending;
  }
  if (s.closed || !current) {
    if (cqe.flags & IORING_CQE_F_BUFFER) {
      buffers_.Taken();
      buffers_.GiveBack(cqe.flags >> IORING_CQE_BUFFER_SHIFT);
    }
    if (s.closed && s.pending == 0) Completed(s);
    return;
  }
  switch (op) {
    case Op::kConnect:
      return OnConnected(s, cqe.res);
    case Op::kReceiveClient:
      return OnReceived(s, s.client, s.up, cqe);
    case Op::kReceiveBackend:
      return OnReceived(s, s.backend, s.down, cqe);
    case Op::kSendClient:
      return OnSent(s, s.client, s.down, cqe.res);
    case Op::kSendBackend:
      return OnSent(s, s.backend, s.up, cqe.res);
    case Op::kErrorClient:
    case Op::kErrorBackend:
      return OnError(s, leg, cqe.res);
    default:
      return;
  }
}

void UringEngine::RetryStarved() {
  std::vector<UringSession*> sessions;
  sessions.swap(starved_);
  for (UringSession* s : sessions) {
    s->in_starved_list = false;
    for (UringLeg* leg : {&s->client, &s->backend}) {
      if (!leg->starved) continue;
      leg->starved = false;
      ArmReceive(*s, *leg);
    }
  }
}

void UringEngine::Poll(int64_t timeout_ns) {
  if (!starved_listeners_.empty() &&
      (timeout_ns < 0 || timeout_ns > kStarvedNs)) {
    timeout_ns = kStarvedNs;
  }
  io_uring_cqe* cqe = nullptr;
  if (timeout_ns < 0) {
    io_uring_submit_and_wait(&ring_, 1);
  } else {
    __kernel_timespec wait = {timeout_ns / 1'000'000'000,
                              timeout_ns % 1'000'000'000};
    io_uring_submit_and_wait_timeout(&ring_, &cqe, 1, &wait, nullptr);
  }
  unsigned head, seen = 0;
  io_uring_for_each_cqe(&ring_, head, cqe) {
    ++seen;
    // A copy: the ring's own may be reused as soon as we submit.
    const io_uring_cqe copy = *cqe;
    OnCompletion(copy);
  }
  io_uring_cq_advance(&ring_, seen);
  if (!starved_.empty() && buffers_.free_count() > 0) RetryStarved();
  if (!starved_listeners_.empty() && seen == 0) {
    std::vector<ListenerSource*> listeners;
    listeners.swap(starved_listeners_);
    for (ListenerSource* l : listeners) {
      if (!l->removed) ArmAccept(*l);
    }
  }
  graveyard_.clear();
}

}  // namespace bulwark::lb
