// config-linux.md: the control group's path and its resources; pausing, and
// changes of limits while a container runs.
#include <unistd.h>

#include <fstream>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "tests/conformance/suite.h"

namespace bulwark::conformance {
namespace {

using ::testing::HasSubstr;

// One property of linux.resources, and the files it is to be seen in.
struct Limit {
  const char* pointer;
  Json value;
  const char* controller;
  const char* v1_file;
  const char* v1_value;
  const char* v2_file;
  const char* v2_value;
};

class CgroupSuite : public Suite {
 protected:
  // A file of the container's group; "" where there is no such controller.
  std::string FileOf(const std::string& controller, const std::string& name) {
    const std::string directory =
        Workspace::CgroupDirectory(controller, container().cgroup());
    return directory.empty() ? "" : directory + "/" + name;
  }
  static bool IsV2(const std::string& controller) {
    const std::string directory = Workspace::CgroupDirectory(controller, "");
    return access((directory + "/cgroup.controllers").c_str(), F_OK) == 0;
  }
  Json& Resource(const std::string& pointer) {
    return bundle().os()["resources"][Json::json_pointer(pointer)];
  }
  // The limits hold, as the kernel shows them. Returns how many could be
  // looked at: what neither version of the kernel has here is left out.
  int ExpectAll(const std::vector<Limit>& limits) {
    int seen = 0;
    for (const Limit& l : limits) {
      SCOPED_TRACE(l.pointer);
      const bool v2 = IsV2(l.controller);
      const std::string file = FileOf(l.controller, v2 ? l.v2_file : l.v1_file);
      if (file.empty() || *(v2 ? l.v2_file : l.v1_file) == '\0') continue;
      if (access(file.c_str(), F_OK) != 0) continue;
      ++seen;
      EXPECT_THAT(ReadFile(file), HasSubstr(v2 ? l.v2_value : l.v1_value));
    }
    return seen;
  }
  // Whether the kernel has the file for it: in the parent group, at least.
  bool Has(const Limit& l) {
    const bool v2 = IsV2(l.controller);
    const std::string directory =
        Workspace::CgroupDirectory(l.controller, Workspace::cgroup_parent());
    const std::string file = v2 ? l.v2_file : l.v1_file;
    // Version 2 shows files only once the controller is switched on below.
    return !directory.empty() && !file.empty() &&
           (v2 || access((directory + "/" + file).c_str(), F_OK) == 0);
  }
  // Runs a container with those that the kernel has.
  void ExpectSet(const std::vector<Limit>& limits) {
    int set = 0;
    for (const Limit& l : limits) {
      if (!Has(l)) continue;
      Resource(l.pointer) = l.value;
      ++set;
    }
    if (set == 0) GTEST_SKIP() << "the kernel has no such controller here";
    StartScript("exec sleep 1000");
    EXPECT_EQ(ExpectAll(limits), set);
  }
};

CONFORMANCE_SUITE_OF(CgroupPathTest, CgroupSuite);
CONFORMANCE_SUITE_OF(ResourcesTest, CgroupSuite);
CONFORMANCE_SUITE_OF(PauseTest, CgroupSuite);
CONFORMANCE_SUITE_OF(UpdateTest, CgroupSuite);

TEST_P(CgroupPathTest, WhenAbsolute_ThenItIsBelowTheMountOfEachHierarchy) {
  StartScript("exec sleep 1000");
  const std::string groups =
      ReadFile(absl::StrCat("/proc/", container().Pid(), "/cgroup"));
  const char* const wanted[] = {"memory", "pids", "cpu", "freezer", "devices"};
  for (const char* controller : wanted) {
    const std::string directory =
        Workspace::CgroupDirectory(controller, container().cgroup());
    if (directory.empty()) continue;
    EXPECT_THAT(ReadFile(directory + "/cgroup.procs"),
                HasSubstr(std::to_string(container().Pid()) + "\n"))
        << controller;
  }
  EXPECT_THAT(groups, HasSubstr(":" + container().cgroup() + "\n"));
}

TEST_P(CgroupPathTest, WhenItIsTheSame_ThenTheContainerComesToTheSamePlace) {
  bundle().Args({"/bin/sleep", "1000"});
  std::string first;
  for (int i = 0; i < 2; ++i) {
    ASSERT_THAT(container().Create(), Succeeds());
    const std::string groups =
        ReadFile(absl::StrCat("/proc/", container().Pid(), "/cgroup"));
    if (i == 0) first = groups;
    EXPECT_EQ(groups, first);
    ASSERT_THAT(container().Delete({"--force"}), Succeeds());
  }
}

TEST_P(CgroupPathTest, WhenTheProgramStarts_ThenItIsInsideFromTheBeginning) {
  bundle().RemoveNamespace("cgroup");
  const Outcome outcome =
      container().RunScript("cut -d: -f3 /proc/self/cgroup");
  EXPECT_THAT(outcome.out, HasSubstr(container().cgroup()));
}

TEST_P(ResourcesTest, WhenMemoryIsLimited_ThenTheKernelHasIt) {
  ExpectSet(
      {{"/memory/limit", 67108864, "memory", "memory.limit_in_bytes",
        "67108864\n", "memory.max", "67108864\n"},
       {"/memory/reservation", 33554432, "memory", "memory.soft_limit_in_bytes",
        "33554432\n", "memory.low", "33554432\n"},
       {"/memory/swap", 134217728, "memory", "memory.memsw.limit_in_bytes",
        "134217728\n", "memory.swap.max", "67108864\n"}});
}

TEST_P(ResourcesTest, WhenMemoryHasOldOptions_ThenVersion1HasThem) {
  ExpectSet({{"/memory/swappiness", 10, "memory", "memory.swappiness", "10\n",
              "", ""},
             {"/memory/disableOOMKiller", true, "memory", "memory.oom_control",
              "oom_kill_disable 1\n", "", ""}});
}

TEST_P(ResourcesTest, WhenMemoryIsUnlimited_ThenTheKernelHasIt) {
  ExpectSet({{"/memory/limit", -1, "memory", "memory.limit_in_bytes",
              "9223372036854771712\n", "memory.max", "max\n"}});
}

TEST_P(ResourcesTest, WhenTheProcessorIsLimited_ThenTheKernelHasIt) {
  ExpectSet(
      {{"/cpu/shares", 512, "cpu", "cpu.shares", "512\n", "cpu.weight", "20\n"},
       {"/cpu/quota", 50000, "cpu", "cpu.cfs_quota_us", "50000\n", "cpu.max",
        "50000 200000\n"},
       {"/cpu/period", 200000, "cpu", "cpu.cfs_period_us", "200000\n",
        "cpu.max", "50000 200000\n"}});
}

TEST_P(ResourcesTest, WhenTheProcessorMayBurst_ThenTheKernelHasIt) {
  ExpectSet({{"/cpu/quota", 50000, "cpu", "cpu.cfs_quota_us", "50000\n",
              "cpu.max", "50000 "},
             {"/cpu/burst", 20000, "cpu", "cpu.cfs_burst_us", "20000\n",
              "cpu.max.burst", "20000\n"}});
}

TEST_P(ResourcesTest, WhenTheGroupIsIdle_ThenTheKernelHasIt) {
  ExpectSet({{"/cpu/idle", 1, "cpu", "cpu.idle", "1\n", "cpu.idle", "1\n"}});
}

TEST_P(ResourcesTest, WhenProcessorsAreChosen_ThenTheKernelHasIt) {
  ExpectSet(
      {{"/cpu/cpus", "0", "cpuset", "cpuset.cpus", "0\n", "cpuset.cpus", "0\n"},
       {"/cpu/mems", "0", "cpuset", "cpuset.mems", "0\n", "cpuset.mems",
        "0\n"}});
}

TEST_P(ResourcesTest, WhenProcessesAreLimited_ThenTheKernelHasIt) {
  ExpectSet(
      {{"/pids/limit", 33, "pids", "pids.max", "33\n", "pids.max", "33\n"}});
}

TEST_P(ResourcesTest, WhenProcessesAreLimited_ThenNoMoreCanBeMade) {
  Resource("/pids/limit") = 8;
  const Outcome outcome = container().RunScript(
      "i=0; while [ $i -lt 20 ]; do sleep 5 & i=$((i+1)); done; echo all");
  EXPECT_THAT(outcome.err, HasSubstr("fork"));
}

TEST_P(ResourcesTest, WhenMemoryRunsOut_ThenTheProgramIsKilled) {
  Resource("/memory/limit") = 16777216;
  Resource("/memory/swap") = 16777216;
  bundle().process()["oomScoreAdj"] = 1000;
  bundle().Args(
      {"/bin/dd", "if=/dev/zero", "of=/dev/null", "bs=64M", "count=1"});
  EXPECT_EQ(container().Run().code, 128 + 9);
}

// The disk that the host's root is on, or none.
std::string FirstDisk() {
  std::ifstream partitions("/proc/partitions");
  std::string line, name;
  long major, minor, blocks;
  std::getline(partitions, line);
  while (partitions >> major >> minor >> blocks >> name) {
    if (major != 7) return absl::StrCat(major, ":", minor);
  }
  return "";
}

TEST_P(ResourcesTest, WhenDisksAreThrottled_ThenTheKernelHasIt) {
  const std::string disk = FirstDisk();
  if (disk.empty()) GTEST_SKIP() << "the host has no disk";
  int major, minor;
  ASSERT_EQ(sscanf(disk.c_str(), "%d:%d", &major, &minor), 2);
  const auto of = [&](int rate) {
    return Json::array({{{"major", major}, {"minor", minor}, {"rate", rate}}});
  };
  const char* const io = Workspace::pure_v2() ? "io" : "blkio";
  const std::string bytes = disk + " 1048576";
  const std::string calls = disk + " 500";
  // Version 2 has all of a disk's in one line.
  const std::string all =
      disk + " rbps=1048576 wbps=1048576 riops=500 wiops=500\n";
  ExpectSet(
      {{"/blockIO/throttleReadBpsDevice", of(1048576), io,
        "blkio.throttle.read_bps_device", bytes.c_str(), "io.max", all.c_str()},
       {"/blockIO/throttleWriteBpsDevice", of(1048576), io,
        "blkio.throttle.write_bps_device", bytes.c_str(), "io.max",
        all.c_str()},
       {"/blockIO/throttleReadIOPSDevice", of(500), io,
        "blkio.throttle.read_iops_device", calls.c_str(), "io.max",
        all.c_str()},
       {"/blockIO/throttleWriteIOPSDevice", of(500), io,
        "blkio.throttle.write_iops_device", calls.c_str(), "io.max",
        all.c_str()}});
}

TEST_P(ResourcesTest, WhenTheKernelRefusesAValue_ThenNothingIsLeft) {
  Resource("/cpu/period") = 1;
  Resource("/cpu/quota") = 1;
  ExpectCreateRefused();
}

TEST_P(ResourcesTest, WhenAFileOfVersion2IsNotThere_ThenCreateFails) {
  if (Workspace::pure_v2()) {
    Resource("/unified") = {{"none.max", "1"}};
  } else {
    // Version 1 has the controller here.
    Resource("/unified") = {{"memory.max", "67108864"}};
  }
  ExpectCreateRefused();
}

TEST_P(ResourcesTest, WhenFilesOfVersion2AreGiven_ThenTheyAreWritten) {
  if (!Workspace::pure_v2()) {
    GTEST_SKIP() << "no controller of version 2 to be had here";
  }
  Resource("/unified") = {{"memory.high", "67108864"}, {"pids.max", "44"}};
  StartScript("exec sleep 1000");
  EXPECT_EQ(ReadFile(FileOf("memory", "memory.high")), "67108864\n");
  EXPECT_EQ(ReadFile(FileOf("pids", "pids.max")), "44\n");
}

TEST_P(PauseTest, WhenPaused_ThenNothingRunsUntilItIsResumed) {
  StartScript(
      "i=0; while true; do i=$((i+1)); echo $i > /count;"
      "sleep 0.01; done");
  const std::string count = bundle().rootfs() + "/count";
  ASSERT_TRUE(Eventually([&] { return !ReadFile(count).empty(); }));
  ASSERT_THAT(container().Call({"pause", container().id()}), Succeeds());
  EXPECT_EQ(container().Status(), "paused");
  const std::string before = ReadFile(count);
  Pause(absl::Milliseconds(100));
  EXPECT_EQ(ReadFile(count), before);
  ASSERT_THAT(container().Call({"resume", container().id()}), Succeeds());
  EXPECT_EQ(container().Status(), "running");
  EXPECT_TRUE(Eventually([&] { return ReadFile(count) != before; }));
}

TEST_P(PauseTest, WhenPaused_ThenItCanBeDeletedByForce) {
  StartScript("exec sleep 1000");
  ASSERT_THAT(container().Call({"pause", container().id()}), Succeeds());
  EXPECT_THAT(container().Delete({"--force"}), Succeeds());
  EXPECT_EQ(container().AwaitExit(), 128 + 9);
}

TEST_P(PauseTest, WhenPausedBeforeTheStart_ThenItStartsOnceItIsResumed) {
  bundle().Script("echo started; exec sleep 1000");
  ASSERT_THAT(container().Create(), Succeeds());
  ASSERT_THAT(container().Call({"pause", container().id()}), Succeeds());
  EXPECT_EQ(container().Status(), "paused");
  EXPECT_THAT(container().Call({"pause", container().id()}), IsRefused());
  const Outcome started = container().Start();
  EXPECT_THAT(started, IsRefused());
  EXPECT_THAT(started.err,
              HasSubstr("cannot start a container in the paused state"));
  EXPECT_THAT(container().Exec({"/bin/true"}), IsRefused());
  ASSERT_THAT(container().Call({"resume", container().id()}), Succeeds());
  EXPECT_EQ(container().Status(), "created");
  ASSERT_THAT(container().Start(), Succeeds());
  EXPECT_TRUE(container().AwaitPrinted("started"));
  EXPECT_EQ(container().Status(), "running");
}

TEST_P(PauseTest, WhenUnknownOrStopped_ThenItFails) {
  EXPECT_THAT(container().Call({"pause", "unknown"}), IsRefused());
  EXPECT_THAT(container().Call({"resume", "unknown"}), IsRefused());
  StartScript("exit 0");
  EXPECT_EQ(container().AwaitExit(), 0);
  ASSERT_TRUE(container().AwaitStatus("stopped"));
  EXPECT_THAT(container().Call({"pause", container().id()}), IsRefused());
}

TEST_P(UpdateTest, WhenLimitsChange_ThenTheKernelHasThem) {
  StartScript("exec sleep 1000");
  ASSERT_THAT(
      container().Call({"update", "--memory", "67108864", "--pids-limit", "55",
                        "--cpu-share", "512", container().id()}),
      Succeeds());
  EXPECT_EQ(
      ExpectAll(
          {{"memory", 0, "memory", "memory.limit_in_bytes", "67108864\n",
            "memory.max", "67108864\n"},
           {"pids", 0, "pids", "pids.max", "55\n", "pids.max", "55\n"},
           {"shares", 0, "cpu", "cpu.shares", "512\n", "cpu.weight", "20\n"}}),
      3);
}

TEST_P(UpdateTest, WhenAFileSaysWhat_ThenTheKernelHasIt) {
  StartScript("exec sleep 1000");
  WriteFile(scratch() + "/resources",
            R"({"memory": {"limit": 67108864}, "pids": {"limit": 44}})");
  ASSERT_THAT(container().Call({"update", "--resources",
                                scratch() + "/resources", container().id()}),
              Succeeds());
  EXPECT_EQ(
      ExpectAll({{"memory", 0, "memory", "memory.limit_in_bytes", "67108864\n",
                  "memory.max", "67108864\n"},
                 {"pids", 0, "pids", "pids.max", "44\n", "pids.max", "44\n"}}),
      2);
}

TEST_P(UpdateTest, WhenUnknown_ThenItFails) {
  EXPECT_THAT(container().Call({"update", "--pids-limit", "5", "unknown"}),
              IsRefused());
}

}  // namespace
}  // namespace bulwark::conformance
