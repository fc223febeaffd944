// What the kernel's files want for limits that we count in millicores.
#ifndef OS_CGROUP_VALUES_H_
#define OS_CGROUP_VALUES_H_

#include <algorithm>
#include <cstdint>

namespace bulwark::os {

inline constexpr int64_t kCpuPeriodMicroseconds = 100000;
inline constexpr int64_t kDefaultCpuShares = 1024;

// The kernel's least quota is one millisecond.
inline int64_t CpuQuota(int64_t millicores) {
  return std::max<int64_t>(1000, millicores * kCpuPeriodMicroseconds / 1000);
}

// A millicore's share of 1024 for one core, as Docker and Kubernetes count it.
inline int64_t CpuShares(int64_t millicores) {
  return std::clamp<int64_t>(millicores * 1024 / 1000, 2, 262144);
}

// The kernel's own mapping from shares to version 2 weights.
inline int64_t CpuWeight(int64_t shares) {
  return 1 + (shares - 2) * 9999 / 262142;
}

}  // namespace bulwark::os

#endif  // OS_CGROUP_VALUES_H_
