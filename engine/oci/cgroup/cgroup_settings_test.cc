#include "engine/oci/cgroup/cgroup_settings.h"

#include <gtest/gtest.h>

#include <functional>
#include <limits>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/testing/status_matchers.h"

namespace bulwark::engine::oci {
namespace {

using ::bulwark::testing::IsOk;
using ::bulwark::testing::StatusIs;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

constexpr int64_t kMiB = 1 << 20;

// "memory/memory.max=1", with "?" where the file may be missing and
// "|io.weight=1" for what stands in.
std::vector<std::string> Lines(
    const absl::StatusOr<std::vector<CgroupSetting>>& settings) {
  if (!settings.ok()) return {settings.status().ToString()};
  std::vector<std::string> lines;
  for (const CgroupSetting& s : *settings) {
    lines.push_back(absl::StrCat(
        s.controller, "/", s.file, "=", s.value, s.missing_ok ? "?" : "",
        s.other_file.empty()
            ? ""
            : absl::StrCat("|", s.other_file, "=", s.other_value)));
  }
  return lines;
}

std::vector<std::string> V1(const Resources& resources) {
  return Lines(CgroupSettingsV1(resources));
}
std::vector<std::string> V2(const Resources& resources,
                            const CgroupCurrent& current = {}) {
  return Lines(CgroupSettingsV2(resources, current));
}

// Everything that both versions know.
Resources Everything() {
  Resources r;
  r.memory.limit = 64 * kMiB;
  r.memory.swap = 96 * kMiB;
  r.memory.reservation = 32 * kMiB;
  r.memory.kernel = 16 * kMiB;
  r.memory.use_hierarchy = true;
  r.cpu.shares = 512;
  r.cpu.quota = 50000;
  r.cpu.period = 100000;
  r.cpu.burst = 10000;
  r.cpu.idle = 0;
  r.cpu.cpus = "0-1";
  r.cpu.mems = "0";
  r.pids_limit = 100;
  r.block_io.weight = 500;
  r.block_io.weight_devices = {{8, 0, 100, {}}, {8, 16, {}, {}}};
  r.block_io.read_bps = {{8, 0, 1000}, {8, 16, 2000}};
  r.block_io.write_bps = {{8, 0, 0}};
  r.block_io.read_iops = {{8, 0, 30}};
  r.block_io.write_iops = {{8, 0, 40}};
  r.hugepages = {{"2MB", 4 * kMiB}};
  r.rdma = {{"mlx5_1", 3, 10000}, {"mlx4_0", {}, 5}, {"none", {}, {}}};
  return r;
}

TEST(CgroupSettingsTest, WhenNothingIsSaid_ThenNothingIsWritten) {
  EXPECT_THAT(V1({}), IsEmpty());
  EXPECT_THAT(V2({}), IsEmpty());
}

TEST(CgroupSettingsTest, WhenAllIsSaid_ThenVersionOneHasItInItsOrder) {
  EXPECT_THAT(
      V1(Everything()),
      ElementsAre(
          "cpuset/cpuset.cpus=0-1", "cpuset/cpuset.mems=0",
          "cpu/cpu.shares=512", "cpu/cpu.cfs_period_us=100000",
          "cpu/cpu.cfs_quota_us=50000", "cpu/cpu.cfs_burst_us=10000",
          "cpu/cpu.idle=0?", "memory/memory.limit_in_bytes=67108864",
          "memory/memory.memsw.limit_in_bytes=100663296",
          "memory/memory.soft_limit_in_bytes=33554432",
          "blkio/blkio.weight=500|blkio.bfq.weight=500",
          "blkio/blkio.weight_device=8:0 100|blkio.bfq.weight_device=8:0 100",
          "blkio/blkio.throttle.read_bps_device=8:0 1000",
          "blkio/blkio.throttle.read_bps_device=8:16 2000",
          "blkio/blkio.throttle.write_bps_device=8:0 0",
          "blkio/blkio.throttle.read_iops_device=8:0 30",
          "blkio/blkio.throttle.write_iops_device=8:0 40", "pids/pids.max=100",
          "hugetlb/hugetlb.2MB.limit_in_bytes=4194304",
          "hugetlb/hugetlb.2MB.rsvd.limit_in_bytes=4194304?",
          "rdma/rdma.max=mlx5_1 hca_handle=3 hca_object=10000",
          "rdma/rdma.max=mlx4_0 hca_object=5"));
}

TEST(CgroupSettingsTest, WhenAllIsSaid_ThenVersionTwoHasItConverted) {
  Resources r = Everything();
  r.unified = {{"memory.high", "1000"}, {"io.max", "8:0 rbps=1\n8:16 rbps=2"}};
  EXPECT_THAT(
      V2(r),
      ElementsAre("cpuset/cpuset.cpus=0-1", "cpuset/cpuset.mems=0",
                  "cpu/cpu.weight=20", "cpu/cpu.max=50000 100000",
                  "cpu/cpu.max.burst=10000", "cpu/cpu.idle=0?",
                  "memory/memory.swap.max=33554432",
                  "memory/memory.max=67108864", "memory/memory.low=33554432",
                  "io/io.bfq.weight=500|io.weight=default 4950",
                  "io/io.bfq.weight=8:0 100|io.weight=8:0 910",
                  "io/io.max=8:0 rbps=1000", "io/io.max=8:16 rbps=2000",
                  "io/io.max=8:0 wbps=max", "io/io.max=8:0 riops=30",
                  "io/io.max=8:0 wiops=40", "pids/pids.max=100",
                  "hugetlb/hugetlb.2MB.max=4194304",
                  "hugetlb/hugetlb.2MB.rsvd.max=4194304?",
                  "rdma/rdma.max=mlx5_1 hca_handle=3 hca_object=10000",
                  "rdma/rdma.max=mlx4_0 hca_object=5", "io/io.max=8:0 rbps=1",
                  "io/io.max=8:16 rbps=2", "memory/memory.high=1000"));
}

TEST(CgroupSettingsTest, WhenOnlyVersionOneHasIt_ThenVersionTwoSaysSo) {
  const auto v1_only = [](std::function<void(Resources&)> say,
                          std::vector<std::string> lines, const char* field) {
    Resources r;
    say(r);
    EXPECT_EQ(V1(r), lines);
    EXPECT_THAT(CgroupSettingsV2(r),
                StatusIs(absl::StatusCode::kFailedPrecondition,
                         HasSubstr(absl::StrCat("linux.resources.", field))));
  };
  v1_only([](Resources& r) { r.memory.swappiness = 10; },
          {"memory/memory.swappiness=10"}, "memory.swappiness");
  v1_only([](Resources& r) { r.memory.disable_oom_killer = true; },
          {"memory/memory.oom_control=1"}, "memory.disableOOMKiller");
  v1_only([](Resources& r) { r.memory.kernel_tcp = 5000; },
          {"memory/memory.kmem.tcp.limit_in_bytes=5000"}, "memory.kernelTCP");
  v1_only(
      [](Resources& r) {
        r.cpu.realtime_period = 1000000;
        r.cpu.realtime_runtime = 950000;
      },
      {"cpu/cpu.rt_period_us=1000000", "cpu/cpu.rt_runtime_us=950000"},
      "cpu.realtimeRuntime");
  v1_only(
      [](Resources& r) {
        r.block_io.leaf_weight = 10;
        r.block_io.weight_devices = {{8, 0, {}, 20}};
      },
      {"blkio/blkio.leaf_weight=10", "blkio/blkio.leaf_weight_device=8:0 20"},
      "blockIO.leafWeight");
  v1_only([](Resources& r) { r.network.class_id = 0x100001; },
          {"net_cls/net_cls.classid=1048577"}, "network.classID");
  v1_only(
      [](Resources& r) {
        r.network.priorities = {{"eth0", 5}};
      },
      {"net_prio/net_prio.ifpriomap=eth0 5"}, "network.priorities");
}

// What Docker says when its user says nothing.
TEST(CgroupSettingsTest, WhenAFieldSaysWhatHoldsAnyway_ThenItIsNoError) {
  Resources r;
  r.memory.disable_oom_killer = false;
  r.memory.limit = 0;
  r.memory.swap = 0;
  r.cpu.shares = 0;
  r.cpu.quota = 0;
  r.cpu.period = 0;
  r.cpu.realtime_period = 0;
  r.cpu.realtime_runtime = 0;
  r.block_io.weight = 0;
  r.memory.kernel = 1000;
  EXPECT_THAT(V1(r), IsEmpty());
  EXPECT_THAT(V2(r), IsEmpty());
}

TEST(CgroupSettingsTest, WhenLimitsAreTakenAway_ThenEachVersionsWordIsUsed) {
  Resources r;
  r.memory.limit = -1;
  r.memory.reservation = -1;
  r.cpu.quota = -1;
  r.pids_limit = -1;
  EXPECT_THAT(
      V1(r),
      ElementsAre("cpu/cpu.cfs_quota_us=-1", "memory/memory.limit_in_bytes=-1",
                  "memory/memory.memsw.limit_in_bytes=-1?",
                  "memory/memory.soft_limit_in_bytes=-1", "pids/pids.max=max"));
  EXPECT_THAT(V2(r),
              ElementsAre("cpu/cpu.max=max", "memory/memory.swap.max=max?",
                          "memory/memory.max=max", "memory/memory.low=0",
                          "pids/pids.max=max"));
  r = {};
  r.pids_limit = 0;
  EXPECT_THAT(V1(r), ElementsAre("pids/pids.max=max"));
  EXPECT_THAT(V2(r), ElementsAre("pids/pids.max=max"));
}

TEST(CgroupSettingsTest, WhenSharesAreConverted_ThenTheEndsMeet) {
  const auto weight = [](uint64_t shares) {
    Resources r;
    r.cpu.shares = shares;
    return V2(r).at(0);
  };
  EXPECT_EQ(weight(1), "cpu/cpu.weight=1");
  EXPECT_EQ(weight(2), "cpu/cpu.weight=1");
  EXPECT_EQ(weight(1024), "cpu/cpu.weight=39");
  EXPECT_EQ(weight(262144), "cpu/cpu.weight=10000");
  EXPECT_EQ(weight(std::numeric_limits<uint64_t>::max()),
            "cpu/cpu.weight=10000");
}

TEST(CgroupSettingsTest, WhenPartOfAPairChanges_ThenVersionTwoKeepsTheOther) {
  Resources r;
  r.cpu.period = 50000;
  EXPECT_THAT(V2(r), ElementsAre("cpu/cpu.max=max 50000"));
  EXPECT_THAT(V2(r, {.cpu_quota = 20000}),
              ElementsAre("cpu/cpu.max=20000 50000"));
  r = {};
  r.cpu.quota = 20000;
  EXPECT_THAT(V2(r), ElementsAre("cpu/cpu.max=20000"));
  r = {};
  r.memory.swap = 3000;
  EXPECT_THAT(V2(r, {.memory_limit = 1000}),
              ElementsAre("memory/memory.swap.max=2000"));
  EXPECT_THAT(CgroupSettingsV2(r), StatusIs(absl::StatusCode::kInvalidArgument,
                                            HasSubstr("memory.swap")));
  r.memory.limit = 3000;  // no swap at all
  EXPECT_THAT(V2(r), ElementsAre("memory/memory.swap.max=0?",
                                 "memory/memory.max=3000"));
  r.memory.swap = -1;
  EXPECT_THAT(V2(r), ElementsAre("memory/memory.swap.max=max?",
                                 "memory/memory.max=3000"));
}

TEST(CgroupSettingsTest, WhenAValueIsWrong_ThenItsFieldIsNamed) {
  const auto wrong = [](const char* field,
                        std::function<void(Resources&)> say) {
    Resources r;
    say(r);
    const auto refused =
        StatusIs(absl::StatusCode::kInvalidArgument,
                 HasSubstr(absl::StrCat("read linux.resources.", field, ": ")));
    EXPECT_THAT(CgroupSettingsV1(r), refused);
    EXPECT_THAT(CgroupSettingsV2(r), refused);
  };
  wrong("memory.limit", [](Resources& r) { r.memory.limit = -2; });
  wrong("memory.reservation", [](Resources& r) { r.memory.reservation = -9; });
  wrong("memory.swap", [](Resources& r) {
    r.memory.limit = 1000;
    r.memory.swap = 999;
  });
  wrong("memory.swap", [](Resources& r) {
    r.memory.limit = -1;
    r.memory.swap = 999;
  });
  wrong("memory.swappiness", [](Resources& r) { r.memory.swappiness = 101; });
  wrong("cpu.quota", [](Resources& r) { r.cpu.quota = 999; });
  wrong("cpu.period", [](Resources& r) { r.cpu.period = 999; });
  wrong("cpu.period", [](Resources& r) { r.cpu.period = 1000001; });
  wrong("cpu.idle", [](Resources& r) { r.cpu.idle = 2; });
  wrong("cpu.cpus", [](Resources& r) { r.cpu.cpus = "0\n1"; });
  wrong("cpu.mems", [](Resources& r) { r.cpu.mems = "all"; });
  wrong("blockIO.weight", [](Resources& r) { r.block_io.weight = 9; });
  wrong("blockIO.weightDevice[0].weight", [](Resources& r) {
    r.block_io.weight_devices = {{8, 0, 1001, {}}};
  });
  wrong("blockIO.throttleReadBpsDevice[1]", [](Resources& r) {
    r.block_io.read_bps = {{8, 0, 1}, {-8, 0, 1}};
  });
  for (const char* size : {"", "2", "MB", "02MB", "2mb", "../2MB", "2MB/x"}) {
    wrong("hugepageLimits[0].pageSize", [size](Resources& r) {
      r.hugepages = {{size, 1}};
    });
  }
  wrong("network.priorities.name", [](Resources& r) {
    r.network.priorities = {{"eth0 1\neth1", 5}};
  });
  wrong("rdma", [](Resources& r) { r.rdma = {{"", 1, 1}}; });
}

TEST(CgroupSettingsTest, WhenAUnifiedFileIsNoFileOfTheGroup_ThenItIsRefused) {
  for (const char* file :
       {"", "memory", "../cgroup.freeze", "a/memory.max", ".hidden", "..",
        "memory.max ", "memory.max\n", "cgroup.procs", "cgroup.threads"}) {
    Resources r;
    r.unified = {{file, "1"}};
    EXPECT_THAT(CgroupSettingsV2(r),
                StatusIs(absl::StatusCode::kInvalidArgument,
                         HasSubstr("linux.resources.unified")))
        << file;
  }
  Resources r;
  r.unified = {{"memory.max", std::string("1\0", 2)}};
  EXPECT_THAT(CgroupSettingsV2(r),
              StatusIs(absl::StatusCode::kInvalidArgument));
}

// No value throws or overflows (run with the sanitizers).
TEST(CgroupSettingsTest, WhenNumbersAreExtreme_ThenNothingBreaks) {
  for (const int64_t n : {std::numeric_limits<int64_t>::min(), int64_t{-1},
                          std::numeric_limits<int64_t>::max()}) {
    for (const int64_t m : {std::numeric_limits<int64_t>::min(), int64_t{-1},
                            int64_t{1}, std::numeric_limits<int64_t>::max()}) {
      Resources r;
      r.memory.limit = n;
      r.memory.swap = m;
      r.cpu.quota = n;
      r.cpu.realtime_runtime = n;
      r.cpu.shares = static_cast<uint64_t>(n);
      r.pids_limit = n;
      r.block_io.read_bps = {{n, m, static_cast<uint64_t>(n)}};
      CgroupSettingsV1(r).status().IgnoreError();
      CgroupSettingsV2(r, {m, n}).status().IgnoreError();
    }
  }
}

}  // namespace
}  // namespace bulwark::engine::oci
