#include "lb/tcp/data_plane.h"

#include <cerrno>
#include <map>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/blocking_counter.h"
#include "base/log.h"
#include "base/status.h"

namespace bulwark::lb {
namespace {

namespace v1 = dataplane::v1;

void AddError(v1::Applied& applied, const Listener& listener, int number,
              absl::string_view message) {
  v1::ListenerError& error = *applied.add_errors();
  error.set_key(listener.name);
  error.set_error_number(number);
  error.set_message(std::string(message));
}

uint64_t Get(const std::atomic<uint64_t>& value) {
  return value.load(std::memory_order_relaxed);
}

}  // namespace

absl::StatusOr<std::unique_ptr<DataPlane>> DataPlane::Start(
    const Options& options, SocketSource& sockets, Clock& clock,
    Entropy& entropy) {
  if (options.workers < 1) {
    return absl::InvalidArgumentError("start data plane: no workers");
  }
  auto plane = std::unique_ptr<DataPlane>(new DataPlane(sockets, clock));
  for (int i = 0; i < options.workers; ++i) {
    ASSIGN_OR_RETURN(std::unique_ptr<Worker> worker,
                     Worker::Start(i, options.engine, clock, entropy.Next()));
    plane->workers_.push_back(std::move(worker));
  }
  return plane;
}

DataPlane::~DataPlane() = default;

void DataPlane::OpenSockets(Config& config, v1::Applied& applied) {
  std::map<SocketKey, absl::string_view> owners;
  for (Listener& listener : config.listeners) {
    if (listener.key.protocol == SocketKey::Protocol::kUdp) {
      AddError(applied, listener, EPROTONOSUPPORT, "UDP is not supported yet");
      continue;
    }
    auto [owner, fresh] = owners.emplace(listener.key, listener.name);
    if (!fresh) {
      AddError(
          applied, listener, EADDRINUSE,
          absl::StrCat("bind ", listener.key.address, ":", listener.key.port,
                       ": taken by listener \"", owner->second, "\""));
      continue;
    }
    auto group = sockets_.Open(listener.key, static_cast<int>(workers_.size()));
    if (!group.ok()) {
      AddError(applied, listener, SocketErrno(group.status()),
               group.status().message());
      continue;
    }
    listener.sockets = *std::move(group);
  }
}

absl::StatusOr<std::unique_ptr<Config>> DataPlane::Build(
    const v1::Snapshot& snapshot) const {
  std::shared_ptr<const Config> old;
  {
    absl::MutexLock lock(&mu_);
    old = config_;
  }
  const uint64_t current = old == nullptr ? 0 : old->version;
  if (snapshot.version() <= current) {
    return absl::FailedPreconditionError(
        absl::StrCat("apply snapshot ", snapshot.version(),
                     ": the current version is ", current));
  }
  return BuildConfig(snapshot, old.get());
}

absl::Status DataPlane::Check(const v1::Snapshot& snapshot) const {
  return Build(snapshot).status();
}

absl::StatusOr<v1::Applied> DataPlane::Apply(
    const v1::Snapshot& snapshot, const std::vector<SocketKey>& others) {
  absl::MutexLock apply_lock(&apply_mu_);
  ASSIGN_OR_RETURN(std::unique_ptr<Config> built, Build(snapshot));
  v1::Applied applied;
  applied.set_version(snapshot.version());
  OpenSockets(*built, applied);
  std::shared_ptr<const Config> config = std::move(built);
  {
    absl::MutexLock lock(&mu_);
    config_ = config;
  }
  absl::BlockingCounter done(static_cast<int>(workers_.size()));
  for (const auto& worker : workers_) worker->Post(config, &done);
  done.Wait();
  std::vector<SocketKey> keys = others;
  for (const Listener& l : config->listeners) {
    if (l.sockets != nullptr) keys.push_back(l.key);
  }
  if (absl::Status s = sockets_.Retain(keys); !s.ok()) {
    // The next Apply does it again; until then unserved sockets stay open.
    LOG_ERROR("close unused listeners", {{"error", s}});
  }
  return applied;
}

v1::Stats DataPlane::GetStats() const {
  std::shared_ptr<const Config> config;
  {
    absl::MutexLock lock(&mu_);
    config = config_;
  }
  v1::Stats stats;
  if (config == nullptr) return stats;
  stats.set_version(config->version);
  const int64_t now_ns = absl::ToInt64Nanoseconds(clock_.Steady());
  for (const auto& [id, pool] : config->pools) {
    v1::PoolStats& p = *stats.add_pools();
    p.set_pool(id);
    p.set_held(Get(pool->counters->held));
    p.set_accepted_total(Get(pool->counters->accepted_total));
    p.set_held_total(Get(pool->counters->held_total));
    p.set_failed_total(Get(pool->counters->failed_total));
    p.set_retried_total(Get(pool->counters->retried_total));
    for (const Backend& b : pool->backends.all()) {
      v1::EndpointStats& e = *p.add_endpoints();
      e.set_id(b.endpoint->id);
      e.set_active(Get(b.endpoint->active));
      e.set_connections_total(Get(b.endpoint->connections_total));
      e.set_connect_failures_total(Get(b.endpoint->connect_failures_total));
      e.set_bytes_in_total(Get(b.endpoint->bytes_in_total));
      e.set_bytes_out_total(Get(b.endpoint->bytes_out_total));
      e.set_connect_nanoseconds_total(
          Get(b.endpoint->connect_nanoseconds_total));
      e.set_ejected(b.endpoint->target.Ejected(now_ns));
    }
  }
  return stats;
}

}  // namespace bulwark::lb
