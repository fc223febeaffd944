// What must hold after every step of a history.
#ifndef TESTS_SIM_INVARIANTS_H_
#define TESTS_SIM_INVARIANTS_H_

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "proto/bulwark/v1/service.pb.h"
#include "tests/sim/world.h"

namespace bulwark::sim {

// Slots and addresses are unique among the living; no more replicas are made
// than replicas + maxSurge; none is stopped that leaves fewer than replicas -
// maxUnavailable available; no container runs without a record, none twice.
class Invariants {
 public:
  // `violate` is told each violation, as a sentence.
  Invariants(World& world, std::function<void(const std::string&)> violate)
      : world_(world), violate_(std::move(violate)) {}

  void Check();

 private:
  // Wanted replicas and their availability, as last seen.
  struct Seen {
    std::string uid;
    std::map<std::string, bool> wanted;  // replica uid -> was available
  };

  void CheckSlots(const std::string& name,
                  const std::vector<v1::Replica>& replicas);
  void CheckCounts(const std::string& name,
                   const std::vector<v1::Replica>& replicas);
  void CheckAddresses(const std::map<std::string, v1::Replica>& replicas);
  void CheckContainers(const std::map<std::string, v1::Replica>& replicas);

  World& world_;
  const std::function<void(const std::string&)> violate_;
  std::map<std::string, Seen> seen_;
  uint64_t checked_ = 0;                       // revision of the store
  std::map<std::string, v1::Replica> by_uid_;  // as of then
};

}  // namespace bulwark::sim

#endif  // TESTS_SIM_INVARIANTS_H_
