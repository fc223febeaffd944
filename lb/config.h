// A snapshot as the data path reads it: immutable, shared by all workers.
#ifndef LB_CONFIG_H_
#define LB_CONFIG_H_

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "lb/backend_set.h"
#include "lb/picker.h"
#include "lb/socket_source.h"
#include "proto/bulwark/dataplane/v1/snapshot.pb.h"

namespace bulwark::lb {

// Live numbers of a pool; outlive versions. Thread-safe.
struct PoolCounters {
  std::atomic<uint64_t> held = 0;
  std::atomic<uint64_t> accepted_total = 0;
  std::atomic<uint64_t> held_total = 0;
  std::atomic<uint64_t> failed_total = 0;
  std::atomic<uint64_t> retried_total = 0;
  std::atomic<uint64_t> turn = 0;
};

struct Pool {
  std::string id;
  Algorithm algorithm = Algorithm::kLeastConnections;
  BackendSet backends;
  int64_t hold_timeout_ns = 30'000'000'000;
  uint32_t hold_limit = 1024;
  bool paused = false;
  std::shared_ptr<PoolCounters> counters;
};

struct Listener {
  // Of the snapshot.
  std::string name;
  SocketKey key;
  std::shared_ptr<const Pool> pool;
  // Null if they could not be opened.
  std::shared_ptr<const SocketGroup> sockets;
};

struct Config {
  uint64_t version = 0;
  std::map<std::string, std::shared_ptr<const Pool>> pools;
  std::vector<Listener> listeners;
};

// Checks `snapshot` and compiles it, without sockets. Endpoints (by pool, id
// and address) and pool counters are carried over from `previous` (may be
// null). INVALID_ARGUMENT names the first thing that is wrong; nothing else
// fails.
absl::StatusOr<std::unique_ptr<Config>> BuildConfig(
    const dataplane::v1::Snapshot& snapshot, const Config* previous);

}  // namespace bulwark::lb

#endif  // LB_CONFIG_H_
