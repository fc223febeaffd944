// The checker must see what we plant: one leak of each kind.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <spawn.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <functional>
#include <sstream>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/clock.h"
#include "base/rollback.h"
#include "base/testing/status_matchers.h"
#include "base/testing/temp_dir.h"
#include "netmesh/linux/names.h"
#include "netmesh/linux/testing/namespaces.h"
#include "os/netlink.h"
#include "os/netns.h"
#include "os/nft.h"
#include "tests/leakcheck/scan.h"

namespace bulwark::leakcheck {
namespace {

using bulwark::testing::StatusIs;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

const auto* const kNamespaces =
    ::testing::AddGlobalTestEnvironment(new netmesh::testing::Namespaces);

TEST(HasInstanceTest, WhenItIsPartOfAnotherWord_SaysNo) {
  for (const char* text :
       {"b1", "/run/b1/x", "bulwark-b1.scope", "b1-net", "b12/b1"}) {
    EXPECT_TRUE(HasInstance(text, "b1")) << text;
  }
  for (const char* text : {"b12", "ab1", "", "b-1"}) {
    EXPECT_FALSE(HasInstance(text, "b1")) << text;
  }
  EXPECT_FALSE(HasInstance("anything", ""));
}

TEST(IsBelowTest, WhenOnlyTheNameBegins_SaysNo) {
  EXPECT_TRUE(IsBelow("/run/b1", "/run/b1"));
  EXPECT_TRUE(IsBelow("/run/b1/x", "/run/b1"));
  EXPECT_FALSE(IsBelow("/run/b12", "/run/b1"));
  EXPECT_FALSE(IsBelow("/run", "/run/b1"));
}

TEST(ReportTest, WhenPrinted_IsReadBack) {
  std::vector<Item> items = {{"link", "host \"x\"\n", "d"},
                             {"mount", "ext4 /\xff", ""}};
  ASSERT_OK_AND_ASSIGN(std::vector<Item> again, Parse(Print(items)));
  EXPECT_EQ(again[0], items[0]);
  EXPECT_THAT(again, SizeIs(2));
  EXPECT_THAT(Parse("{}"), StatusIs(absl::StatusCode::kInvalidArgument,
                                    HasSubstr("line 1")));
  EXPECT_THAT(Parse("\nnonsense"), StatusIs(absl::StatusCode::kInvalidArgument,
                                            HasSubstr("line 2")));
}

TEST(ReportTest, WhenCompared_OnlyWhatIsNewLeaked) {
  std::vector<Item> before = {{"link", "a", "old"}, {"link", "gone", ""}};
  std::vector<Item> after = {
      {"link", "a", "new"}, {"link", "b", ""}, {"mount", "a", ""}};
  EXPECT_THAT(Leaked(before, after), ElementsAre(after[1], after[2]));
  EXPECT_THAT(Leaked(after, after), IsEmpty());
}

class PlantedTest : public ::testing::Test {
 protected:
  void SetUp() override {
    options_.instance = "leaktest";
    options_.runtime_dir = dir_ / "run";
    options_.state_dir = dir_ / "state";
    ASSERT_EQ(mkdir(options_.runtime_dir.c_str(), 0755), 0);
    ASSERT_EQ(mkdir((options_.runtime_dir + "/netns").c_str(), 0755), 0);
    ASSERT_EQ(mkdir(options_.state_dir.c_str(), 0755), 0);
    ASSERT_OK_AND_ASSIGN(before_, Scan(options_));
  }
  // Until the end; it is no news.
  void PinDataplane(const UniqueFd& netns) {
    const std::string pin = options_.runtime_dir + "/netns/dataplane";
    ASSERT_OK(os::PinNetns(netns.get(), pin));
    undo_.Add([pin] { os::UnpinNetns(pin).IgnoreError(); });
    ASSERT_OK_AND_ASSIGN(before_, Scan(options_));
  }
  // Kinds of what came since the start.
  std::vector<std::string> Kinds() {
    std::vector<std::string> kinds;
    auto now = Scan(options_);
    EXPECT_OK(now);
    for (const Item& item : Leaked(before_, *now)) {
      kinds.push_back(item.kind);
    }
    return kinds;
  }
  // Mount points of one file system type.
  std::vector<std::string> MountsOf(const std::string& type) {
    std::vector<std::string> points;
    std::ifstream file("/proc/self/mounts");
    for (std::string line; std::getline(file, line);) {
      std::istringstream fields(line);
      std::string source, point, kind;
      fields >> source >> point >> kind;
      if (kind == type) points.push_back(point);
    }
    return points;
  }
  // A process that lives until the destructor.
  pid_t Spawn(std::vector<const char*> argv) {
    argv.push_back(nullptr);
    pid_t pid = -1;
    EXPECT_EQ(posix_spawn(&pid, argv[0], nullptr, nullptr,
                          const_cast<char**>(argv.data()), nullptr),
              0);
    undo_.Add([pid] {
      kill(pid, SIGKILL);
      waitpid(pid, nullptr, 0);
    });
    return pid;
  }

  testing::TempDir dir_;
  Options options_;
  std::vector<Item> before_;
  Rollback undo_;
};

TEST_F(PlantedTest, WhenNothingIsPlanted_FindsNothing) {
  EXPECT_THAT(before_, IsEmpty());
  EXPECT_THAT(Kinds(), IsEmpty());
}

TEST_F(PlantedTest, WhenFilesOfAContainerArePlanted_FindsThem) {
  ASSERT_EQ(mkdir((options_.runtime_dir + "/inputs").c_str(), 0700), 0);
  EXPECT_THAT(Kinds(), IsEmpty());
  ASSERT_EQ(mkdir((options_.runtime_dir + "/inputs/u-web").c_str(), 0700), 0);
  EXPECT_THAT(Kinds(), ElementsAre("input"));
}

TEST_F(PlantedTest, WhenSecretsOfABuildArePlanted_FindsThem) {
  const std::string folder = options_.runtime_dir + "/build-secrets";
  ASSERT_EQ(mkdir(folder.c_str(), 0700), 0);
  EXPECT_THAT(Kinds(), IsEmpty());
  ASSERT_EQ(mkdir((folder + "/1").c_str(), 0700), 0);
  EXPECT_THAT(Kinds(), ElementsAre("build-secret"));
}

TEST_F(PlantedTest, WhenACgroupIsPlanted_FindsItInEachTree) {
  int trees = 0;
  for (const char* type : {"cgroup", "cgroup2"}) {
    std::vector<std::string> points = MountsOf(type);
    if (points.empty()) continue;
    ++trees;
    const std::string parent = points[0] + "/bw-leaktest";
    ASSERT_EQ(mkdir(parent.c_str(), 0755), 0);
    undo_.Add([parent] { rmdir(parent.c_str()); });
    const std::string child = parent + "/c1";
    ASSERT_EQ(mkdir(child.c_str(), 0755), 0);
    undo_.Add([child] { rmdir(child.c_str()); });
    EXPECT_THAT(Kinds(), SizeIs(2 * trees));
  }
  EXPECT_GT(trees, 0);
}

TEST_F(PlantedTest, WhenAProcessIsInACgroup_FindsBoth) {
  std::vector<std::string> points = MountsOf("cgroup2");
  if (points.empty()) GTEST_SKIP() << "no cgroup2 tree is mounted";
  const std::string group = points[0] + "/leaktest.scope";
  ASSERT_EQ(mkdir(group.c_str(), 0755), 0);
  undo_.Add([group] {
    // The process inside is reaped; the kernel forgets it a moment later.
    RealClock clock;
    for (int i = 0; i < 100 && rmdir(group.c_str()) != 0; ++i) {
      clock.Sleep(absl::Milliseconds(10));
    }
  });
  pid_t pid = Spawn({"/bin/sleep", "60"});
  std::ofstream(group + "/cgroup.procs") << pid;
  EXPECT_THAT(Kinds(), ElementsAre("cgroup", "process"));
}

TEST_F(PlantedTest, WhenAProcessNamesTheInstance_FindsIt) {
  // Stops itself, so that it keeps its arguments and starts nothing.
  const std::string script = "kill -STOP $$";
  const std::string argument = "--root=" + options_.runtime_dir + "/c1";
  Spawn({"/bin/sh", "-c", script.c_str(), "shim", argument.c_str()});
  EXPECT_THAT(Kinds(), ElementsAre("process"));
  Spawn({"/bin/sh", "-c", script.c_str(), "x", "--instance", "leaktest"});
  Spawn({"/bin/sh", "-c", script.c_str(), "x", "--instance", "leaktest2"});
  EXPECT_THAT(Kinds(), ElementsAre("process", "process"));
}

TEST_F(PlantedTest, WhenAMountIsPlanted_FindsIt) {
  const std::string point = options_.state_dir;
  for (int i = 1; i <= 2; ++i) {  // the second hides the first
    ASSERT_EQ(mount("tmpfs", point.c_str(), "tmpfs", 0, "size=4k"), 0);
    undo_.Add([point] { umount2(point.c_str(), MNT_DETACH); });
    EXPECT_THAT(Kinds(), SizeIs(i));
  }
  EXPECT_THAT(Kinds(), ElementsAre("mount", "mount"));
  // By its source.
  const std::string other = dir_ / "elsewhere";
  ASSERT_EQ(mkdir(other.c_str(), 0755), 0);
  ASSERT_EQ(mount("leaktest-secrets", other.c_str(), "tmpfs", 0, "size=4k"), 0);
  undo_.Add([other] { umount2(other.c_str(), MNT_DETACH); });
  EXPECT_THAT(Kinds(), SizeIs(3));
}

TEST_F(PlantedTest, WhenANamespaceIsPinned_FindsPinAndMount) {
  ASSERT_OK_AND_ASSIGN(auto worker, os::NetnsWorker::Start());
  ASSERT_OK_AND_ASSIGN(UniqueFd netns, worker->Create());
  const std::string pin = options_.runtime_dir + "/netns/c1";
  ASSERT_OK(os::PinNetns(netns.get(), pin));
  EXPECT_THAT(Kinds(), ElementsAre("mount", "netns"));
  ASSERT_OK(os::UnpinNetns(pin));
  std::ofstream file(pin);
  EXPECT_THAT(Kinds(), ElementsAre("netns"));
}

TEST_F(PlantedTest, WhenLinksAndRulesArePlanted_FindsThemInBothPlaces) {
  ASSERT_OK_AND_ASSIGN(auto worker, os::NetnsWorker::Start());
  ASSERT_OK_AND_ASSIGN(UniqueFd netns, worker->Create());
  ASSERT_NO_FATAL_FAILURE(PinDataplane(netns));
  auto plant = []() -> absl::Status {
    ASSIGN_OR_RETURN(os::Netlink netlink, os::Netlink::Open());
    RETURN_IF_ERROR(netlink.AddBridge({.name = "br7", .mac = {2}}));
    ASSIGN_OR_RETURN(os::Link link, netlink.GetLink("br7"));
    RETURN_IF_ERROR(
        netlink.ChangeLink(link.index, {.alias = "bulwark leaktest network"}));
    ASSIGN_OR_RETURN(os::Nft nft, os::Nft::Open());
    return nft.Run(
        "add table inet leaktest-net\n"
        "add set inet leaktest-net s { type ipv4_addr; }\n"
        "add element inet leaktest-net s { 10.0.0.1 }\n"
        "add table inet leaktest2-net\n");
  };
  auto remove = []() -> absl::Status {
    ASSIGN_OR_RETURN(os::Netlink netlink, os::Netlink::Open());
    ASSIGN_OR_RETURN(os::Link link, netlink.GetLink("br7"));
    RETURN_IF_ERROR(netlink.DeleteLink(link.index));
    ASSIGN_OR_RETURN(os::Nft nft, os::Nft::Open());
    return nft.Run("flush ruleset");
  };
  ASSERT_OK(plant());
  EXPECT_THAT(Kinds(), ElementsAre("link", "nft-element", "nft-table"));
  ASSERT_OK(worker->Run(netns.get(), plant));
  EXPECT_THAT(Kinds(), SizeIs(6));
  ASSERT_OK(remove());
  ASSERT_OK(worker->Run(netns.get(), remove));
  EXPECT_THAT(Kinds(), IsEmpty());
}

TEST_F(PlantedTest, WhenMoreLinksAreSpareThanAreKept_FindsTheRest) {
  ASSERT_OK_AND_ASSIGN(auto worker, os::NetnsWorker::Start());
  ASSERT_OK_AND_ASSIGN(UniqueFd netns, worker->Create());
  ASSERT_NO_FATAL_FAILURE(PinDataplane(netns));
  const std::string prefix =
      netmesh::LinkPrefix(options_.instance, netmesh::LinkKind::kSpare);
  size_t planted = 0;
  const auto plant = [&](size_t count) {
    return worker->Run(netns.get(), [&]() -> absl::Status {
      ASSIGN_OR_RETURN(os::Netlink netlink, os::Netlink::Open());
      for (; count > 0; --count) {
        RETURN_IF_ERROR(netlink.AddBridge(
            {.name = absl::StrCat(prefix, planted++), .mac = {2}}));
      }
      return absl::OkStatus();
    });
  };
  ASSERT_OK(plant(netmesh::kSpareSandboxes));
  EXPECT_THAT(Kinds(), IsEmpty());
  ASSERT_OK(plant(2));
  EXPECT_THAT(Kinds(), ElementsAre("link", "link"));
}

}  // namespace
}  // namespace bulwark::leakcheck
