// Chooses the endpoint of a new connection.
#ifndef LB_PICKER_H_
#define LB_PICKER_H_

#include <cstdint>
#include <span>

#include "lb/backend_set.h"

namespace bulwark::lb {

enum class Algorithm {
  // Two drawn by weight; of them the one with fewer connections per weight
  // ("The Power of Two Choices in Randomized Load Balancing", Mitzenmacher).
  kLeastConnections,
  // In turn, by weight.
  kRoundRobin,
  // Weighted rendezvous hashing of the client's address: a change of the set
  // moves only the clients of the changed endpoint.
  kSourceHash,
};

// All that a choice depends on beside the set.
struct PickRequest {
  // Hash of the client's IP address.
  uint64_t source_hash = 0;
  // Uniform bits.
  uint64_t random = 0;
  // Grows by one with each connection of the pool.
  uint64_t turn = 0;
  int64_t now_ns = 0;
  // Endpoints that this connection has tried in vain.
  std::span<const Endpoint* const> tried;
};

// Pure. Null if no endpoint is ready, or all that are have been tried. An
// ejected endpoint is taken only if every ready one is ejected.
const Backend* Pick(Algorithm algorithm, const BackendSet& set,
                    const PickRequest& request);

}  // namespace bulwark::lb

#endif  // LB_PICKER_H_
