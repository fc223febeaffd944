// What `delete` takes away of a container whose maker was killed. On the host's
// own hierarchies, in groups below "/bulwark-oci-test-PID".
#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <string>

#include "absl/strings/str_cat.h"
#include "base/testing/status_matchers.h"
#include "base/testing/temp_dir.h"
#include "engine/oci/cgroup/cgroup.h"
#include "engine/oci/container.h"
#include "engine/oci/state.h"
#include "os/files.h"

namespace bulwark::engine::oci {
namespace {

using ::bulwark::testing::IsOk;
using ::bulwark::testing::TempDir;

bool Exists(const std::string& path) { return access(path.c_str(), F_OK) == 0; }

class DeleteTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (geteuid() != 0) GTEST_SKIP() << "needs root";
    absl::StatusOr<CgroupHost> host = FindCgroupHost();
    if (!host.ok()) GTEST_SKIP() << host.status();
    const std::string mount =
        host->unified.empty() ? host->v1.at("freezer") : host->unified;
    parent_ = absl::StrCat(mount, "/bulwark-oci-test-", getpid());
    state_.id = "web";
    state_.cgroup.path = absl::StrCat("/bulwark-oci-test-", getpid(), "/web");
    group_ = absl::StrCat(parent_, "/web");
    (host->unified.empty() ? state_.cgroup.v1["freezer"]
                           : state_.cgroup.unified) = group_;
    ASSERT_THAT(os::MakeDirs(group_, 0755), IsOk());
    ASSERT_THAT(store().Create(), IsOk());
    ASSERT_THAT(store().Begin(state_), IsOk());
  }

  void TearDown() override {
    if (child_ != 0) End();
    rmdir(group_.c_str());
    rmdir(parent_.c_str());
    EXPECT_FALSE(Exists(parent_)) << parent_ << " is left";
  }

  // Another one each time: as of a process that has ended, it holds no lock.
  Store store() const { return Store(runtime_.root, "web"); }
  absl::Status Delete() { return oci::Delete(runtime_, "web", /*force=*/true); }

  void Spawn() {
    int ready[2];
    ASSERT_EQ(pipe2(ready, O_CLOEXEC), 0);
    child_ = fork();
    if (child_ == 0) {
      const int fd = open((group_ + "/cgroup.procs").c_str(), O_WRONLY);
      const char joined = write(fd, "0", 1) == 1 ? 'y' : 'n';
      if (write(ready[1], &joined, 1) != 1) _exit(1);
      for (;;) pause();
    }
    close(ready[1]);
    char joined = 0;
    EXPECT_EQ(read(ready[0], &joined, 1), 1);
    close(ready[0]);
    ASSERT_EQ(joined, 'y');
  }
  // Returns the signal that ended it.
  int End() {
    kill(child_, SIGTERM);
    int status = 0;
    EXPECT_EQ(waitpid(child_, &status, 0), child_);
    child_ = 0;
    return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
  }

  TempDir directory_;
  RealClock clock_;
  Runtime runtime_{directory_.path(), false, clock_};
  State state_;
  std::string parent_;
  std::string group_;
  pid_t child_ = 0;
};

TEST_F(DeleteTest, WhenKilledOnceItsGroupWasMade_ThenTheGroupGoes) {
  EXPECT_THAT(Delete(), IsOk());
  EXPECT_FALSE(Exists(group_));
  EXPECT_FALSE(Exists(store().directory()));
}

TEST_F(DeleteTest, WhenKilledBeforeItsGroupWasMade_ThenThatIsNoError) {
  ASSERT_EQ(rmdir(group_.c_str()), 0);
  EXPECT_THAT(Delete(), IsOk());
  EXPECT_FALSE(Exists(store().directory()));
}

// It was named in two configurations: the maker would have been refused.
TEST_F(DeleteTest, WhenKilledBeforeItSawWhoseTheGroupIs_ThenOthersLiveOn) {
  Spawn();
  EXPECT_THAT(Delete(), IsOk());
  EXPECT_TRUE(Exists(group_));
  EXPECT_FALSE(Exists(store().directory()));
  EXPECT_EQ(End(), SIGTERM);
}

TEST_F(DeleteTest, WhenKilledBeforeItSawWhatIsBelowTheGroup_ThenThatStays) {
  const std::string below = group_ + "/below";
  ASSERT_EQ(mkdir(below.c_str(), 0755), 0);
  EXPECT_THAT(Delete(), IsOk());
  EXPECT_TRUE(Exists(below));
  rmdir(below.c_str());
}

TEST_F(DeleteTest, WhenKilledAfterThat_ThenWhatRunsInItsGroupEnds) {
  Spawn();
  ASSERT_THAT(store().WriteConfig("{}"), IsOk());
  // Nobody else reaps it, and a group with a dead process can be removed.
  EXPECT_THAT(Delete(), IsOk());
  EXPECT_FALSE(Exists(group_));
  EXPECT_EQ(End(), SIGKILL);
}

}  // namespace
}  // namespace bulwark::engine::oci
