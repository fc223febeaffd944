#include "scheduler/autoscale/capacity.h"

#include <gtest/gtest.h>

namespace bulwark::scheduler {
namespace {

constexpr int64_t kMi = 1 << 20;

TEST(RequestsOfTest, TakesTheRequestElseTheLimit) {
  v1::ServiceSpec spec;
  v1::Container& a = *spec.add_containers();
  a.mutable_resources()->mutable_cpu()->set_request(100);
  a.mutable_resources()->mutable_cpu()->set_limit(500);
  a.mutable_resources()->mutable_memory()->set_limit(64 * kMi);
  spec.add_sidecars()->mutable_resources()->mutable_cpu()->set_limit(50);
  spec.add_init_containers()->mutable_resources()->mutable_cpu()->set_limit(9);
  const Requests sum = RequestsOf(spec);
  EXPECT_EQ(sum.cpu_millicores, 150);
  EXPECT_EQ(sum.memory_bytes, 64 * kMi);
}

TEST(CapacityForTest, TheScarcerOneCounts) {
  const Capacity cpu =
      CapacityFor({500, 64 * kMi}, {600, 0}, {2000, 4096 * kMi});
  EXPECT_EQ(cpu.replicas, 2);
  EXPECT_EQ(cpu.reason,
            "each requests 500m of cpu, and others request 600m of the host's "
            "2000m");
  const Capacity memory =
      CapacityFor({100, 1024 * kMi}, {0, 1025 * kMi}, {2000, 4096 * kMi + 5});
  EXPECT_EQ(memory.replicas, 2);
  EXPECT_EQ(memory.reason,
            "each requests 1Gi of memory, and others request 1025Mi of the "
            "host's 4Gi");
}

TEST(CapacityForTest, WhenOthersTakeAll_NoneFits) {
  EXPECT_EQ(CapacityFor({500, 0}, {9000, 0}, {2000, 0}).replicas, 0);
}

TEST(CapacityForTest, WithoutRequestsOrNode_NothingIsBound) {
  EXPECT_GT(CapacityFor({}, {9000, 0}, {2000, 1}).replicas, 1 << 30);
  EXPECT_EQ(CapacityFor({}, {9000, 0}, {2000, 1}).reason, "");
  EXPECT_GT(CapacityFor({500, 500}, {9000, 0}, {}).replicas, 1 << 30);
}

}  // namespace
}  // namespace bulwark::scheduler
