// What is on the disk of a container, and when. Each fsync(2) of the daemon and
// of its shims waits for this test, which sees what there is by then. Needs
// root and busybox-static.
#include <gtest/gtest.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "base/testing/status_matchers.h"
#include "base/unique_fd.h"
#include "engine/local/record.h"
#include "engine/local/testing/local_world.h"
#include "os/files.h"

namespace bulwark::engine {
namespace {

using ::testing::HasSubstr;
using testing::LocalWorld;

const EventSink kNoSink = [](absl::string_view) {};
constexpr absl::Duration kLong = absl::Seconds(10);
// From a start to the shim's flush.
constexpr absl::Duration kFlushDelay = absl::Milliseconds(10);

// From here on each fsync and fdatasync of this process, and of those that it
// starts, waits for whoever has the descriptor; -1 on an error.
int HoldSyncs() {
  sock_filter code[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_fsync, 1, 0),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_fdatasync, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  const sock_fprog program = {sizeof(code) / sizeof(code[0]), code};
  return static_cast<int>(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER,
                                  SECCOMP_FILTER_FLAG_NEW_LISTENER, &program));
}

// One that waits.
struct Sync {
  uint64_t id = 0;
  int pid = 0;       // a thread's
  std::string name;  // of the file, below the container's directory; "" is that
};

class SyncTest : public ::testing::Test {
 protected:
  SyncTest() { world_.Close(); }
  ~SyncTest() override { EndDaemon(); }

  std::string State(const std::string& id) {
    return world_ / absl::StrCat("state/containers/", id);
  }
  ContainerDirs Dirs(const std::string& id) {
    return {world_ / absl::StrCat("run/containers/", id), State(id)};
  }
  bool HasExit(const std::string& id) { return ReadExit(Dirs(id)).ok(); }
  std::string Log(const std::string& id) {
    return os::ReadFile(State(id) + "/log-1", 1 << 20).value_or("");
  }

  // A daemon in a process of its own starts the container and goes on.
  void StartDaemon(const std::string& id, const std::string& script) {
    int told[2];
    ASSERT_EQ(pipe(told), 0);
    daemon_ = fork();
    if (daemon_ == 0) {
      const int listener = HoldSyncs();
      if (write(told[1], &listener, sizeof(listener)) < 0) _exit(1);
      world_.Reopen();
      if (!world_.engine().Recover(kNoSink).ok()) _exit(1);
      if (!world_.engine().Start(world_.Shell(id, script)).ok()) _exit(1);
      for (;;) pause();
    }
    int listener = -1;
    close(told[1]);
    ASSERT_EQ(read(told[0], &listener, sizeof(listener)),
              ssize_t{sizeof(listener)});
    close(told[0]);
    ASSERT_GE(listener, 0) << "cannot hold system calls";
    const UniqueFd process(
        static_cast<int>(syscall(SYS_pidfd_open, daemon_, 0)));
    listener_.Reset(
        static_cast<int>(syscall(SYS_pidfd_getfd, process.get(), listener, 0)));
    ASSERT_TRUE(listener_.ok());
  }
  // What waits then is not held any more.
  void EndDaemon() {
    if (daemon_ <= 0) return;
    EXPECT_EQ(kill(daemon_, SIGKILL), 0);
    EXPECT_EQ(waitpid(daemon_, nullptr, 0), daemon_);
    daemon_ = 0;
    listener_.Reset();
  }

  // The next of this container, which waits for LetGo(). Others go on.
  std::optional<Sync> Next(const std::string& id) {
    for (;;) {
      pollfd news = {listener_.get(), POLLIN, 0};
      if (poll(&news, 1, absl::ToInt64Milliseconds(kLong)) != 1) break;
      seccomp_notif call = {};
      if (ioctl(listener_.get(), SECCOMP_IOCTL_NOTIF_RECV, &call) != 0) {
        if (errno == ENOENT || errno == EINTR) continue;  // it was killed
        break;
      }
      std::error_code error;
      const std::string path = std::filesystem::read_symlink(
          absl::StrCat("/proc/", call.pid, "/fd/", call.data.args[0]), error);
      const Sync sync = {call.id, static_cast<int>(call.pid),
                         std::string(absl::StripPrefix(path, State(id)))};
      if (absl::StartsWith(path, State(id))) return sync;
      LetGo(sync);
    }
    ADD_FAILURE() << "nobody flushes anything";
    return std::nullopt;
  }
  void LetGo(const Sync& sync) {
    seccomp_notif_resp answer = {};
    answer.id = sync.id;
    answer.flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
    ioctl(listener_.get(), SECCOMP_IOCTL_NOTIF_SEND, &answer);
  }
  // Expects that this is the next, and that it is the shim's or the daemon's.
  Sync Expect(const std::string& id, const std::string& name, int pid) {
    const Sync sync = Next(id).value_or(Sync());
    EXPECT_EQ(sync.name, name);
    if (pid != 0) {
      EXPECT_EQ(sync.pid, pid) << name;
    }
    return sync;
  }

  LocalWorld world_;
  UniqueFd listener_;
  pid_t daemon_ = 0;
};

TEST_F(SyncTest, WhenItRuns_ItsRecordsAreFlushedAMomentLater) {
  StartDaemon("a", "exec sleep 1000");
  const Sync record = Expect("a", "/record", 0);
  ASSERT_FALSE(HasFailure());
  ASSERT_OK_AND_ASSIGN(const StateRecord state, ReadState(Dirs("a")));
  EXPECT_EQ(record.pid, state.shim.pid);
  EXPECT_GE(world_.clock().Now() - state.start_time, kFlushDelay);
  LetGo(record);
  LetGo(Expect("a", "/exit", record.pid));
  LetGo(Expect("a", "", record.pid));
}

// What lacks its end of line is what a container says last.
TEST_F(SyncTest, WhenItEndsBeforeThat_ItsRecordsAreFlushedBeforeItsLastWords) {
  int early = 0;
  for (int i = 0; i < 100 && early < 3; ++i) {
    const std::string id = absl::StrCat("c", i);
    StartDaemon(id, "echo first; echo -n last");
    const Sync record = Expect(id, "/record", 0);
    ASSERT_FALSE(HasFailure());
    ASSERT_OK_AND_ASSIGN(const StateRecord state, ReadState(Dirs(id)));
    EXPECT_EQ(record.pid, state.shim.pid);
    // Else its time had come anyhow.
    if (world_.clock().Now() - state.start_time < kFlushDelay) ++early;
    EXPECT_EQ(Log(id).find("last"), std::string::npos);
    EXPECT_FALSE(HasExit(id));
    LetGo(record);
    LetGo(Expect(id, "/exit", record.pid));
    const Sync directory = Expect(id, "", record.pid);
    EXPECT_EQ(Log(id).find("last"), std::string::npos);
    EXPECT_FALSE(HasExit(id));
    LetGo(directory);
    const Sync exit = Expect(id, "/exit", record.pid);
    EXPECT_THAT(Log(id), HasSubstr("last"));
    EXPECT_TRUE(HasExit(id));
    LetGo(exit);
    EndDaemon();
    ASSERT_FALSE(HasFailure());
  }
  EXPECT_GT(early, 0) << "none has ended within 10 ms";
}

// Without a record there is no exit.
TEST_F(SyncTest, WhenItsShimDiesBeforeThat_TheDaemonFlushesTheRecordFirst) {
  StartDaemon("a", "exec sleep 1000");
  const Sync never = Expect("a", "/record", 0);
  ASSERT_NE(never.pid, 0);
  ASSERT_EQ(kill(never.pid, SIGKILL), 0);
  const Sync record = Expect("a", "/record", 0);
  ASSERT_FALSE(HasFailure());
  EXPECT_NE(record.pid, never.pid);
  EXPECT_FALSE(HasExit("a"));
  LetGo(record);
  const Sync exit = Next("a").value_or(Sync());
  EXPECT_THAT(exit.name, HasSubstr("/exit"));
  EXPECT_EQ(exit.pid, record.pid);
  EXPECT_FALSE(HasExit("a"));
  LetGo(exit);
  const Sync directory = Expect("a", "", record.pid);
  EXPECT_TRUE(HasExit("a"));
  LetGo(directory);
  EndDaemon();
  world_.Reopen();
  ASSERT_OK(world_.engine().Recover(kNoSink));
  EXPECT_THAT(world_.engine().Inspect("a")->exit.unknown_reason,
              HasSubstr("shim"));
}

}  // namespace
}  // namespace bulwark::engine
