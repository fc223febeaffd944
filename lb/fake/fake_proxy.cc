#include "lb/fake/fake_proxy.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "lb/config.h"

namespace bulwark::lb {
namespace {

namespace v1 = dataplane::v1;

absl::Status NotRunning() {
  return absl::UnavailableError("call proxy: it does not run");
}

const v1::EndpointStats* FindEndpoint(const v1::PoolStats* pool,
                                      const std::string& id) {
  if (pool == nullptr) return nullptr;
  for (const v1::EndpointStats& e : pool->endpoints()) {
    if (e.id() == id) return &e;
  }
  return nullptr;
}

}  // namespace

absl::Status FakeProxy::NextFailure() {
  if (failures_.empty()) return absl::OkStatus();
  absl::Status failure = std::move(failures_.front());
  failures_.pop_front();
  return failure;
}

absl::Status FakeProxy::Start() {
  absl::MutexLock lock(&mu_);
  RETURN_IF_ERROR(NextFailure());
  started_ = true;
  return absl::OkStatus();
}

absl::StatusOr<v1::Applied> FakeProxy::Apply(const v1::Snapshot& snapshot,
                                             absl::Duration timeout) {
  std::function<void(const v1::Snapshot&)> hook;
  v1::Applied applied;
  {
    absl::MutexLock lock(&mu_);
    RETURN_IF_ERROR(NextFailure());
    if (!started_) return NotRunning();
    if (snapshot.version() <= snapshot_.version()) {
      return absl::FailedPreconditionError(
          absl::StrCat("apply snapshot ", snapshot.version(),
                       ": the current version is ", snapshot_.version()));
    }
    ASSIGN_OR_RETURN(std::unique_ptr<Config> config,
                     BuildConfig(snapshot, nullptr));
    applied.set_version(snapshot.version());
    for (const v1::ListenerError& error : errors_) {
      for (const Listener& l : config->listeners) {
        if (l.name == error.key()) *applied.add_errors() = error;
      }
    }
    snapshot_ = snapshot;
    ++applied_count_;
    hook = hook_;
  }
  if (hook) hook(snapshot);
  return applied;
}

absl::StatusOr<v1::Stats> FakeProxy::Stats(absl::Duration timeout) {
  absl::MutexLock lock(&mu_);
  RETURN_IF_ERROR(NextFailure());
  if (!started_) return NotRunning();
  v1::Stats stats;
  stats.set_version(snapshot_.version());
  for (const v1::Pool& pool : snapshot_.pools()) {
    const v1::PoolStats* set = nullptr;
    for (const v1::PoolStats& s : stats_) {
      if (s.pool() == pool.id()) set = &s;
    }
    v1::PoolStats& line = *stats.add_pools();
    if (set != nullptr) line = *set;
    line.set_pool(pool.id());
    line.clear_endpoints();
    for (const v1::Endpoint& endpoint : pool.endpoints()) {
      v1::EndpointStats& e = *line.add_endpoints();
      if (const auto* known = FindEndpoint(set, endpoint.id())) e = *known;
      e.set_id(endpoint.id());
    }
  }
  return stats;
}

absl::StatusOr<v1::Snapshot> FakeProxy::LastApplied() {
  absl::MutexLock lock(&mu_);
  RETURN_IF_ERROR(NextFailure());
  return snapshot_;
}

absl::Status FakeProxy::Shutdown() {
  absl::MutexLock lock(&mu_);
  started_ = false;
  snapshot_.Clear();
  return absl::OkStatus();
}

void FakeProxy::FailNext(absl::Status error) {
  absl::MutexLock lock(&mu_);
  failures_.push_back(std::move(error));
}

void FakeProxy::SetListenerErrors(std::vector<v1::ListenerError> errors) {
  absl::MutexLock lock(&mu_);
  errors_ = std::move(errors);
}

void FakeProxy::SetStats(v1::PoolStats stats) {
  absl::MutexLock lock(&mu_);
  for (v1::PoolStats& known : stats_) {
    if (known.pool() != stats.pool()) continue;
    known = std::move(stats);
    return;
  }
  stats_.push_back(std::move(stats));
}

void FakeProxy::OnApply(std::function<void(const v1::Snapshot&)> hook) {
  absl::MutexLock lock(&mu_);
  hook_ = std::move(hook);
}

v1::Snapshot FakeProxy::snapshot() const {
  absl::MutexLock lock(&mu_);
  return snapshot_;
}

int FakeProxy::applied_count() const {
  absl::MutexLock lock(&mu_);
  return applied_count_;
}

bool FakeProxy::started() const {
  absl::MutexLock lock(&mu_);
  return started_;
}

}  // namespace bulwark::lb
