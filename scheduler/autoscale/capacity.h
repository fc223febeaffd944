// How many replicas of a service the host carries, by what is requested. Pure.
#ifndef SCHEDULER_AUTOSCALE_CAPACITY_H_
#define SCHEDULER_AUTOSCALE_CAPACITY_H_

#include <cstdint>
#include <limits>
#include <string>

#include "proto/bulwark/v1/objects.pb.h"

namespace bulwark::scheduler {

struct Requests {
  int64_t cpu_millicores = 0;
  int64_t memory_bytes = 0;

  Requests& operator+=(const Requests& other) {
    cpu_millicores += other.cpu_millicores;
    memory_bytes += other.memory_bytes;
    return *this;
  }
  Requests operator*(int64_t n) const {
    return {cpu_millicores * n, memory_bytes * n};
  }
};

// What a container asks for: its request, else its limit, else nothing.
Requests RequestsOf(const v1::Container& container);
// Of one replica while it serves: main containers and sidecars together.
Requests RequestsOf(const v1::ServiceSpec& spec);
Requests RequestsOf(const v1::JobSpec& spec);

struct Capacity {
  int replicas = std::numeric_limits<int>::max();
  // Half a sentence: "each requests 500m of cpu, and 1000m of the host's 2000m
  // are requested by others". Empty without a bound.
  std::string reason;
};

// `node` is what the host has, `others` what all other services and jobs
// request. Members that are 0 bound nothing.
Capacity CapacityFor(const Requests& each, const Requests& others,
                     const Requests& node);

}  // namespace bulwark::scheduler

#endif  // SCHEDULER_AUTOSCALE_CAPACITY_H_
