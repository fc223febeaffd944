#include "lb/config.h"

#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status.h"

namespace bulwark::lb {
namespace {

namespace v1 = dataplane::v1;

// Longest hold that a pool may ask for.
constexpr int64_t kMaxHoldSeconds = 3600;

absl::Status Invalid(absl::string_view kind, absl::string_view id,
                     absl::string_view cause) {
  return absl::InvalidArgumentError(
      absl::StrCat("apply ", kind, " \"", id, "\": ", cause));
}

absl::StatusOr<EndpointState> StateOf(const v1::Endpoint& endpoint) {
  switch (endpoint.state()) {
    case v1::Endpoint::READY:
      return EndpointState::kReady;
    case v1::Endpoint::DRAINING:
      return EndpointState::kDraining;
    case v1::Endpoint::CLOSED:
      return EndpointState::kClosed;
    default:
      return Invalid("endpoint", endpoint.id(), "its state is missing");
  }
}

absl::StatusOr<Algorithm> AlgorithmOf(const v1::Pool& pool) {
  switch (pool.algorithm()) {
    case v1::Pool::ALGORITHM_UNSPECIFIED:
    case v1::Pool::LEAST_CONNECTIONS:
      return Algorithm::kLeastConnections;
    case v1::Pool::ROUND_ROBIN:
      return Algorithm::kRoundRobin;
    case v1::Pool::SOURCE_HASH:
      return Algorithm::kSourceHash;
    default:
      return Invalid("pool", pool.id(), "its algorithm is unknown");
  }
}

std::shared_ptr<Endpoint> FindOrMake(const std::string& id,
                                     const SocketAddress& address,
                                     const Pool* previous) {
  if (previous != nullptr) {
    for (const Backend& b : previous->backends.all()) {
      if (b.endpoint->id == id &&
          b.endpoint->address.ToString() == address.ToString()) {
        return b.endpoint;
      }
    }
  }
  return std::make_shared<Endpoint>(id, address);
}

absl::StatusOr<BackendSet> BuildBackends(const v1::Pool& pool,
                                         const Pool* previous) {
  std::vector<Backend> backends;
  std::set<absl::string_view> ids;
  for (const v1::Endpoint& e : pool.endpoints()) {
    if (e.id().empty() || !ids.insert(e.id()).second) {
      return Invalid("endpoint", e.id(),
                     absl::StrCat("its id is empty or not unique in pool \"",
                                  pool.id(), "\""));
    }
    if (e.weight() > 256) {
      return Invalid("endpoint", e.id(), "its weight is above 256");
    }
    Backend backend;
    ASSIGN_OR_RETURN(backend.state, StateOf(e));
    ASSIGN_OR_RETURN(SocketAddress address,
                     SocketAddress::Parse(e.address(), e.port()));
    backend.weight = e.weight() == 0 ? 1 : e.weight();
    backend.endpoint = FindOrMake(e.id(), address, previous);
    backends.push_back(std::move(backend));
  }
  return BackendSet(std::move(backends));
}

absl::StatusOr<std::shared_ptr<const Pool>> BuildPool(const v1::Pool& pool,
                                                      const Pool* previous) {
  auto result = std::make_shared<Pool>();
  result->id = pool.id();
  ASSIGN_OR_RETURN(result->algorithm, AlgorithmOf(pool));
  ASSIGN_OR_RETURN(result->backends, BuildBackends(pool, previous));
  const int64_t seconds = pool.hold_timeout().seconds();
  const int32_t nanos = pool.hold_timeout().nanos();
  if (seconds < 0 || nanos < 0 || nanos > 999'999'999 ||
      seconds > kMaxHoldSeconds) {
    return Invalid("pool", pool.id(), "its hold_timeout is not in [0, 1h]");
  }
  if (seconds != 0 || nanos != 0) {
    result->hold_timeout_ns = seconds * 1'000'000'000 + nanos;
  }
  if (pool.hold_limit() != 0) result->hold_limit = pool.hold_limit();
  result->paused = pool.paused();
  result->counters = previous != nullptr ? previous->counters
                                         : std::make_shared<PoolCounters>();
  return result;
}

absl::StatusOr<Listener> BuildListener(const v1::Listener& listener,
                                       const Config& config) {
  Listener result;
  result.name = listener.key();
  switch (listener.place()) {
    case v1::Listener::HOST:
      result.key.place = SocketKey::Place::kHost;
      break;
    case v1::Listener::DATAPLANE:
      result.key.place = SocketKey::Place::kDataplane;
      break;
    default:
      return Invalid("listener", listener.key(), "its place is missing");
  }
  if (listener.protocol() != v1::TCP && listener.protocol() != v1::UDP) {
    return Invalid("listener", listener.key(), "its protocol is missing");
  }
  result.key.protocol = listener.protocol() == v1::TCP
                            ? SocketKey::Protocol::kTcp
                            : SocketKey::Protocol::kUdp;
  RETURN_IF_ERROR_CTX(
      SocketAddress::Parse(listener.address(), listener.port()).status(),
      absl::StrCat("apply listener \"", listener.key(), "\""));
  result.key.address = listener.address();
  result.key.port = static_cast<uint16_t>(listener.port());
  auto pool = config.pools.find(listener.pool());
  if (pool == config.pools.end()) {
    return Invalid("listener", listener.key(),
                   absl::StrCat("pool \"", listener.pool(), "\" is missing"));
  }
  result.pool = pool->second;
  return result;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Config>> BuildConfig(
    const v1::Snapshot& snapshot, const Config* previous) {
  auto config = std::make_unique<Config>();
  config->version = snapshot.version();
  for (const v1::Pool& pool : snapshot.pools()) {
    const Pool* old = nullptr;
    if (previous != nullptr) {
      auto it = previous->pools.find(pool.id());
      if (it != previous->pools.end()) old = it->second.get();
    }
    ASSIGN_OR_RETURN(std::shared_ptr<const Pool> built, BuildPool(pool, old));
    if (!config->pools.emplace(pool.id(), std::move(built)).second) {
      return Invalid("pool", pool.id(), "its id is not unique");
    }
  }
  std::set<absl::string_view> names;
  for (const v1::Listener& listener : snapshot.listeners()) {
    if (!names.insert(listener.key()).second) {
      return Invalid("listener", listener.key(), "its key is not unique");
    }
    ASSIGN_OR_RETURN(Listener built, BuildListener(listener, *config));
    config->listeners.push_back(std::move(built));
  }
  return config;
}

}  // namespace bulwark::lb
