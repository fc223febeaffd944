#include "scheduler/autoscale/capacity.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "base/units.h"

namespace bulwark::scheduler {
namespace {

// Of a ServiceSpec or a JobSpec.
template <typename Containers>
Requests Sum(const Containers& containers) {
  Requests sum;
  for (const v1::Container& c : containers) sum += RequestsOf(c);
  return sum;
}

// In whole MiB, for sentences.
std::string Mebibytes(int64_t bytes) { return FormatBytes(bytes >> 20 << 20); }

int Fit(int64_t each, int64_t others, int64_t node) {
  if (each <= 0 || node <= 0) return std::numeric_limits<int>::max();
  const int64_t fit = std::max<int64_t>(0, node - others) / each;
  return static_cast<int>(
      std::min<int64_t>(fit, std::numeric_limits<int>::max()));
}

}  // namespace

Requests RequestsOf(const v1::Container& container) {
  const v1::Cpu& cpu = container.resources().cpu();
  const v1::Memory& memory = container.resources().memory();
  return {cpu.request() > 0 ? cpu.request() : cpu.limit(),
          memory.request() > 0 ? memory.request() : memory.limit()};
}

Requests RequestsOf(const v1::ServiceSpec& spec) {
  Requests sum = Sum(spec.containers());
  sum += Sum(spec.sidecars());
  return sum;
}

Requests RequestsOf(const v1::JobSpec& spec) { return Sum(spec.containers()); }

Capacity CapacityFor(const Requests& each, const Requests& others,
                     const Requests& node) {
  Capacity capacity;
  const int cpu =
      Fit(each.cpu_millicores, others.cpu_millicores, node.cpu_millicores);
  const int memory =
      Fit(each.memory_bytes, others.memory_bytes, node.memory_bytes);
  capacity.replicas = std::min(cpu, memory);
  if (capacity.replicas == std::numeric_limits<int>::max()) return capacity;
  capacity.reason =
      cpu <= memory
          ? absl::StrCat("each requests ", each.cpu_millicores,
                         "m of cpu, and others request ", others.cpu_millicores,
                         "m of the host's ", node.cpu_millicores, "m")
          : absl::StrCat("each requests ", Mebibytes(each.memory_bytes),
                         " of memory, and others request ",
                         Mebibytes(others.memory_bytes), " of the host's ",
                         Mebibytes(node.memory_bytes));
  return capacity;
}

}  // namespace bulwark::scheduler
