// linux.resources as properties of a unit.
#include <algorithm>
#include <limits>

#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"
#include "engine/oci/cgroup/systemd_scope.h"
#include "os/cgroup_values.h"

namespace bulwark::engine::oci {
namespace {

constexpr uint64_t kInfinity = std::numeric_limits<uint64_t>::max();
constexpr uint64_t kSecond = 1000000;          // in microseconds
constexpr uint64_t kQuotaGranularity = 10000;  // systemd counts in per cent
constexpr uint64_t kDefaultPeriod = 100000;
constexpr uint32_t kMaxCpu = 8192;

using Properties = std::vector<ScopeProperty>;

uint64_t OrInfinity(int64_t limit) {
  return limit < 0 ? kInfinity : static_cast<uint64_t>(limit);
}

void AddMemory(const Resources& resources, bool v1, Properties& properties) {
  const auto& memory = resources.memory;
  const int64_t limit = memory.limit.value_or(0);
  if (limit != 0) {
    properties.push_back({v1 ? "MemoryLimit" : "MemoryMax", OrInfinity(limit)});
  }
  if (v1) return;  // nothing for the others
  if (memory.reservation.value_or(0) > 0) {
    properties.push_back({"MemoryLow", OrInfinity(*memory.reservation)});
  }
  const int64_t swap = memory.swap.value_or(0);
  if (swap == -1 || limit == -1) {
    properties.push_back({"MemorySwapMax", kInfinity});
  } else if (swap > 0 && limit > 0 && swap >= limit) {
    properties.push_back(
        {"MemorySwapMax", static_cast<uint64_t>(swap - limit)});
  }
}

// Per second, rounded up to what systemd can say.
uint64_t QuotaPerSecond(int64_t quota, uint64_t period) {
  if (quota < 0) return kInfinity;
  const uint64_t q = static_cast<uint64_t>(quota);
  if (q > kInfinity / kSecond) return kInfinity;
  const uint64_t exact = q * kSecond / std::max<uint64_t>(period, 1);
  const uint64_t steps =
      exact / kQuotaGranularity + (exact % kQuotaGranularity != 0 ? 1 : 0);
  return steps * kQuotaGranularity;
}

// "0-2,7" as a bit for each number, eight to a byte. Empty for what is no list
// (the kernel says so).
std::vector<uint8_t> BitsOf(absl::string_view list) {
  std::vector<uint8_t> bits;
  for (absl::string_view part : absl::StrSplit(list, ',')) {
    const std::pair<absl::string_view, absl::string_view> ends =
        absl::StrSplit(part, absl::MaxSplits('-', 1));
    uint32_t first, last;
    if (!absl::SimpleAtoi(ends.first, &first)) return {};
    last = first;
    if (!ends.second.empty() && !absl::SimpleAtoi(ends.second, &last)) {
      return {};
    }
    if (last < first || last >= kMaxCpu) return {};
    if (bits.size() <= last / 8) bits.resize(last / 8 + 1);
    for (uint32_t n = first; n <= last; ++n) {
      bits[n / 8] = static_cast<uint8_t>(bits[n / 8] | 1U << (n % 8));
    }
  }
  return bits;
}

void AddCpu(const Resources& resources, bool v1, Properties& properties) {
  const auto& cpu = resources.cpu;
  if (cpu.shares.value_or(0) != 0) {
    const uint64_t shares = std::clamp<uint64_t>(*cpu.shares, 2, 262144);
    properties.push_back({v1 ? "CPUShares" : "CPUWeight",
                          v1 ? shares
                             : static_cast<uint64_t>(os::CpuWeight(
                                   static_cast<int64_t>(shares)))});
  }
  const uint64_t period = cpu.period.value_or(0);
  if (period != 0) properties.push_back({"CPUQuotaPeriodUSec", period});
  if (cpu.quota.value_or(0) != 0) {
    properties.push_back(
        {"CPUQuotaPerSecUSec",
         QuotaPerSecond(*cpu.quota, period != 0 ? period : kDefaultPeriod)});
  }
  if (v1) return;
  for (const auto& [name, list] :
       {std::pair("AllowedCPUs", &cpu.cpus),
        std::pair("AllowedMemoryNodes", &cpu.mems)}) {
    std::vector<uint8_t> bits;
    if (!list->empty()) bits = BitsOf(*list);
    if (!bits.empty()) properties.push_back({name, std::move(bits)});
  }
}

}  // namespace

std::vector<ScopeProperty> ScopeLimits(const Resources& resources, bool v1) {
  Properties properties;
  AddMemory(resources, v1, properties);
  AddCpu(resources, v1, properties);
  if (resources.pids_limit.has_value()) {
    const int64_t limit = *resources.pids_limit;
    properties.push_back({"TasksMax", OrInfinity(limit > 0 ? limit : -1)});
  }
  const uint64_t weight = resources.block_io.weight.value_or(0);
  if (weight >= 10 && weight <= 1000) {
    properties.push_back({v1 ? "BlockIOWeight" : "IOWeight",
                          v1 ? weight : 1 + (weight - 10) * 9999 / 990});
  }
  return properties;
}

}  // namespace bulwark::engine::oci
