// On the host's own hierarchies, whichever there are, in groups below
// "/bulwark-oci-test-PID"; and over plain directories what this host has not.
#include "engine/oci/cgroup/cgroup.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "base/testing/status_matchers.h"
#include "base/testing/temp_dir.h"
#include "os/files.h"

namespace bulwark::engine::oci {
namespace {

using ::bulwark::testing::IsOk;
using ::bulwark::testing::IsOkAndHolds;
using ::bulwark::testing::StatusIs;
using ::bulwark::testing::TempDir;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

constexpr absl::Duration kLong = absl::Seconds(20);
constexpr int64_t kMiB = 1 << 20;

bool Exists(const std::string& path) { return access(path.c_str(), F_OK) == 0; }

std::string Read(const std::string& path) {
  const absl::StatusOr<std::string> text = os::ReadFile(path, 1 << 20);
  return std::string(absl::StripSuffix(text.value_or("(none)"), "\n"));
}

class CgroupTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (geteuid() != 0) GTEST_SKIP() << "needs root";
    absl::StatusOr<CgroupHost> host = FindCgroupHost();
    if (!host.ok()) GTEST_SKIP() << host.status();
    host_ = *host;
    parent_ = absl::StrCat("/bulwark-oci-test-", getpid());
    request_.id = "web";
    request_.cgroups_path = parent_ + "/web";
  }

  void TearDown() override {
    for (const int pid : children_) {
      kill(pid, SIGKILL);
      waitpid(pid, nullptr, 0);
    }
    for (const std::string& group : Everywhere(parent_)) {
      rmdir(group.c_str());
      EXPECT_FALSE(Exists(group)) << group << " is left";
    }
  }

  // The group of each hierarchy.
  std::vector<std::string> Everywhere(const std::string& path) const {
    std::vector<std::string> all;
    if (!host_.unified.empty()) all.push_back(host_.unified + path);
    for (const auto& [controller, mount] : host_.v1) {
      all.push_back(mount + path);
    }
    return all;
  }

  absl::StatusOr<ContainerCgroup> Create(const Resources& resources) {
    return ContainerCgroup::Create(host_, request_, resources, clock_);
  }

  // A child in the container's groups that does `what` and then waits for its
  // end. Returns once it has joined.
  template <typename What>
  int Spawn(const CgroupRecord& record, What what) {
    absl::StatusOr<CgroupEntry> entry = OpenCgroup(record);
    EXPECT_THAT(entry, IsOk());
    int ready[2];
    EXPECT_EQ(pipe2(ready, O_CLOEXEC), 0);
    const int pid = fork();
    if (pid == 0) {
      bool joined = entry.ok();
      if (!record.unified.empty()) {
        const int fd = openat(entry->unified.get(), "cgroup.procs", O_WRONLY);
        joined = joined && write(fd, "0", 1) == 1;
      }
      for (const UniqueFd& procs : entry->v1_procs) {
        joined = joined && write(procs.get(), "0", 1) == 1;
      }
      const char result = joined ? static_cast<char>(what()) : 77;
      if (write(ready[1], &result, 1) != 1) _exit(1);
      for (;;) pause();
    }
    close(ready[1]);
    char result = 78;
    EXPECT_EQ(read(ready[0], &result, 1), 1);
    close(ready[0]);
    result_ = result;
    children_.push_back(pid);
    return pid;
  }
  int Spawn(const CgroupRecord& record) {
    const int pid = Spawn(record, [] { return 0; });
    EXPECT_EQ(result_, 0);
    return pid;
  }
  void Reap(int pid) {
    EXPECT_EQ(waitpid(pid, nullptr, 0), pid);
    children_.erase(std::remove(children_.begin(), children_.end(), pid),
                    children_.end());
  }

  // Some limit that this host can set, and where it is then to be read.
  Resources PidsLimit(int64_t limit) {
    Resources resources;
    resources.pids_limit = limit;
    return resources;
  }
  std::string PidsFile() {
    const auto v1 = host_.v1.find("pids");
    return (v1 == host_.v1.end() ? host_.unified : v1->second) +
           request_.cgroups_path + "/pids.max";
  }

  RealClock clock_;
  CgroupHost host_;
  CgroupRequest request_;
  std::string parent_;
  int result_ = 0;
  std::vector<int> children_;
};

TEST_F(CgroupTest, WhenNothingIsCommitted_ThenNothingIsLeft) {
  request_.all_hierarchies = true;
  request_.cgroups_path = parent_ + "/pod/web";
  {
    absl::StatusOr<ContainerCgroup> cgroup = Create(PidsLimit(10));
    ASSERT_THAT(cgroup, IsOk());
    for (const std::string& group : Everywhere(request_.cgroups_path)) {
      EXPECT_TRUE(Exists(group)) << group;
    }
    Spawn(cgroup->record());  // a launch that then fails
  }
  for (const std::string& group : Everywhere(parent_)) {
    EXPECT_FALSE(Exists(group)) << group;
  }
}

TEST_F(CgroupTest, WhenALimitIsRefused_ThenNothingIsLeft) {
  Resources resources = PidsLimit(10);
  resources.cpu.cpus = "5000";
  EXPECT_THAT(Create(resources).status(),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("linux.resources.cpu.cpus")));
  for (const std::string& group : Everywhere(parent_)) {
    EXPECT_FALSE(Exists(group)) << group;
  }
}

TEST_F(CgroupTest, WhenToldBefore_ThenNoGroupIsThereYetAndTheRecordIsWhole) {
  CgroupRecord told;
  request_.before = [&](const CgroupRecord& record) {
    for (const std::string& group : Everywhere(parent_)) {
      EXPECT_FALSE(Exists(group)) << group;
    }
    told = record;
    return absl::OkStatus();
  };
  const absl::StatusOr<ContainerCgroup> cgroup = Create(PidsLimit(10));
  ASSERT_THAT(cgroup, IsOk());
  EXPECT_EQ(told.path, request_.cgroups_path);
  EXPECT_EQ(told.unified, cgroup->record().unified);
  EXPECT_EQ(told.v1, cgroup->record().v1);
}

TEST_F(CgroupTest, WhenThatFails_ThenNothingIsMade) {
  request_.before = [](const CgroupRecord&) {
    return absl::ResourceExhaustedError("no space");
  };
  EXPECT_THAT(Create(PidsLimit(10)).status(),
              StatusIs(absl::StatusCode::kResourceExhausted));
  for (const std::string& group : Everywhere(parent_)) {
    EXPECT_FALSE(Exists(group)) << group;
  }
}

TEST_F(CgroupTest, WhenCommitted_ThenItStaysUntilItIsRemoved) {
  CgroupRecord record;
  {
    absl::StatusOr<ContainerCgroup> cgroup = Create(PidsLimit(10));
    ASSERT_THAT(cgroup, IsOk());
    record = cgroup->record();
    cgroup->Commit();
  }
  EXPECT_EQ(Read(PidsFile()), "10");
  const int pid = Spawn(record);
  EXPECT_THAT(CgroupPids(record), IsOkAndHolds(ElementsAre(pid)));
  EXPECT_THAT(RemoveCgroup(record, absl::Milliseconds(50), clock_),
              StatusIs(absl::StatusCode::kFailedPrecondition));
  EXPECT_THAT(KillCgroup(record, kLong, clock_), IsOk());
  EXPECT_THAT(RemoveCgroup(record, kLong, clock_), IsOk());
  EXPECT_THAT(KillCgroup(record, kLong, clock_), IsOk());
  EXPECT_THAT(RemoveCgroup(record, kLong, clock_), IsOk());
  EXPECT_THAT(CgroupPids(record), IsOkAndHolds(IsEmpty()));
  EXPECT_THAT(CgroupStatsJson(record), StatusIs(absl::StatusCode::kNotFound));
  EXPECT_THAT(OpenCgroup(record).status(),
              StatusIs(absl::StatusCode::kNotFound));
}

TEST_F(CgroupTest,
       WhenAHybridHostIsAskedForLittle_ThenFewHierarchiesAreJoined) {
  if (host_.unified.empty() || host_.v1.count("pids") == 0) {
    GTEST_SKIP() << "not a hybrid host";
  }
  absl::StatusOr<ContainerCgroup> cgroup = Create({});
  ASSERT_THAT(cgroup, IsOk());
  EXPECT_THAT(cgroup->record().v1, IsEmpty());
}

TEST_F(CgroupTest, WhenTheGroupHasProcesses_ThenItIsNotTaken) {
  absl::StatusOr<ContainerCgroup> first = Create({});
  ASSERT_THAT(first, IsOk());
  // One that is empty is taken, and left to whom it belongs.
  EXPECT_THAT(Create({}), IsOk());
  EXPECT_TRUE(Exists(Everywhere(request_.cgroups_path)[0]));
  Spawn(first->record());
  EXPECT_THAT(Create({}).status(),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       HasSubstr("exists and has 1 processes")));
  request_.cgroups_path = parent_;  // above one that has
  EXPECT_THAT(Create({}).status(),
              StatusIs(absl::StatusCode::kFailedPrecondition));
}

TEST_F(CgroupTest, WhenFrozen_ThenProcessesStopUntilThawed) {
  absl::StatusOr<ContainerCgroup> cgroup = Create({});
  ASSERT_THAT(cgroup, IsOk());
  const CgroupRecord& record = cgroup->record();
  Spawn(record);
  EXPECT_FALSE(IsCgroupFrozen(record));
  ASSERT_THAT(SetCgroupFrozen(record, true, kLong, clock_), IsOk());
  EXPECT_TRUE(IsCgroupFrozen(record));
  ASSERT_THAT(SetCgroupFrozen(record, false, kLong, clock_), IsOk());
  EXPECT_FALSE(IsCgroupFrozen(record));
  // A frozen process dies all the same.
  ASSERT_THAT(SetCgroupFrozen(record, true, kLong, clock_), IsOk());
  EXPECT_THAT(KillCgroup(record, kLong, clock_), IsOk());
}

TEST_F(CgroupTest, WhenSignalled_ThenEveryProcessBelowIsToo) {
  absl::StatusOr<ContainerCgroup> cgroup = Create({});
  ASSERT_THAT(cgroup, IsOk());
  CgroupRecord below = cgroup->record();
  std::string deepest;
  std::string* place =
      below.unified.empty() ? &below.v1["freezer"] : &below.unified;
  for (const char* name : {"/a", "/b", "/c"}) {
    *place += name;
    ASSERT_EQ(mkdir(place->c_str(), 0755), 0);
  }
  const int outer = Spawn(cgroup->record());
  const int inner = Spawn(below);
  EXPECT_THAT(CgroupPids(cgroup->record()),
              IsOkAndHolds(
                  ElementsAre(std::min(outer, inner), std::max(outer, inner))));
  EXPECT_THAT(SignalCgroup(cgroup->record(), SIGTERM), IsOk());
  Reap(outer);
  Reap(inner);
  EXPECT_THAT(SignalCgroup(cgroup->record(), SIGTERM), IsOk());
  EXPECT_THAT(RemoveCgroup(cgroup->record(), kLong, clock_), IsOk());
  EXPECT_FALSE(Exists(Everywhere(request_.cgroups_path)[0]));
}

TEST_F(CgroupTest, WhenDevicesAreDenied_ThenTheyCannotBeOpened) {
  TempDir dir;
  const std::string kmsg = dir / "kmsg";
  ASSERT_EQ(mknod(kmsg.c_str(), S_IFCHR | 0600, makedev(1, 11)), 0);
  absl::StatusOr<ContainerCgroup> cgroup = Create({});
  ASSERT_THAT(cgroup, IsOk());
  ASSERT_THAT(cgroup->FilterDevices(), IsOk());
  Spawn(cgroup->record(), [&] {
    if (open(kmsg.c_str(), O_RDONLY | O_NONBLOCK) >= 0) return 1;
    return errno == EPERM && open("/dev/null", O_RDWR) >= 0 ? 0 : 2;
  });
  EXPECT_EQ(result_, 0);
}

TEST_F(CgroupTest, WhenOnlyVersionOneIsThere_ThenItDoesEverything) {
  for (const char* needed : {"devices", "freezer", "pids", "cpuset"}) {
    if (host_.v1.count(needed) == 0) GTEST_SKIP() << "no hierarchy " << needed;
  }
  TempDir dir;
  const std::string kmsg = dir / "kmsg";
  ASSERT_EQ(mknod(kmsg.c_str(), S_IFCHR | 0600, makedev(1, 11)), 0);
  const std::string unified = std::exchange(host_.unified, "");
  Resources resources = PidsLimit(10);
  resources.cpu.cpus = "0";
  absl::StatusOr<ContainerCgroup> cgroup = Create(resources);
  ASSERT_THAT(cgroup, IsOk());
  const CgroupRecord& record = cgroup->record();
  EXPECT_EQ(record.unified, "");
  EXPECT_EQ(Read(record.v1.at("cpuset") + "/cpuset.cpus"), "0");
  EXPECT_EQ(Read(PidsFile()), "10");
  const int pid = Spawn(record, [&] {
    if (open(kmsg.c_str(), O_RDONLY | O_NONBLOCK) >= 0) return 1;
    return errno == EPERM && open("/dev/null", O_RDWR) >= 0 ? 0 : 2;
  });
  EXPECT_EQ(result_, 0);
  EXPECT_THAT(CgroupPids(record), IsOkAndHolds(ElementsAre(pid)));
  ASSERT_THAT(SetCgroupFrozen(record, true, kLong, clock_), IsOk());
  EXPECT_TRUE(IsCgroupFrozen(record));
  ASSERT_THAT(SetCgroupFrozen(record, false, kLong, clock_), IsOk());
  EXPECT_FALSE(IsCgroupFrozen(record));
  EXPECT_THAT(CgroupStatsJson(record), IsOk());
  // A zombie is none of a group's processes any more in version 2; here it is.
  kill(pid, SIGKILL);
  Reap(pid);
  EXPECT_THAT(KillCgroup(record, kLong, clock_), IsOk());
  EXPECT_THAT(RemoveCgroup(record, kLong, clock_), IsOk());
  host_.unified = unified;
}

TEST_F(CgroupTest, WhenUpdated_ThenOnlyWhatIsNamedChanges) {
  absl::StatusOr<ContainerCgroup> cgroup = Create({});
  ASSERT_THAT(cgroup, IsOk());
  CgroupRecord record = cgroup->record();
  cgroup->Commit();
  const int pid = Spawn(record);
  EXPECT_THAT(UpdateCgroup(host_, PidsLimit(12), record, clock_), IsOk());
  EXPECT_EQ(Read(PidsFile()), "12");
  Resources memory;
  memory.memory.limit = 64 * kMiB;
  EXPECT_THAT(UpdateCgroup(host_, memory, record, clock_), IsOk());
  EXPECT_EQ(Read(PidsFile()), "12");
  EXPECT_THAT(UpdateCgroup(host_, PidsLimit(-1), record, clock_), IsOk());
  EXPECT_EQ(Read(PidsFile()), "max");
  // It also holds for the process that was there before.
  if (host_.v1.count("pids") > 0) {
    EXPECT_THAT(Read(absl::StrCat("/proc/", pid, "/cgroup")),
                HasSubstr(absl::StrCat("pids:", request_.cgroups_path)));
  }
  Resources wrong;
  wrong.cpu.quota = 10;
  EXPECT_THAT(UpdateCgroup(host_, wrong, record, clock_),
              StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(KillCgroup(record, kLong, clock_), IsOk());
  EXPECT_THAT(RemoveCgroup(record, kLong, clock_), IsOk());
}

TEST_F(CgroupTest, WhenLimitsDependOnEachOther_ThenTheOrderDoesNotMatter) {
  Resources small;
  small.memory.limit = 32 * kMiB;
  small.memory.swap = 48 * kMiB;
  small.cpu.quota = 20000;
  small.cpu.period = 50000;
  small.cpu.burst = 10000;
  absl::StatusOr<ContainerCgroup> cgroup = Create(small);
  if (cgroup.status().code() == absl::StatusCode::kFailedPrecondition) {
    GTEST_SKIP() << cgroup.status();
  }
  ASSERT_THAT(cgroup, IsOk());
  CgroupRecord record = cgroup->record();
  Resources large;
  large.memory.limit = 96 * kMiB;
  large.memory.swap = 128 * kMiB;
  large.cpu.quota = 100000;
  large.cpu.burst = 60000;
  EXPECT_THAT(UpdateCgroup(host_, large, record, clock_), IsOk());
  EXPECT_THAT(UpdateCgroup(host_, small, record, clock_), IsOk());
  Resources none;
  none.memory.limit = -1;
  none.cpu.quota = -1;
  EXPECT_THAT(UpdateCgroup(host_, none, record, clock_), IsOk());
}

TEST_F(CgroupTest, WhenStatsAreRead_ThenTheyHaveTheNamesOfRunc) {
  request_.all_hierarchies = true;
  absl::StatusOr<ContainerCgroup> cgroup = Create(PidsLimit(10));
  ASSERT_THAT(cgroup, IsOk());
  Spawn(cgroup->record(), [] {
    volatile uint64_t sum = 0;
    for (int i = 0; i < 20000000; ++i) sum = sum + 1;
    return 0;
  });
  const absl::StatusOr<std::string> text = CgroupStatsJson(cgroup->record());
  ASSERT_THAT(text, IsOk());
  const nlohmann::json data = nlohmann::json::parse(*text);
  EXPECT_GT(data["cpu"]["usage"]["total"].get<uint64_t>(), 0u);
  EXPECT_TRUE(data["cpu"]["throttling"]["periods"].is_number());
  EXPECT_EQ(data["pids"]["current"], 1);
  EXPECT_EQ(data["pids"]["limit"], 10);
  EXPECT_TRUE(data["memory"]["usage"]["usage"].is_number());
  EXPECT_TRUE(data["memory"]["raw"].is_object());
  EXPECT_TRUE(data["blkio"]["ioServiceBytesRecursive"].is_array());
}

TEST(CgroupNoneTest, WhenAContainerHasNoGroup_ThenEveryVerbSaysWhatItCan) {
  RealClock clock;
  CgroupRecord none;
  EXPECT_THAT(CgroupPids(none), IsOkAndHolds(IsEmpty()));
  EXPECT_THAT(KillCgroup(none, kLong, clock), IsOk());
  EXPECT_THAT(RemoveCgroup(none, kLong, clock), IsOk());
  EXPECT_FALSE(IsCgroupFrozen(none));
  EXPECT_THAT(SetCgroupFrozen(none, true, kLong, clock),
              StatusIs(absl::StatusCode::kFailedPrecondition));
  EXPECT_THAT(UpdateCgroup({}, {}, none, clock),
              StatusIs(absl::StatusCode::kFailedPrecondition));
  EXPECT_THAT(CgroupStatsJson(none), StatusIs(absl::StatusCode::kNotFound));
  ASSERT_THAT(OpenCgroup(none), IsOk());
  EXPECT_FALSE(OpenCgroup(none)->unified.ok());
}

}  // namespace
}  // namespace bulwark::engine::oci
