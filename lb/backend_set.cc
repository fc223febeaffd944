#include "lb/backend_set.h"

namespace bulwark::lb {

BackendSet::BackendSet(std::vector<Backend> backends)
    : all_(std::move(backends)) {
  for (const Backend& b : all_) {
    if (b.state == EndpointState::kReady) ready_.push_back(b);
  }
}

const Backend* BackendSet::Find(const Endpoint* endpoint) const {
  for (const Backend& b : all_) {
    if (b.endpoint.get() == endpoint) return &b;
  }
  return nullptr;
}

bool BackendSet::ReportFailure(Endpoint& endpoint, int64_t now_ns) const {
  endpoint.connect_failures_total.fetch_add(1, std::memory_order_relaxed);
  if (!endpoint.target.RecordFailure() || endpoint.target.Ejected(now_ns)) {
    return false;
  }
  for (const Backend& b : ready_) {
    if (b.endpoint.get() != &endpoint && !b.endpoint->target.Ejected(now_ns)) {
      endpoint.target.Eject(now_ns);
      return true;
    }
  }
  return false;
}

}  // namespace bulwark::lb
