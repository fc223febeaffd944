// The journald driver with a real systemd-journald, which gets a /run of its
// own. Needs root, busybox-static and systemd.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <memory>
#include <set>
#include <string>

#include "absl/time/clock.h"
#include "base/testing/status_matchers.h"
#include "base/unique_fd.h"
#include "engine/local/testing/local_world.h"
#include "os/process.h"

namespace bulwark::engine {
namespace {

using testing::LocalWorld;

constexpr char kJournald[] = "/lib/systemd/systemd-journald";
constexpr char kSocket[] = "/run/systemd/journal/socket";

class JournaldTest : public ::testing::Test {
 protected:
  // Before there is any other thread.
  static void SetUpTestSuite() {
    if (access(kJournald, X_OK) != 0 || access("/etc/machine-id", R_OK) != 0 ||
        unshare(CLONE_NEWNS) != 0) {
      return;
    }
    ready_ = mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0 &&
             mount("run", "/run", "tmpfs", 0, nullptr) == 0 &&
             mount("log", "/var/log", "tmpfs", 0, nullptr) == 0 &&
             mkdir("/run/systemd", 0755) == 0 && mkdir("/run/log", 0755) == 0;
  }
  void SetUp() override {
    if (!ready_) GTEST_SKIP() << "needs root, systemd and a machine id";
    world_ = std::make_unique<LocalWorld>();
    StartJournal();
  }
  void TearDown() override {
    world_.reset();
    StopJournal();
  }
  void StartJournal() {
    UniqueFd program(open(kJournald, O_RDONLY | O_CLOEXEC));
    os::SpawnOptions options;
    options.executable = program.get();
    options.args = {"systemd-journald"};
    options.death_signal = SIGKILL;
    ASSERT_OK_AND_ASSIGN(journal_, os::Spawn(options));
    const absl::Time deadline = absl::Now() + absl::Seconds(20);
    while (access(kSocket, F_OK) != 0 && absl::Now() < deadline) {
      world_->clock().Sleep(absl::Milliseconds(10));
    }
    ASSERT_EQ(access(kSocket, F_OK), 0);
  }
  void StopJournal() {
    if (!journal_.pidfd.ok()) return;
    os::SendSignal(journal_.pidfd.get(), SIGTERM).IgnoreError();
    if (!os::AwaitEnd(journal_.pidfd.get(), absl::Seconds(10))) {
      os::SendSignal(journal_.pidfd.get(), SIGKILL).IgnoreError();
      os::AwaitEnd(journal_.pidfd.get(), absl::Seconds(10));
    }
    os::ReapChild(journal_.pidfd.get());
    unlink(kSocket);
  }

  static bool ready_;
  std::unique_ptr<LocalWorld> world_;
  os::Spawned journal_;
};
bool JournaldTest::ready_ = false;

TEST_F(JournaldTest, WhenPrinted_IsReadBackFromTheJournal) {
  ContainerSpec spec = world_->Obedient("a");
  spec.log.driver = LogDriver::kJournald;
  ASSERT_OK(world_->engine().Start(spec));
  LogOptions options;
  options.follow = true;
  ASSERT_OK_AND_ASSIGN(auto follower, world_->engine().Logs("a", options));
  world_->Command("a", "say one");
  world_->Command("a", "echo two >&2");
  world_->Command("a", "say three");
  // The two streams are two pipes: which is read first is left to chance.
  std::set<std::string> texts;
  for (int i = 0; i < 3; ++i) {
    ASSERT_OK_AND_ASSIGN(const LogEntry entry,
                         follower->Next(absl::Seconds(20)));
    texts.insert(entry.line);
    EXPECT_EQ(entry.is_stderr, entry.line == "two");
    EXPECT_LT(absl::AbsDuration(entry.time - absl::Now()), absl::Seconds(30));
  }
  EXPECT_EQ(texts, (std::set<std::string>{"one", "two", "three"}));
  world_->Command("a", "exit 0");
  world_->AwaitExit("a");
  EXPECT_FALSE(follower->Next(absl::Seconds(20)).ok());
  options.follow = false;
  options.tail = 2;
  ASSERT_OK_AND_ASSIGN(auto reader, world_->engine().Logs("a", options));
  int count = 0;
  while (reader->Next(absl::Seconds(1)).ok()) ++count;
  EXPECT_EQ(count, 2);
}

}  // namespace
}  // namespace bulwark::engine
