#include "lb/picker.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "absl/container/inlined_vector.h"

namespace bulwark::lb {
namespace {

using Candidates = absl::InlinedVector<const Backend*, 32>;

bool Tried(const PickRequest& request, const Endpoint* endpoint) {
  return std::find(request.tried.begin(), request.tried.end(), endpoint) !=
         request.tried.end();
}

Candidates Eligible(const BackendSet& set, const PickRequest& request) {
  Candidates result;
  bool any_admitted = false;
  for (const Backend& b : set.ready()) {
    if (b.endpoint->target.Ejected(request.now_ns)) continue;
    any_admitted = true;
    if (!Tried(request, b.endpoint.get())) result.push_back(&b);
  }
  if (any_admitted) return result;
  for (const Backend& b : set.ready()) {
    if (!Tried(request, b.endpoint.get())) result.push_back(&b);
  }
  return result;
}

uint64_t TotalWeight(const Candidates& candidates) {
  uint64_t total = 0;
  for (const Backend* b : candidates) total += b->weight;
  return total;
}

// The candidate that owns `point` of [0, total).
const Backend* At(const Candidates& candidates, uint64_t point) {
  for (const Backend* b : candidates) {
    if (point < b->weight) return b;
    point -= b->weight;
  }
  return candidates.back();
}

const Backend* PickLeastConnections(const Candidates& candidates,
                                    const PickRequest& request) {
  const uint64_t total = TotalWeight(candidates);
  const Backend* a = At(candidates, (request.random & 0xffffffff) % total);
  if (candidates.size() == 1) return a;
  // The second is drawn from the others, or heavy endpoints would often be
  // compared with themselves.
  uint64_t point = (request.random >> 32) % (total - a->weight);
  const Backend* b = nullptr;
  for (const Backend* c : candidates) {
    if (c == a) continue;
    b = c;
    if (point < c->weight) break;
    point -= c->weight;
  }
  const uint64_t load_a = a->endpoint->active.load(std::memory_order_relaxed);
  const uint64_t load_b = b->endpoint->active.load(std::memory_order_relaxed);
  // As they would stand with this connection.
  return (load_b + 1) * a->weight < (load_a + 1) * b->weight ? b : a;
}

const Backend* PickInTurn(const Candidates& candidates, uint64_t turn) {
  const uint64_t total = TotalWeight(candidates);
  if (total == candidates.size()) return candidates[turn % total];
  // A stride without common factor visits each point once a cycle, and spreads
  // the turns of a heavy endpoint over it.
  uint64_t stride = std::max<uint64_t>(1, total * 618 / 1000);
  while (std::gcd(stride, total) != 1) ++stride;
  return At(candidates, (turn % total) * stride % total);
}

const Backend* PickByHash(const Candidates& candidates, uint64_t hash) {
  const Backend* best = nullptr;
  double best_score = 0;
  for (const Backend* b : candidates) {
    uint64_t h = hash;
    for (unsigned char c : b->endpoint->id) h = (h ^ c) * 0x100000001b3u;
    const double u = (static_cast<double>(Mix64(h) >> 11) + 0.5) * 0x1p-53;
    const double score = -static_cast<double>(b->weight) / std::log(u);
    if (best == nullptr || score > best_score) {
      best = b;
      best_score = score;
    }
  }
  return best;
}

}  // namespace

const Backend* Pick(Algorithm algorithm, const BackendSet& set,
                    const PickRequest& request) {
  const Candidates candidates = Eligible(set, request);
  if (candidates.empty()) return nullptr;
  switch (algorithm) {
    case Algorithm::kLeastConnections:
      return PickLeastConnections(candidates, request);
    case Algorithm::kRoundRobin:
      return PickInTurn(candidates, request.turn);
    case Algorithm::kSourceHash:
      return PickByHash(candidates, request.source_hash);
  }
  return nullptr;
}

}  // namespace bulwark::lb
