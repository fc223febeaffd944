// How a worker changes to a new configuration.
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "base/log.h"
#include "lb/tcp/worker.h"

namespace bulwark::lb {
namespace {

// What `session` has tried is known by address: an endpoint that is listed no
// more may be freed, and its address become another's.
void ForgetUnlisted(Session& session) {
  if (session.tried.empty()) return;
  const BackendSet& set = session.pool->backends;
  uint32_t spent = 0, kept = 0;
  for (uint32_t i = 0; i < session.tried.size(); ++i) {
    if (set.Find(session.tried[i]) == nullptr) continue;
    if (i < session.spent) ++spent;
    session.tried[kept++] = session.tried[i];
  }
  session.tried.resize(kept);
  session.spent = spent;
}

struct Standing {
  explicit Standing(const Config& config) {
    for (const auto& [id, pool] : config.pools) {
      for (const Backend& b : pool->backends.all()) {
        if (b.state == EndpointState::kReady && !pool->paused) {
          ready.insert(b.endpoint.get());
        }
        if (b.state == EndpointState::kClosed) closed.insert(b.endpoint.get());
      }
    }
  }

  // Of pools that are not paused.
  absl::flat_hash_set<const Endpoint*> ready;
  absl::flat_hash_set<const Endpoint*> closed;
};

}  // namespace

void Worker::ReadMail() {
  std::vector<Mail> mail;
  {
    absl::MutexLock lock(&mu_);
    mail.swap(mail_);
  }
  for (const Mail& m : mail) {
    UseConfig(*m.config);
    m.done->DecrementCount();
  }
}

void Worker::UseConfig(const Config& config) {
  UseListeners(config);
  UseEndpoints(config);
}

void Worker::UseListeners(const Config& config) {
  std::map<SocketKey, const Listener*> wanted;
  for (const Listener& l : config.listeners) {
    if (l.sockets != nullptr) wanted.emplace(l.key, &l);
  }
  for (auto it = listeners_.begin(); it != listeners_.end();) {
    auto found = wanted.find(it->second.key);
    if (found != wanted.end() && found->second->sockets == it->second.sockets) {
      it->second.pool = found->second->pool;
      wanted.erase(found);
      ++it;
      continue;
    }
    engine_->RemoveListener(it->first);
    it = listeners_.erase(it);
  }
  for (const auto& [key, listener] : wanted) {
    const uint64_t token = next_token_++;
    const int fd =
        (*listener->sockets)[index_ % listener->sockets->size()].get();
    listeners_[token] = {key, listener->sockets, listener->pool};
    absl::Status status = engine_->AddListener(token, fd);
    if (!status.ok()) {
      LOG_ERROR("listener not served",
                {{"listener", listener->name}, {"error", status}});
      listeners_.erase(token);
    }
  }
}

void Worker::UseEndpoints(const Config& config) {
  const Standing standing(config);
  absl::flat_hash_map<const Pool*, std::shared_ptr<const Pool>> successors;
  std::vector<Session*> to_reset, to_dispatch, to_fail;
  for (Link* list : {&waiting_, &sessions_}) {
    for (Link* l = list->next; l != list; l = l->next) {
      Session& s = static_cast<Session&>(*l);
      auto [it, fresh] = successors.try_emplace(s.pool.get(), nullptr);
      if (fresh) {
        auto pool = config.pools.find(s.pool->id);
        if (pool != config.pools.end()) it->second = pool->second;
      }
      bool relaying = s.state == Session::State::kRelaying;
      s.orphan = it->second == nullptr;
      if (relaying && standing.closed.contains(s.endpoint.get())) {
        // Nothing has passed: it may be another endpoint's.
        relaying = s.orphan || !engine_->Disconnect(s);
        if (relaying) to_reset.push_back(&s);
        s.give_up_ns = 0;
      }
      if (s.orphan) {
        if (!relaying) to_fail.push_back(&s);
        continue;
      }
      s.pool = it->second;
      ForgetUnlisted(s);
      if (relaying || (s.state == Session::State::kConnecting &&
                       standing.ready.contains(s.endpoint.get()))) {
        continue;
      }
      to_dispatch.push_back(&s);
    }
  }
  for (Session* s : to_reset) {
    LeaveState(*s);
    s->Unlink();
    engine_->Close(*s, CloseMode::kReset);
  }
  for (Session* s : to_fail) {
    if (s->state == Session::State::kConnecting) engine_->Disconnect(*s);
    LeaveState(*s);
    Fail(*s);
  }
  for (Session* s : to_dispatch) {
    if (s->state == Session::State::kConnecting) engine_->Disconnect(*s);
    LeaveState(*s);
    s->tried.resize(s->spent);
    Dispatch(*s);
  }
}

}  // namespace bulwark::lb
