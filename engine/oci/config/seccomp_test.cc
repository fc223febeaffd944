#include "engine/oci/config/seccomp.h"

#include <gtest/gtest.h>
#include <linux/audit.h>
#include <linux/seccomp.h>

#include <cerrno>
#include <string>
#include <vector>

#include "base/testing/status_matchers.h"
#include "engine/seccomp/syscalls.h"
#include "engine/seccomp/testing/interpreter.h"

namespace bulwark::engine::oci {
namespace {

using ::bulwark::testing::StatusIs;
using ::testing::HasSubstr;

constexpr uint32_t kAllow = SECCOMP_RET_ALLOW;
constexpr uint32_t kEperm = SECCOMP_RET_ERRNO | EPERM;
constexpr uint32_t kEnosys = SECCOMP_RET_ERRNO | ENOSYS;

Seccomp Refusing() { return {.default_action = "SCMP_ACT_ERRNO"}; }
Seccomp Allowing() { return {.default_action = "SCMP_ACT_ALLOW"}; }

// A call as the kernel shows it to a filter.
struct Made {
  const char* name;
  std::vector<uint64_t> args = {};
  seccomp::Arch arch = seccomp::Arch::kX86_64;
};

uint32_t Answered(const Seccomp& profile, uint32_t number, uint32_t arch,
                  const std::vector<uint64_t>& args = {}) {
  absl::StatusOr<SeccompProgram> program = CompileSeccomp(profile);
  EXPECT_OK(program);
  if (!program.ok()) return 0;
  seccomp_data data = {.nr = static_cast<int>(number), .arch = arch};
  for (size_t i = 0; i < args.size(); ++i) data.args[i] = args[i];
  const auto answer = seccomp::Run(program->instructions, data);
  EXPECT_TRUE(answer.has_value()) << "not a program";
  return answer.has_value() ? answer->action : 0;
}

uint32_t Answered(const Seccomp& profile, const Made& call) {
  const int number = seccomp::FindSyscall(call.name)->Number(call.arch);
  EXPECT_GE(number, 0) << call.name;
  const bool i386 = call.arch == seccomp::Arch::kI386;
  const bool x32 = call.arch == seccomp::Arch::kX32;
  return Answered(profile, x32 ? number | 0x40000000 : number,
                  i386 ? AUDIT_ARCH_I386 : AUDIT_ARCH_X86_64, call.args);
}

TEST(CompileSeccompTest, WhenActionIsNamed_IsTheKernels) {
  const struct {
    const char* name;
    std::optional<uint32_t> number;
    uint32_t expected;
  } kCases[] = {
      {"SCMP_ACT_KILL", {}, SECCOMP_RET_KILL_THREAD},
      {"SCMP_ACT_KILL_THREAD", {}, SECCOMP_RET_KILL_THREAD},
      {"SCMP_ACT_KILL_PROCESS", {}, SECCOMP_RET_KILL_PROCESS},
      {"SCMP_ACT_TRAP", {}, SECCOMP_RET_TRAP},
      {"SCMP_ACT_ERRNO", {}, kEperm},
      {"SCMP_ACT_ERRNO", 0, SECCOMP_RET_ERRNO},
      {"SCMP_ACT_ERRNO", 4095, SECCOMP_RET_ERRNO | 4095},
      {"SCMP_ACT_TRACE", {}, SECCOMP_RET_TRACE | EPERM},
      {"SCMP_ACT_TRACE", 65535, SECCOMP_RET_TRACE | 65535},
      {"SCMP_ACT_LOG", {}, SECCOMP_RET_LOG},
      {"SCMP_ACT_NOTIFY", {}, SECCOMP_RET_USER_NOTIF},
  };
  for (const auto& c : kCases) {
    Seccomp profile = Allowing();
    profile.listener_path = "/run/listener";
    profile.syscalls = {
        {.names = {"sync"}, .action = c.name, .errno_ret = c.number}};
    EXPECT_EQ(Answered(profile, {"sync"}), c.expected) << c.name;
    EXPECT_EQ(Answered(profile, {"syncfs"}), kAllow) << c.name;
  }
  EXPECT_EQ(Answered({.default_action = "SCMP_ACT_KILL_PROCESS"}, {"sync"}),
            SECCOMP_RET_KILL_PROCESS);
  EXPECT_EQ(
      Answered({.default_action = "SCMP_ACT_ERRNO", .default_errno_ret = 5},
               {"sync"}),
      SECCOMP_RET_ERRNO | 5);
}

struct Bad {
  Seccomp profile;
  const char* message;
};

TEST(CompileSeccompTest, WhenProfileIsWrong_NamesTheField) {
  const auto with = [](SeccompSyscall syscall) {
    Seccomp profile = Refusing();
    profile.syscalls = {{.names = {"read"}, .action = "SCMP_ACT_ALLOW"},
                        std::move(syscall)};
    return profile;
  };
  Seccomp architecture = Refusing();
  architecture.architectures = {"SCMP_ARCH_X86_64", "SCMP_ARCH_Z80"};
  Seccomp flag = Refusing();
  flag.flags = {"SECCOMP_FILTER_FLAG_NEW_LISTENER"};
  Seccomp number = Allowing();
  number.default_errno_ret = 1;
  const Bad kCases[] = {
      {{},
       "linux.seccomp.defaultAction: the runtime specification has no \"\""},
      {{.default_action = "ALLOW"}, "linux.seccomp.defaultAction"},
      {number, "linux.seccomp.defaultErrnoRet: SCMP_ACT_ALLOW has no number"},
      {{.default_action = "SCMP_ACT_NOTIFY"},
       "linux.seccomp.defaultAction: SCMP_ACT_NOTIFY needs "
       "linux.seccomp.listenerPath"},
      {architecture,
       "linux.seccomp.architectures: the runtime specification "
       "has no \"SCMP_ARCH_Z80\""},
      {flag,
       "linux.seccomp.flags: the runtime specification has no "
       "\"SECCOMP_FILTER_FLAG_NEW_LISTENER\""},
      {with({.names = {"x"}, .action = "SCMP_ACT_DENY"}),
       "linux.seccomp.syscalls[1].action"},
      {with({.names = {"sync"}, .action = "SCMP_ACT_NOTIFY"}),
       "linux.seccomp.syscalls[1].action: SCMP_ACT_NOTIFY needs"},
      {with({.names = {"x"}, .action = "SCMP_ACT_KILL", .errno_ret = 1}),
       "linux.seccomp.syscalls[1].errnoRet: SCMP_ACT_KILL has no number"},
      {with({.names = {"x"}, .action = "SCMP_ACT_ERRNO", .errno_ret = 4096}),
       "linux.seccomp.syscalls[1].errnoRet: 4096: SCMP_ACT_ERRNO takes at "
       "most 4095"},
      {with({.names = {"x"}, .action = "SCMP_ACT_TRACE", .errno_ret = 65536}),
       "takes at most 65535"},
      {with({.names = {"sync"},
             .action = "SCMP_ACT_ALLOW",
             .args = {{.index = 0}, {.index = 6}}}),
       "linux.seccomp.syscalls[1].args[1].index: 6: a system call has "
       "arguments 0 to 5"},
  };
  for (const Bad& c : kCases) {
    EXPECT_THAT(
        CompileSeccomp(c.profile),
        StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(c.message)));
  }
}

TEST(CompileSeccompTest, WhenConditionsAreTooMany_SaysSo) {
  Seccomp profile = Refusing();
  for (uint64_t value = 0; value < 2000; ++value) {
    profile.syscalls.push_back({.names = {"ioctl"},
                                .action = "SCMP_ACT_ALLOW",
                                .args = {{.index = 1, .value = value}}});
  }
  EXPECT_THAT(CompileSeccomp(profile),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("linux.seccomp.syscalls: ")));
}

TEST(CompileSeccompTest, WhenNameOrArchitectureIsForeign_IsSkipped) {
  Seccomp profile = Refusing();
  profile.architectures = {"SCMP_ARCH_AARCH64", "SCMP_ARCH_S390X"};
  profile.syscalls = {{.names = {"no_such_call", "arm_fadvise64_64", "read"},
                       .action = "SCMP_ACT_ALLOW"}};
  EXPECT_EQ(Answered(profile, {"read"}), kAllow);
  EXPECT_EQ(Answered(profile, 0, AUDIT_ARCH_AARCH64), SECCOMP_RET_KILL_THREAD);
}

TEST(CompileSeccompTest, WhenArchitectureIsListed_IsServed) {
  Seccomp profile = Refusing();
  profile.syscalls = {{.names = {"readv"}, .action = "SCMP_ACT_ALLOW"}};
  const Made i386 = {"readv", {}, seccomp::Arch::kI386};
  const Made x32 = {"readv", {}, seccomp::Arch::kX32};
  EXPECT_EQ(Answered(profile, {"readv"}), kAllow);
  EXPECT_EQ(Answered(profile, i386), SECCOMP_RET_KILL_THREAD);
  EXPECT_EQ(Answered(profile, x32), SECCOMP_RET_KILL_THREAD);
  profile.architectures = {"SCMP_ARCH_X86", "SCMP_ARCH_X32"};
  EXPECT_EQ(Answered(profile, {"readv"}), kAllow);
  EXPECT_EQ(Answered(profile, i386), kAllow);
  EXPECT_EQ(Answered(profile, x32), kAllow);
}

TEST(CompileSeccompTest, WhenIndicesDiffer_AllConditionsMustHold) {
  Seccomp profile = Refusing();
  profile.syscalls = {
      {.names = {"socket"},
       .action = "SCMP_ACT_ALLOW",
       .args = {{.index = 0, .value = 2}, {.index = 1, .value = 1}}}};
  EXPECT_EQ(Answered(profile, {"socket", {2, 1}}), kAllow);
  EXPECT_EQ(Answered(profile, {"socket", {2, 2}}), kEperm);
  EXPECT_EQ(Answered(profile, {"socket", {1, 1}}), kEperm);
}

TEST(CompileSeccompTest, WhenAnIndexRepeats_AnyConditionIsEnough) {
  Seccomp profile = Refusing();
  profile.syscalls = {{.names = {"socket"},
                       .action = "SCMP_ACT_ALLOW",
                       .args = {{.index = 0, .value = 2},
                                {.index = 0, .value = 1},
                                {.index = 1, .value = 7}}}};
  EXPECT_EQ(Answered(profile, {"socket", {2, 9}}), kAllow);
  EXPECT_EQ(Answered(profile, {"socket", {1, 9}}), kAllow);
  EXPECT_EQ(Answered(profile, {"socket", {3, 7}}), kAllow);
  EXPECT_EQ(Answered(profile, {"socket", {3, 9}}), kEperm);
}

TEST(CompileSeccompTest, WhenMasked_ComparesWithTheSecondValue) {
  Seccomp profile = Refusing();
  profile.syscalls = {{.names = {"clone"},
                       .action = "SCMP_ACT_ALLOW",
                       .args = {{.index = 0,
                                 .value = 0x7e020000,
                                 .value_two = 0,
                                 .op = SeccompOperator::kMaskedEqual}}}};
  EXPECT_EQ(Answered(profile, {"clone", {17}}), kAllow);
  EXPECT_EQ(Answered(profile, {"clone", {0x10000011}}), kEperm);
}

TEST(CompileSeccompTest, WhenOneEntryHasNoCondition_ItAloneCounts) {
  const SeccompSyscall conditional = {.names = {"socket"},
                                      .action = "SCMP_ACT_ERRNO",
                                      .errno_ret = EINVAL,
                                      .args = {{.index = 0, .value = 16}}};
  const SeccompSyscall plain = {.names = {"socket"},
                                .action = "SCMP_ACT_ALLOW"};
  Seccomp profile = Refusing();
  profile.syscalls = {conditional, plain};
  EXPECT_EQ(Answered(profile, {"socket", {16}}), kAllow);
  profile.syscalls = {plain, conditional};
  EXPECT_EQ(Answered(profile, {"socket", {16}}), kAllow);
  // Of two without, the first.
  profile.syscalls = {plain, {.names = {"socket"}, .action = "SCMP_ACT_LOG"}};
  EXPECT_EQ(Answered(profile, {"socket", {16}}), kAllow);
}

TEST(CompileSeccompTest, WhenActionIsTheDefault_EntryIsAsIfNotThere) {
  Seccomp profile = Refusing();
  profile.syscalls = {
      {.names = {"socket"}, .action = "SCMP_ACT_ERRNO", .errno_ret = EPERM},
      {.names = {"socket"}, .action = "SCMP_ACT_ALLOW"}};
  EXPECT_EQ(Answered(profile, {"socket"}), kAllow);
  Seccomp listened = Refusing();
  listened.default_action = "SCMP_ACT_NOTIFY";
  listened.listener_path = "/run/listener";
  ASSERT_OK_AND_ASSIGN(const SeccompProgram program, CompileSeccomp(listened));
  EXPECT_TRUE(program.flags & SECCOMP_FILTER_FLAG_NEW_LISTENER);
}

TEST(CompileSeccompTest, WhenCallIsNewerThanTheProfile_LooksAbsent) {
  Seccomp profile = Refusing();
  profile.syscalls = {
      {.names = {"clone3", "read"}, .action = "SCMP_ACT_ALLOW"}};
  EXPECT_EQ(Answered(profile, {"pidfd_open"}), kEperm);
  EXPECT_EQ(Answered(profile, {"close_range"}), kEnosys);
  EXPECT_EQ(Answered(profile, 4000, AUDIT_ARCH_X86_64), kEnosys);
  // What is named and refused is known too.
  profile.syscalls.push_back(
      {.names = {"openat2"}, .action = "SCMP_ACT_ERRNO"});
  EXPECT_EQ(Answered(profile, {"close_range"}), kEperm);
  EXPECT_EQ(Answered(profile, {"pidfd_getfd"}), kEnosys);
  profile.default_action = "SCMP_ACT_KILL";
  EXPECT_EQ(Answered(profile, {"pidfd_getfd"}), kEnosys);
  for (const char* name :
       {"SCMP_ACT_ALLOW", "SCMP_ACT_LOG", "SCMP_ACT_TRACE"}) {
    profile.default_action = name;
    EXPECT_NE(Answered(profile, {"pidfd_getfd"}), kEnosys) << name;
  }
}

TEST(CompileSeccompTest, WhenProfileNamesNothing_AllHasTheDefault) {
  EXPECT_EQ(Answered(Refusing(), {"openat2"}), kEperm);
}

// i386 has two ways to the same call.
TEST(CompileSeccompTest, WhenCallIsMultiplexed_BothWaysAreFiltered) {
  constexpr auto kI386 = seccomp::Arch::kI386;
  Seccomp profile = Allowing();
  profile.architectures = {"SCMP_ARCH_X86"};
  profile.syscalls = {
      {.names = {"socket", "semop", "recv"}, .action = "SCMP_ACT_ERRNO"}};
  EXPECT_EQ(Answered(profile, {"socket", {}, kI386}), kEperm);
  EXPECT_EQ(Answered(profile, {"socketcall", {1}, kI386}), kEperm);
  EXPECT_EQ(Answered(profile, {"socketcall", {2}, kI386}), kAllow);
  EXPECT_EQ(Answered(profile, {"socketcall", {10}, kI386}), kEperm);
  EXPECT_EQ(Answered(profile, {"ipc", {1}, kI386}), kEperm);
  EXPECT_EQ(Answered(profile, {"ipc", {2}, kI386}), kAllow);
  // An entry for all of it, without conditions, counts alone.
  profile.syscalls.push_back({.names = {"ipc"}, .action = "SCMP_ACT_KILL"});
  EXPECT_EQ(Answered(profile, {"ipc", {1}, kI386}), SECCOMP_RET_KILL_THREAD);
  profile.syscalls.pop_back();
  // Arguments behind a pointer: the stricter outcome.
  profile.syscalls[0].args = {{.index = 0, .value = 16}};
  EXPECT_EQ(Answered(profile, {"socket", {16}, kI386}), kEperm);
  EXPECT_EQ(Answered(profile, {"socket", {2}, kI386}), kAllow);
  EXPECT_EQ(Answered(profile, {"socketcall", {1}, kI386}), kEperm);
  profile.default_action = "SCMP_ACT_ERRNO";
  profile.syscalls[0].action = "SCMP_ACT_ALLOW";
  EXPECT_EQ(Answered(profile, {"socket", {16}, kI386}), kAllow);
  EXPECT_EQ(Answered(profile, {"socketcall", {1}, kI386}), kEperm);
}

TEST(CompileSeccompTest, WhenFlagsAreNamed_AreTheKernels) {
  Seccomp profile = Refusing();
  profile.flags = {"SECCOMP_FILTER_FLAG_TSYNC", "SECCOMP_FILTER_FLAG_LOG",
                   "SECCOMP_FILTER_FLAG_SPEC_ALLOW",
                   "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"};
  ASSERT_OK_AND_ASSIGN(SeccompProgram program, CompileSeccomp(profile));
  EXPECT_EQ(program.flags, SECCOMP_FILTER_FLAG_TSYNC | SECCOMP_FILTER_FLAG_LOG |
                               SECCOMP_FILTER_FLAG_SPEC_ALLOW);
  profile.listener_path = "/run/listener";
  profile.syscalls = {{.names = {"mount"}, .action = "SCMP_ACT_NOTIFY"}};
  ASSERT_OK_AND_ASSIGN(program, CompileSeccomp(profile));
  EXPECT_EQ(program.flags,
            SECCOMP_FILTER_FLAG_TSYNC | SECCOMP_FILTER_FLAG_TSYNC_ESRCH |
                SECCOMP_FILTER_FLAG_LOG | SECCOMP_FILTER_FLAG_SPEC_ALLOW |
                SECCOMP_FILTER_FLAG_NEW_LISTENER |
                SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV);
}

}  // namespace
}  // namespace bulwark::engine::oci
