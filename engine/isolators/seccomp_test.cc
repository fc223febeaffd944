#include "engine/isolators/seccomp.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <functional>
#include <string>

#include "base/testing/status_matchers.h"

namespace bulwark::engine {
namespace {

// The errno (0: success) that a system call meets under the profile's filter,
// in a process of its own.
int Under(SecurityProfile profile, const std::function<long()>& call) {
  absl::StatusOr<std::string> program = CompileSeccomp(profile);
  EXPECT_OK(program);
  const pid_t pid = fork();
  if (pid == 0) {
    sock_fprog filter = {
        static_cast<unsigned short>(program->size() / sizeof(sock_filter)),
        reinterpret_cast<sock_filter*>(program->data())};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
        syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &filter) != 0) {
      _exit(255);
    }
    _exit(call() < 0 ? errno : 0);
  }
  int status = 0;
  waitpid(pid, &status, 0);
  EXPECT_TRUE(WIFEXITED(status)) << status;
  return WEXITSTATUS(status);
}
int Baseline(const std::function<long()>& call) {
  return Under(SecurityProfile::kBaseline, call);
}

TEST(SeccompTest, WhenCallIsOrdinary_IsAllowed) {
  EXPECT_EQ(Baseline([] { return getppid() > 0 ? 0 : -1; }), 0);
  EXPECT_EQ(Baseline([] { return socket(AF_INET, SOCK_STREAM, 0); }), 0);
  EXPECT_EQ(Baseline([] { return socket(AF_UNIX, SOCK_STREAM, 0); }), 0);
  EXPECT_EQ(Baseline([] { return syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0); }),
            0);
}

TEST(SeccompTest, WhenCallIsKnownAndRefused_IsNotPermitted) {
  EXPECT_EQ(Baseline([] { return unshare(CLONE_NEWUSER); }), EPERM);
  EXPECT_EQ(Baseline([] { return syscall(SYS_mount, 0, 0, 0, 0, 0); }), EPERM);
  EXPECT_EQ(Baseline([] { return syscall(SYS_bpf, 0, 0, 0); }), EPERM);
  EXPECT_EQ(Baseline([] { return syscall(SYS_keyctl, 0, 0, 0); }), EPERM);
  EXPECT_EQ(Baseline([] { return ioctl(0, TIOCSTI, ""); }), EPERM);
  EXPECT_EQ(Baseline([] {
              return syscall(SYS_ioctl, 0, TIOCSTI | (1ull << 32), "");
            }),
            EPERM);
}

TEST(SeccompTest, WhenCallIsUnknown_LooksAbsent) {
  EXPECT_EQ(Baseline([] { return syscall(4000); }), ENOSYS);
  EXPECT_EQ(Baseline([] { return syscall(SYS_clone3, 0, 0); }), ENOSYS);
}

TEST(SeccompTest, WhenCloneMakesANamespace_LooksAbsent) {
  EXPECT_EQ(Baseline([] {
              return syscall(SYS_clone, SIGCHLD | CLONE_NEWUSER, 0, 0, 0, 0);
            }),
            ENOSYS);
}

TEST(SeccompTest, WhenSocketFamilyIsDangerous_IsNotSupported) {
  for (const uint64_t family : {AF_ALG, AF_VSOCK}) {
    EXPECT_EQ(Baseline([=] { return socket(family, SOCK_SEQPACKET, 0); }),
              EAFNOSUPPORT);
    // The kernel ignores the upper half: so must the filter.
    EXPECT_EQ(Baseline([=] {
                return syscall(SYS_socket, family | 1ull << 32, SOCK_STREAM, 0);
              }),
              EAFNOSUPPORT);
  }
  EXPECT_EQ(Baseline([] { return socket(AF_NETLINK, SOCK_RAW, 0); }), 0);
}

TEST(SeccompTest, WhenPersonalityIsHarmless_IsAllowed) {
  EXPECT_EQ(Baseline([] { return syscall(SYS_personality, 0xffffffff); }), 0);
  EXPECT_EQ(Baseline([] { return syscall(SYS_personality, 1ull << 32); }), 0);
  // Maps what is readable executable.
  EXPECT_EQ(Baseline([] { return syscall(SYS_personality, 0x0400000); }),
            ENOSYS);
}

TEST(SeccompTest, WhenBuilding_ChangingRootIsAllowed) {
  EXPECT_EQ(Baseline([] { return chroot("/"); }), EPERM);
  EXPECT_EQ(Under(SecurityProfile::kBuild, [] { return chroot("/"); }), 0);
}

TEST(SeccompTest, WhenPrivileged_HasNoFilter) {
  ASSERT_OK_AND_ASSIGN(const std::string program,
                       CompileSeccomp(SecurityProfile::kPrivileged));
  EXPECT_TRUE(program.empty());
}

}  // namespace
}  // namespace bulwark::engine
