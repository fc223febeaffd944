#include "lb/tcp/worker.h"

#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <vector>

#include "base/log.h"
#include "base/status.h"

namespace bulwark::lb {
namespace {

Session& Of(Link& link) { return static_cast<Session&>(link); }

// A failure of ours, for which no endpoint is to blame.
bool IsLocalFailure(int error) {
  switch (error) {
    case EMFILE:
    case ENFILE:
    case ENOMEM:
    case ENOBUFS:
    case EADDRNOTAVAIL:
      return true;
    default:
      return false;
  }
}

}  // namespace

absl::StatusOr<std::unique_ptr<Worker>> Worker::Start(int index,
                                                      EngineKind kind,
                                                      Clock& clock,
                                                      uint64_t seed) {
  auto worker = std::unique_ptr<Worker>(new Worker(index, clock, seed));
  // The engine is made on the thread that uses it: io_uring wants one issuer.
  absl::Status status;
  absl::BlockingCounter made(1);
  worker->thread_ = std::thread([&status, &made, kind, w = worker.get()] {
    auto engine = MakeEngine(kind, *w);
    if (engine.ok()) w->engine_ = *std::move(engine);
    status = engine.status();
    const bool ok = status.ok();
    made.DecrementCount();
    if (ok) w->Run();
  });
  made.Wait();
  RETURN_IF_ERROR(status);
  return worker;
}

Worker::Worker(int index, Clock& clock, uint64_t seed)
    : index_(index), clock_(clock), random_(seed) {}

Worker::~Worker() {
  {
    absl::MutexLock lock(&mu_);
    stop_ = true;
  }
  if (engine_ != nullptr) engine_->Wake();
  if (thread_.joinable()) thread_.join();
}

void Worker::Post(std::shared_ptr<const Config> config,
                  absl::BlockingCounter* done) {
  {
    absl::MutexLock lock(&mu_);
    mail_.push_back({std::move(config), done});
  }
  engine_->Wake();
}

void Worker::Run() {
  while (true) {
    {
      absl::MutexLock lock(&mu_);
      if (stop_) break;
    }
    now_ns_ = absl::ToInt64Nanoseconds(clock_.Steady());
    ReadMail();
    FireTimers();
    int64_t timeout_ns = -1;
    if (!timers_.empty()) {
      timeout_ns = std::max<int64_t>(0, timers_.begin()->first - now_ns_);
    }
    engine_->Poll(timeout_ns);
  }
  for (Link* list : {&sessions_, &waiting_}) {
    while (!list->empty()) {
      Session& s = Of(*list->next);
      LeaveState(s);
      s.Unlink();
      engine_->Close(s, CloseMode::kOrderly);
    }
  }
  // On this thread, the only one that may: what Close has only queued.
  engine_->Poll(0);
}

void Worker::OnAccept(uint64_t token, int fd) {
  auto listener = listeners_.find(token);
  if (listener == listeners_.end()) {
    close(fd);
    return;
  }
  const std::shared_ptr<const Pool>& pool = listener->second.pool;
  pool->counters->accepted_total.fetch_add(1, std::memory_order_relaxed);
  Session* session = engine_->NewSession(fd);
  if (session == nullptr) {
    pool->counters->failed_total.fetch_add(1, std::memory_order_relaxed);
    return;
  }
  session->pool = pool;
  if (pool->algorithm == Algorithm::kSourceHash) {
    SocketAddress peer;
    socklen_t size = SocketAddress::kCapacity;
    if (getpeername(fd, peer.get(), &size) == 0) {
      session->source_hash = peer.HostHash();
    }
  }
  now_ns_ = absl::ToInt64Nanoseconds(clock_.Steady());
  Dispatch(*session);
}

const Backend* Worker::Choose(const Session& session, uint64_t turn) const {
  const Pool& pool = *session.pool;
  PickRequest request;
  request.source_hash = session.source_hash;
  request.random = random_;
  request.turn = turn;
  request.now_ns = now_ns_;
  request.tried = session.tried;
  return Pick(pool.algorithm, pool.backends, request);
}

void Worker::Dispatch(Session& session) {
  const Pool& pool = *session.pool;
  if (pool.paused || pool.backends.ready().empty()) return Hold(session);
  random_ = Mix64(random_);
  const uint64_t turn =
      pool.algorithm == Algorithm::kRoundRobin
          ? pool.counters->turn.fetch_add(1, std::memory_order_relaxed)
          : 0;
  const Backend* backend = Choose(session, turn);
  if (backend != nullptr) return ConnectTo(session, *backend);
  if (session.tried.size() == session.spent) return Fail(session);
  // Each has refused: breathe, then ask all of them again.
  PauseRound(session);
}

void Worker::PauseRound(Session& session) {
  session.tried.resize(session.spent);
  session.state = Session::State::kPausing;
  session.MoveTo(sessions_);
  SetTimer(session, std::min(now_ns_ + kRoundPauseNs, session.give_up_ns));
}

void Worker::Hold(Session& session) {
  PoolCounters& counters = *session.pool->counters;
  session.tried.resize(session.spent);
  session.give_up_ns = 0;
  if (session.hold_until_ns == 0) {
    session.hold_until_ns = now_ns_ + session.pool->hold_timeout_ns;
    counters.held_total.fetch_add(1, std::memory_order_relaxed);
  }
  if (counters.held.fetch_add(1, std::memory_order_relaxed) >=
      session.pool->hold_limit) {
    counters.held.fetch_sub(1, std::memory_order_relaxed);
    return Fail(session);
  }
  session.state = Session::State::kHeld;
  session.MoveTo(waiting_);
  SetTimer(session, session.hold_until_ns);
}

void Worker::ConnectTo(Session& session, const Backend& backend) {
  session.endpoint = backend.endpoint;
  session.state = Session::State::kConnecting;
  session.connect_began_ns = now_ns_;
  session.MoveTo(sessions_);
  if (session.give_up_ns == 0) {
    session.give_up_ns = now_ns_ + kConnectTotalNs;
  }
  backend.endpoint->active.fetch_add(1, std::memory_order_relaxed);
  const bool others =
      session.pool->backends.ready().size() > session.tried.size() + 1;
  SetTimer(session, others ? std::min(now_ns_ + kAttemptNs, session.give_up_ns)
                           : session.give_up_ns);
  const int error = engine_->Connect(session, backend.endpoint->address);
  // Never deep: a round is bounded, and the next one comes by timer.
  if (error != 0) ConnectFailed(session, error);
}

void Worker::OnConnect(Session& session, int error) {
  if (error != 0) return ConnectFailed(session, error);
  ClearTimer(session);
  session.state = Session::State::kRelaying;
  Endpoint& endpoint = *session.endpoint;
  endpoint.connections_total.fetch_add(1, std::memory_order_relaxed);
  endpoint.connect_nanoseconds_total.fetch_add(
      absl::ToInt64Nanoseconds(clock_.Steady()) - session.connect_began_ns,
      std::memory_order_relaxed);
  engine_->Relay(session);
}

void Worker::OnCommitted(Session& session) {
  // Not at the connect: else an endpoint that resets all it accepts would
  // never be ejected.
  session.endpoint->target.RecordSuccess(now_ns_);
  session.tried.clear();
  session.spent = 0;
}

bool Worker::Spend(Session& session, const Endpoint& endpoint) const {
  const Pool& pool = *session.pool;
  // One that is not listed is not asked anyway, and may be freed any time.
  if (pool.backends.Find(&endpoint) != nullptr) {
    session.tried.insert(session.tried.begin() + session.spent, &endpoint);
    ++session.spent;
  }
  if (session.orphan || session.spent > kMaxOthers) return false;
  // With none ready, the session waits for one, as a new one would.
  if (pool.paused || pool.backends.ready().empty()) return true;
  return session.tried.size() > session.spent ||
         Choose(session, /*turn=*/0) != nullptr;
}

bool Worker::OnEarlyEnd(Session& session, bool reset) {
  now_ns_ = absl::ToInt64Nanoseconds(clock_.Steady());
  if (reset) ReportFailure(*session.pool, *session.endpoint);
  if (now_ns_ >= session.give_up_ns) {
    // It was idle for long: this is a connect of its own.
    session.tried.resize(session.spent);
    session.give_up_ns = now_ns_ + kConnectTotalNs;
  }
  if (!Spend(session, *session.endpoint)) {
    if (reset) {
      session.pool->counters->failed_total.fetch_add(1,
                                                     std::memory_order_relaxed);
    }
    return false;
  }
  engine_->Disconnect(session);
  LeaveState(session);
  session.pool->counters->retried_total.fetch_add(1, std::memory_order_relaxed);
  Dispatch(session);
  return true;
}

void Worker::ReportFailure(const Pool& pool, Endpoint& endpoint) {
  if (pool.backends.ReportFailure(endpoint, now_ns_)) {
    LOG_WARN("endpoint ejected", {{"pool", pool.id}, {"id", endpoint.id}});
  }
}

void Worker::ConnectFailed(Session& session, int error) {
  now_ns_ = absl::ToInt64Nanoseconds(clock_.Steady());
  LeaveState(session);
  const std::shared_ptr<Endpoint> endpoint = std::move(session.endpoint);
  const Pool& pool = *session.pool;
  const bool local = IsLocalFailure(error);
  if (!local) ReportFailure(pool, *endpoint);
  if (error == ECONNRESET && !Spend(session, *endpoint)) {
    return Fail(session);
  }
  if (now_ns_ >= session.give_up_ns) return Fail(session);
  pool.counters->retried_total.fetch_add(1, std::memory_order_relaxed);
  if (!local && error != ECONNRESET) session.tried.push_back(endpoint.get());
  if (!local && session.tried.size() <= kMaxOthers) return Dispatch(session);
  PauseRound(session);
}

void Worker::OnClosed(Session& session) {
  LeaveState(session);
  session.Unlink();
}

void Worker::Fail(Session& session) {
  session.pool->counters->failed_total.fetch_add(1, std::memory_order_relaxed);
  session.Unlink();
  ClearTimer(session);
  engine_->Close(session, CloseMode::kReset);
}

void Worker::LeaveState(Session& session) {
  ClearTimer(session);
  switch (session.state) {
    case Session::State::kHeld:
      session.pool->counters->held.fetch_sub(1, std::memory_order_relaxed);
      break;
    case Session::State::kConnecting:
    case Session::State::kRelaying:
      session.endpoint->active.fetch_sub(1, std::memory_order_relaxed);
      break;
    case Session::State::kPausing:
      break;
  }
  session.state = Session::State::kPausing;
}

void Worker::SetTimer(Session& session, int64_t at_ns) {
  ClearTimer(session);
  session.timer_ns = at_ns;
  timers_.emplace(at_ns, &session);
}

void Worker::ClearTimer(Session& session) {
  if (session.timer_ns == 0) return;
  timers_.erase({session.timer_ns, &session});
  session.timer_ns = 0;
}

void Worker::FireTimers() {
  while (!timers_.empty() && timers_.begin()->first <= now_ns_) {
    Session& session = *timers_.begin()->second;
    switch (session.state) {
      case Session::State::kHeld:
        LeaveState(session);
        Fail(session);
        break;
      case Session::State::kConnecting:
        engine_->Disconnect(session);
        ConnectFailed(session, ETIMEDOUT);
        break;
      case Session::State::kPausing:
        ClearTimer(session);
        if (now_ns_ >= session.give_up_ns) {
          Fail(session);
        } else {
          Dispatch(session);
        }
        break;
      case Session::State::kRelaying:
        ClearTimer(session);
        break;
    }
  }
}

}  // namespace bulwark::lb
