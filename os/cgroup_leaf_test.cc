// The move out of the way: a group with processes enables no controllers.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <functional>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/clock.h"
#include "base/testing/status_matchers.h"
#include "base/testing/temp_dir.h"
#include "base/unique_fd.h"
#include "os/cgroup.h"
#include "os/files.h"

namespace bulwark::os {
namespace {

// errno of writing `text` into a file of the kernel's; 0 if it took it.
int WriteError(const std::string& path, const std::string& text) {
  UniqueFd fd(open(path.c_str(), O_WRONLY | O_CLOEXEC));
  if (!fd.ok()) return errno;
  return write(fd.get(), text.data(), text.size()) < 0 ? errno : 0;
}

// Which group of the version 2 hierarchy we are in.
std::string Own() {
  const std::string text = ReadFile("/proc/self/cgroup", 4096).value_or("");
  for (const absl::string_view line : absl::StrSplit(text, '\n')) {
    if (absl::StartsWith(line, "0::")) return std::string(line.substr(3));
  }
  return "none";
}

// A process as in a container that has a view of its own of a version 2
// hierarchy: what it sees as the root is a group, and it is in there.
class CgroupsLeafTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_OK_AND_ASSIGN(const std::string mounts,
                         ReadFile("/proc/self/mountinfo", 1 << 20));
    ASSERT_OK_AND_ASSIGN(const CgroupLayout host, ParseCgroupLayout(mounts));
    group_ = absl::StrCat(host.unified, "/bulwark-leaf-test-", getpid());
    ASSERT_EQ(mkdir(group_.c_str(), 0755), 0) << "this test needs root";
    ASSERT_EQ(mkdir(root_.c_str(), 0755), 0);
  }
  // The kernel counts an ended process out a little after it has ended.
  void TearDown() override {
    const absl::Duration deadline = clock_.Steady() + absl::Seconds(5);
    do {
      for (const char* below : {"/inst", "/inst-daemon"}) {
        rmdir((group_ + below).c_str());
      }
      if (rmdir(group_.c_str()) == 0) return;
      clock_.Sleep(absl::Milliseconds(5));
    } while (errno == EBUSY && clock_.Steady() < deadline);
    ADD_FAILURE() << group_ << " is left";
  }

  // Runs `body` there, in a child; what it expects counts here.
  void InGroup(const std::function<void()>& body) {
    const pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      Enter();
      if (!HasFailure()) body();
      fflush(nullptr);
      _exit(HasFailure() ? 1 : 0);  // no destructors: they are the parent's
    }
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    EXPECT_EQ(status, 0) << "see above";
  }

  Cgroups Instance() {
    CgroupLayout layout;
    layout.unified = root_;
    return Cgroups(std::move(layout), "inst", clock_);
  }

  RealClock clock_;
  testing::TempDir dir_;
  const std::string root_ = dir_ / "cgroup";  // as the child sees it
  std::string group_;                         // the same, as the host sees it

 private:
  void Enter() {
    ASSERT_EQ(WriteError(group_ + "/cgroup.procs", "0"), 0);
    ASSERT_EQ(unshare(CLONE_NEWCGROUP | CLONE_NEWNS), 0);
    ASSERT_EQ(mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr), 0);
    ASSERT_EQ(mount("none", root_.c_str(), "cgroup2", 0, nullptr), 0);
    ASSERT_EQ(Own(), "/");
  }
};

TEST_F(CgroupsLeafTest, WhenWeAreInTheRootsGroup_MovesIntoALeaf) {
  InGroup([this] {
    Cgroups cgroups = Instance();
    ASSERT_OK(cgroups.Prepare());
    EXPECT_EQ(Own(), "/inst-daemon");
    EXPECT_EQ(ReadFile(root_ + "/cgroup.procs", 4096).value_or("none"), "");
    EXPECT_OK(cgroups.Create("a", {}));
    EXPECT_OK(cgroups.Remove("a"));
    // Once more, as after a restart: it is out of the way already.
    EXPECT_OK(Instance().Prepare());
    EXPECT_EQ(Own(), "/inst-daemon");
  });
}

TEST_F(CgroupsLeafTest, WhenWeHaveMoved_ControllersCanBeEnabled) {
  InGroup([this] {
    const std::string have =
        ReadFile(root_ + "/cgroup.controllers", 4096).value_or("");
    const std::string first = have.substr(0, have.find_first_of(" \n"));
    if (first.empty()) {
      printf("no controller is on this host's version 2 hierarchy\n");
      return;
    }
    const std::string enable = absl::StrCat("+", first);
    const std::string file = root_ + "/cgroup.subtree_control";
    EXPECT_EQ(WriteError(file, enable), EBUSY);
    ASSERT_OK(Instance().Prepare());
    EXPECT_EQ(WriteError(file, enable), 0);
    // Each that Bulwark limits with and that is there.
    const std::string enabled = ReadFile(file, 4096).value_or("");
    for (const absl::string_view name :
         absl::StrSplit(have, absl::ByAnyChar(" \n"), absl::SkipEmpty())) {
      if (name == "cpu" || name == "memory" || name == "pids" || name == "io") {
        EXPECT_TRUE(absl::StrContains(enabled, name)) << name;
      }
    }
  });
}

TEST_F(CgroupsLeafTest, WhenCleanedUp_TheLeafStaysWhileWeAreInIt) {
  InGroup([this] {
    Cgroups cgroups = Instance();
    ASSERT_OK(cgroups.Prepare());
    EXPECT_OK(cgroups.Cleanup());
    EXPECT_EQ(Own(), "/inst-daemon");
    ASSERT_EQ(WriteError(root_ + "/cgroup.procs", "0"), 0);
    EXPECT_OK(cgroups.Cleanup());
    EXPECT_NE(access((root_ + "/inst-daemon").c_str(), F_OK), 0);
  });
}

TEST_F(CgroupsLeafTest, WhenWeAreInAGroupBelow_Stays) {
  InGroup([this] {
    ASSERT_EQ(mkdir((root_ + "/service").c_str(), 0755), 0);
    ASSERT_EQ(WriteError(root_ + "/service/cgroup.procs", "0"), 0);
    Cgroups cgroups = Instance();
    ASSERT_OK(cgroups.Prepare());
    EXPECT_EQ(Own(), "/service");
    EXPECT_OK(cgroups.Cleanup());
    ASSERT_EQ(WriteError(root_ + "/cgroup.procs", "0"), 0);
    EXPECT_EQ(rmdir((root_ + "/service").c_str()), 0);
  });
}

}  // namespace
}  // namespace bulwark::os
