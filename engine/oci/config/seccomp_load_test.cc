// Filters that the kernel runs, in processes of their own.
#include <gtest/gtest.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <functional>
#include <string>

#include "base/testing/status_matchers.h"
#include "engine/oci/config/seccomp.h"

namespace bulwark::engine::oci {
namespace {

// Loads the filter; -errno, or a descriptor if it has a listener.
int Load(const SeccompProgram& program) {
  sock_fprog filter = {static_cast<unsigned short>(program.instructions.size() /
                                                   sizeof(sock_filter)),
                       reinterpret_cast<sock_filter*>(
                           const_cast<char*>(program.instructions.data()))};
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return -errno;
  const long result =
      syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, program.flags, &filter);
  return result < 0 ? -errno : static_cast<int>(result);
}

// The wait status of a process that calls under the filter and exits with the
// errno, 0 after a success.
int StatusUnder(const Seccomp& profile, const std::function<long()>& call) {
  absl::StatusOr<SeccompProgram> program = CompileSeccomp(profile);
  EXPECT_OK(program);
  if (!program.ok()) return -1;
  const pid_t pid = fork();
  if (pid == 0) {
    if (Load(*program) < 0) _exit(255);
    _exit(call() < 0 ? errno : 0);
  }
  int status = -1;
  EXPECT_EQ(waitpid(pid, &status, 0), pid);
  return status;
}

int ErrnoUnder(const Seccomp& profile, const std::function<long()>& call) {
  const int status = StatusUnder(profile, call);
  EXPECT_TRUE(WIFEXITED(status)) << status;
  return WEXITSTATUS(status);
}

Seccomp Allowing(const char* name, const char* action) {
  return {.default_action = "SCMP_ACT_ALLOW",
          .syscalls = {{.names = {name}, .action = action}}};
}

TEST(SeccompLoadTest, WhenActionIsErrno_CallFailsWithIt) {
  Seccomp profile = Allowing("getppid", "SCMP_ACT_ERRNO");
  EXPECT_EQ(ErrnoUnder(profile, [] { return syscall(SYS_getppid); }), EPERM);
  profile.syscalls[0].errno_ret = ENOTTY;
  EXPECT_EQ(ErrnoUnder(profile, [] { return syscall(SYS_getppid); }), ENOTTY);
  EXPECT_EQ(ErrnoUnder(profile, [] { return syscall(SYS_getuid); }), 0);
}

TEST(SeccompLoadTest, WhenActionKills_ProcessDiesOfSigsys) {
  for (const char* action :
       {"SCMP_ACT_KILL", "SCMP_ACT_KILL_THREAD", "SCMP_ACT_KILL_PROCESS"}) {
    const int status = StatusUnder(Allowing("getppid", action),
                                   [] { return syscall(SYS_getppid); });
    EXPECT_TRUE(WIFSIGNALED(status)) << action;
    EXPECT_EQ(WTERMSIG(status), SIGSYS) << action;
  }
}

TEST(SeccompLoadTest, WhenActionTraps_ProcessIsSignalled) {
  const int status = StatusUnder(Allowing("getppid", "SCMP_ACT_TRAP"), [] {
    std::signal(SIGSYS, [](int) { _exit(42); });
    return syscall(SYS_getppid);
  });
  ASSERT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 42);
}

TEST(SeccompLoadTest, WhenActionTracesWithoutATracer_CallLooksAbsent) {
  EXPECT_EQ(ErrnoUnder(Allowing("getppid", "SCMP_ACT_TRACE"),
                       [] { return syscall(SYS_getppid); }),
            ENOSYS);
}

TEST(SeccompLoadTest, WhenArgumentsDecide_TheKernelReadsThem) {
  Seccomp profile = Allowing("dup", "SCMP_ACT_ERRNO");
  profile.syscalls[0].args = {{.index = 0,
                               .value = 0x100000001,
                               .op = SeccompOperator::kGreaterOrEqual}};
  EXPECT_EQ(ErrnoUnder(profile, [] { return syscall(SYS_dup, 1); }), 0);
  EXPECT_EQ(ErrnoUnder(profile, [] { return syscall(SYS_dup, 0x100000000); }),
            0);
  EXPECT_EQ(ErrnoUnder(profile, [] { return syscall(SYS_dup, 0x100000001); }),
            EPERM);
}

TEST(SeccompLoadTest, WhenCallIsOfX32_IsKilledUnlessListed) {
  const auto x32 = [] { return syscall(0x40000000 | SYS_getppid); };
  const int status = StatusUnder({.default_action = "SCMP_ACT_ALLOW"}, x32);
  EXPECT_TRUE(WIFSIGNALED(status));
  Seccomp profile = Allowing("getppid", "SCMP_ACT_ERRNO");
  profile.architectures = {"SCMP_ARCH_X32"};
  EXPECT_EQ(ErrnoUnder(profile, x32), EPERM);
}

TEST(SeccompLoadTest, WhenEveryFlagIsGiven_TheKernelTakesThem) {
  Seccomp profile = Allowing("getppid", "SCMP_ACT_ERRNO");
  profile.flags = {"SECCOMP_FILTER_FLAG_TSYNC", "SECCOMP_FILTER_FLAG_LOG",
                   "SECCOMP_FILTER_FLAG_SPEC_ALLOW",
                   "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"};
  EXPECT_EQ(ErrnoUnder(profile, [] { return syscall(SYS_getppid); }), EPERM);
}

TEST(SeccompLoadTest, WhenActionNotifies_LoadingGivesAListener) {
  Seccomp profile = Allowing("getppid", "SCMP_ACT_NOTIFY");
  profile.listener_path = "/run/listener";
  profile.flags = {"SECCOMP_FILTER_FLAG_TSYNC",
                   "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"};
  ASSERT_OK_AND_ASSIGN(const SeccompProgram program, CompileSeccomp(profile));
  const pid_t pid = fork();
  if (pid == 0) {
    // No one else has the listener: once it is closed, the call fails.
    const int listener = Load(program);
    if (listener < 0) _exit(-listener);
    close(listener);
    const long result = syscall(SYS_getppid);
    _exit(result < 0 && errno == ENOSYS ? 0 : 255);
  }
  int status = -1;
  ASSERT_EQ(waitpid(pid, &status, 0), pid);
  ASSERT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

}  // namespace
}  // namespace bulwark::engine::oci
