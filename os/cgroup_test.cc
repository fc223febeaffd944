#include "os/cgroup.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "base/testing/status_matchers.h"
#include "base/testing/temp_dir.h"
#include "os/files.h"
#include "os/process.h"

namespace bulwark::os {
namespace {

using ::bulwark::testing::IsOkAndHolds;
using ::bulwark::testing::StatusIs;
using ::bulwark::testing::TempDir;

TEST(CgroupLayoutTest, WhenHostIsPure_HasNoVersionOne) {
  ASSERT_OK_AND_ASSIGN(
      CgroupLayout layout,
      ParseCgroupLayout("30 25 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n"
                        "31 25 0:26 /x /mnt rw shared:3 - cgroup2 none rw\n"));
  EXPECT_EQ(layout.unified, "/sys/fs/cgroup");
  EXPECT_TRUE(layout.v1.empty());
}

TEST(CgroupLayoutTest, WhenHostIsHybrid_HasBoth) {
  ASSERT_OK_AND_ASSIGN(
      CgroupLayout layout,
      ParseCgroupLayout(
          "1 0 0:1 / /c/cpu,cpuacct rw shared:1 - cgroup cgroup "
          "rw,cpu,cpuacct\n"
          "2 0 0:2 / /c/memory rw - cgroup cgroup rw,memory\n"
          "3 0 0:3 / /c/systemd rw - cgroup cgroup rw,name=systemd\n"
          "4 0 0:4 / /c/unified rw - cgroup2 cgroup2 rw"));
  EXPECT_EQ(layout.unified, "/c/unified");
  EXPECT_EQ(layout.v1.size(), 3u);
  EXPECT_EQ(layout.v1["cpu"], "/c/cpu,cpuacct");
  EXPECT_EQ(layout.v1["memory"], "/c/memory");
}

TEST(CgroupLayoutTest, WhenThereIsNoUnifiedHierarchy_SaysSo) {
  EXPECT_THAT(
      ParseCgroupLayout("2 0 0:2 / /c/memory rw - cgroup cgroup rw,memory\n"),
      StatusIs(absl::StatusCode::kFailedPrecondition));
}

TEST(CgroupLayoutTest, KnowsWhetherAProcessIsInTheRoot) {
  EXPECT_TRUE(IsInRoot("0::/\n"));
  EXPECT_TRUE(IsInRoot("3:memory:/a\n0::/\n"));
  EXPECT_FALSE(IsInRoot("0::/system.slice/bulwarkd.service\n"));
  EXPECT_FALSE(IsInRoot("3:memory:/\n0::/a\n"));
  EXPECT_FALSE(IsInRoot(""));
}

// Over plain directories: what is written where on a pure version 2 host.
TEST(CgroupLimitsTest, WhenHostIsPure_WritesVersionTwoFiles) {
  RealClock clock;
  TempDir dir;
  CgroupLayout layout;
  layout.unified = dir.path();
  Cgroups cgroups(layout, "inst", clock);
  ASSERT_OK(cgroups.Prepare());
  ASSERT_EQ(mkdir((dir / "inst/a").c_str(), 0755), 0);
  for (const char* name : {"memory.max", "memory.swap.max", "memory.oom.group",
                           "cpu.max", "cpu.weight", "pids.max"}) {
    ASSERT_OK(WriteFileDurably(absl::StrCat(dir / "inst/a/", name), ""));
  }
  ASSERT_OK(cgroups.Create("a", {1500, 500, 64 << 20, 100}));
  const auto read = [&](const char* name) {
    return ReadFile(absl::StrCat(dir / "inst/a/", name), 100);
  };
  EXPECT_THAT(read("memory.max"), IsOkAndHolds("67108864"));
  EXPECT_THAT(read("memory.swap.max"), IsOkAndHolds("0"));
  EXPECT_THAT(read("memory.oom.group"), IsOkAndHolds("1"));
  EXPECT_THAT(read("cpu.max"), IsOkAndHolds("150000 100000"));
  EXPECT_THAT(read("cpu.weight"), IsOkAndHolds("20"));
  EXPECT_THAT(read("pids.max"), IsOkAndHolds("100"));

  ASSERT_OK(WriteFileDurably(dir / "inst/a/memory.current", "1000\n"));
  ASSERT_OK(WriteFileDurably(dir / "inst/a/memory.stat",
                             "anon 1\ninactive_file 400\n"));
  ASSERT_OK(WriteFileDurably(
      dir / "inst/a/cpu.stat",
      "usage_usec 5000\nnr_throttled 2\nthrottled_usec 700\n"));
  ASSERT_OK(WriteFileDurably(dir / "inst/a/pids.current", "7\n"));
  ASSERT_OK(WriteFileDurably(dir / "inst/a/io.stat",
                             "8:0 rbytes=100 wbytes=20 rios=3 wios=4\n"
                             "8:16 rbytes=1 wbytes=2 rios=1 wios=1\n"));
  ASSERT_OK(WriteFileDurably(
      dir / "inst/a/cpu.pressure",
      "some avg10=1.00 avg60=0.15 avg300=0.08 total=721289\n"
      "full avg10=0.00 avg60=0.15 avg300=0.08 total=702667\n"));
  ASSERT_OK(WriteFileDurably(dir / "inst/a/memory.events.local",
                             "oom 3\noom_kill 2\n"));
  ASSERT_OK_AND_ASSIGN(CgroupStats stats, cgroups.Stats("a"));
  EXPECT_EQ(stats.memory_bytes, 600);
  EXPECT_EQ(stats.cpu_usage, absl::Milliseconds(5));
  EXPECT_EQ(stats.oom_kills, 2);
  EXPECT_EQ(stats.cpu_throttled, absl::Microseconds(700));
  EXPECT_EQ(stats.cpu_limit_millicores, 1500);
  EXPECT_EQ(stats.memory_limit_bytes, 64 << 20);
  EXPECT_EQ(stats.pids, 7);
  EXPECT_EQ(stats.io_read_bytes, 101);
  EXPECT_EQ(stats.io_write_bytes, 22);
  EXPECT_EQ(stats.cpu_stalled, absl::Microseconds(721289));
  // Nothing is told of the others.
  EXPECT_EQ(stats.memory_stalled, absl::ZeroDuration());

  ASSERT_OK(WriteFileDurably(dir / "inst/a/cpu.max", "max 100000\n"));
  ASSERT_OK(WriteFileDurably(dir / "inst/a/memory.max", "max\n"));
  ASSERT_OK_AND_ASSIGN(stats, cgroups.Stats("a"));
  EXPECT_EQ(stats.cpu_limit_millicores, 0);
  EXPECT_EQ(stats.memory_limit_bytes, 0);
}

// Over plain directories: every controller in a hierarchy of its own.
TEST(CgroupStatsTest, WhenHostIsHybrid_ReadsBothVersions) {
  RealClock clock;
  TempDir dir;
  CgroupLayout layout;
  layout.unified = dir / "unified";
  for (const char* c : {"cpu", "cpuacct", "memory", "pids", "blkio"}) {
    layout.v1[c] = dir / c;
  }
  const auto write = [&](const std::string& file, absl::string_view text) {
    const std::string path = dir / file;
    ASSERT_OK(MakeDirs(path.substr(0, path.rfind('/')), 0755));
    ASSERT_OK(WriteFileDurably(path, text));
  };
  write("cpu/inst/a/cpu.stat", "nr_periods 9\nthrottled_time 3000000\n");
  write("cpu/inst/a/cpu.cfs_quota_us", "25000\n");
  write("cpu/inst/a/cpu.cfs_period_us", "100000\n");
  write("cpuacct/inst/a/cpuacct.usage", "4000000\n");
  write("memory/inst/a/memory.usage_in_bytes", "900\n");
  write("memory/inst/a/memory.stat",
        "inactive_file 1\ntotal_inactive_file 200\n");
  write("memory/inst/a/memory.limit_in_bytes", "9223372036854771712\n");
  write("memory/inst/a/memory.oom_control", "under_oom 0\noom_kill 1\n");
  write("pids/inst/a/pids.current", "3\n");
  write("blkio/inst/a/blkio.throttle.io_service_bytes_recursive",
        "8:0 Read 10\n8:0 Write 20\n8:0 Total 30\n8:16 Read 1\nTotal 31\n");
  write("unified/inst/a/cpu.stat", "usage_usec 77\n");
  write("unified/inst/a/io.pressure", "some avg10=0.00 total=5\n");
  ASSERT_OK_AND_ASSIGN(CgroupStats stats,
                       Cgroups(layout, "inst", clock).Stats("a"));
  EXPECT_EQ(stats.cpu_usage, absl::Milliseconds(4));
  EXPECT_EQ(stats.cpu_throttled, absl::Milliseconds(3));
  EXPECT_EQ(stats.cpu_limit_millicores, 250);
  EXPECT_EQ(stats.memory_bytes, 700);
  EXPECT_EQ(stats.memory_limit_bytes, 0);
  EXPECT_EQ(stats.oom_kills, 1);
  EXPECT_EQ(stats.pids, 3);
  EXPECT_EQ(stats.io_read_bytes, 11);
  EXPECT_EQ(stats.io_write_bytes, 20);
  EXPECT_EQ(stats.io_stalled, absl::Microseconds(5));

  write("cpu/inst/a/cpu.cfs_quota_us", "-1\n");
  ASSERT_OK_AND_ASSIGN(stats, Cgroups(layout, "inst", clock).Stats("a"));
  EXPECT_EQ(stats.cpu_limit_millicores, 0);
}

TEST(CgroupLimitsTest, WhenUpdatedOnAPureHost_ReclaimsBeforeItLimits) {
  RealClock clock;
  TempDir dir;
  CgroupLayout layout;
  layout.unified = dir.path();
  Cgroups cgroups(layout, "inst", clock);
  ASSERT_OK(cgroups.Prepare());
  EXPECT_THAT(cgroups.Update("a", {}), StatusIs(absl::StatusCode::kNotFound));
  ASSERT_EQ(mkdir((dir / "inst/a").c_str(), 0755), 0);
  const auto set = [&](const char* name, const char* text) {
    ASSERT_OK(WriteFileDurably(absl::StrCat(dir / "inst/a/", name), text));
  };
  const auto read = [&](const char* name) {
    return ReadFile(absl::StrCat(dir / "inst/a/", name), 100);
  };
  for (const char* name :
       {"memory.max", "memory.high", "memory.swap.max", "memory.oom.group",
        "cpu.max", "cpu.weight", "pids.max"}) {
    set(name, "");
  }
  set("memory.current", "1000\n");
  ASSERT_OK(cgroups.Update("a", {1500, 500, 64 << 20, 100}));
  EXPECT_THAT(read("memory.max"), IsOkAndHolds("67108864"));
  EXPECT_THAT(read("memory.high"), IsOkAndHolds("max"));
  EXPECT_THAT(read("cpu.max"), IsOkAndHolds("150000 100000"));
  EXPECT_THAT(read("cpu.weight"), IsOkAndHolds("20"));
  EXPECT_THAT(read("pids.max"), IsOkAndHolds("100"));

  // More is used than is allowed, and cannot be reclaimed.
  for (const char* name : {"memory.max", "memory.high", "cpu.max"}) {
    set(name, "");
  }
  set("memory.current", "9000000\n");
  EXPECT_THAT(cgroups.Update("a", {500, 0, 8 << 20, 0}),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       ::testing::HasSubstr("9000000 bytes are in use")));
  EXPECT_THAT(read("memory.max"), IsOkAndHolds(""));
  EXPECT_THAT(read("memory.high"), IsOkAndHolds(::testing::HasSubstr("max")));
  EXPECT_THAT(read("cpu.max"), IsOkAndHolds(""));

  for (const char* name : {"cpu.weight", "pids.max"}) set(name, "");
  ASSERT_OK(cgroups.Update("a", {}));
  EXPECT_THAT(read("memory.max"), IsOkAndHolds("max"));
  EXPECT_THAT(read("cpu.max"), IsOkAndHolds("max 100000"));
  EXPECT_THAT(read("cpu.weight"), IsOkAndHolds("100"));
  EXPECT_THAT(read("pids.max"), IsOkAndHolds("max"));
}

class CgroupsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_OK_AND_ASSIGN(const std::string mounts,
                         ReadFile("/proc/self/mountinfo", 1 << 20));
    ASSERT_OK_AND_ASSIGN(CgroupLayout layout, ParseCgroupLayout(mounts));
    cgroups_ = std::make_unique<Cgroups>(
        layout, absl::StrCat("bwtest-", getpid()), clock_);
    ASSERT_OK(cgroups_->Prepare());
  }
  void TearDown() override {
    EXPECT_OK(cgroups_->Kill("a", absl::Seconds(10)));
    EXPECT_OK(cgroups_->Remove("a"));
    EXPECT_OK(cgroups_->Cleanup());
  }

  // A shell that joins every hierarchy and sleeps, with a child.
  Spawned Sleeper() {
    std::string script;
    const CgroupPaths paths = cgroups_->Paths("a");
    std::vector<std::string> all = paths.v1;
    all.push_back(paths.unified);
    for (const std::string& path : all) {
      absl::StrAppend(&script, "echo 0 > ", path, "/cgroup.procs;");
    }
    absl::StrAppend(&script, "sleep 1000 & sleep 1000");
    UniqueFd shell(open("/bin/sh", O_RDONLY | O_CLOEXEC));
    SpawnOptions options;
    options.executable = shell.get();
    options.args = {"sh", "-c", script};
    options.env = {"PATH=/usr/bin:/bin"};
    absl::StatusOr<Spawned> spawned = Spawn(options);
    EXPECT_OK(spawned);
    const absl::Duration deadline = clock_.Steady() + absl::Seconds(10);
    while (!cgroups_->IsPopulated("a").value_or(false) &&
           clock_.Steady() < deadline) {
      clock_.Sleep(absl::Milliseconds(1));
    }
    return *std::move(spawned);
  }

  RealClock clock_;
  std::unique_ptr<Cgroups> cgroups_;
};

TEST_F(CgroupsTest, WhenCreatedTwice_IsTheSameGroup) {
  EXPECT_OK(cgroups_->Create("a", {500, 100, 64 << 20, 50}));
  EXPECT_OK(cgroups_->Create("a", {500, 100, 64 << 20, 50}));
  EXPECT_EQ(cgroups_->List(), std::set<std::string>{"a"});
  EXPECT_OK(cgroups_->Stats("a"));
  EXPECT_OK(cgroups_->Remove("a"));
  EXPECT_TRUE(cgroups_->List().empty());
}

TEST_F(CgroupsTest, WhenTheUmaskIsStrict_OthersCanLookIntoAGroup) {
  const mode_t before = umask(0077);
  EXPECT_OK(cgroups_->Create("a", {500, 100, 64 << 20, 50}));
  umask(before);
  CgroupPaths paths = cgroups_->Paths("a");
  paths.v1.push_back(paths.unified);
  for (const std::string& path : paths.v1) {
    struct stat st = {};
    ASSERT_EQ(stat(path.c_str(), &st), 0) << path;
    EXPECT_EQ(st.st_mode & 0777, 0755u) << path;
  }
}

TEST_F(CgroupsTest, WhenUpdated_TakesLimitsUpAndDownAndOff) {
  ASSERT_OK(cgroups_->Create("a", {500, 100, 64 << 20, 50}));
  EXPECT_OK(cgroups_->Update("a", {1000, 200, 128 << 20, 60}));
  EXPECT_OK(cgroups_->Update("a", {100, 50, 16 << 20, 20}));
  EXPECT_OK(cgroups_->Update("a", {}));
  EXPECT_OK(cgroups_->Update("a", {100, 50, 16 << 20, 20}));
}

TEST_F(CgroupsTest, WhenKilled_IsEmptyAndCanBeRemoved) {
  ASSERT_OK(cgroups_->Create("a", {}));
  Spawned child = Sleeper();
  EXPECT_THAT(cgroups_->IsPopulated("a"), IsOkAndHolds(true));
  EXPECT_THAT(cgroups_->Remove("a"),
              StatusIs(absl::StatusCode::kFailedPrecondition));
  EXPECT_OK(cgroups_->Kill("a", absl::Seconds(10)));
  EXPECT_THAT(cgroups_->IsPopulated("a"), IsOkAndHolds(false));
  ReapChild(child.pidfd.get());
  EXPECT_OK(cgroups_->Remove("a"));
}

TEST_F(CgroupsTest, WhenFrozen_IsStillKilled) {
  ASSERT_OK(cgroups_->Create("a", {}));
  Spawned child = Sleeper();
  EXPECT_OK(cgroups_->SetFrozen("a", true));
  EXPECT_OK(cgroups_->Kill("a", absl::Seconds(10)));
  ReapChild(child.pidfd.get());
}

TEST_F(CgroupsTest, WhenLimitIsImpossible_LeavesNothing) {
  EXPECT_FALSE(cgroups_->Create("a", {0, 0, 0, int64_t{1} << 62}).ok());
  EXPECT_TRUE(cgroups_->List().empty());
  EXPECT_OK(cgroups_->Kill("a", absl::Seconds(1)));
  EXPECT_THAT(cgroups_->Stats("a"), StatusIs(absl::StatusCode::kNotFound));
}

}  // namespace
}  // namespace bulwark::os
