// config-linux.md: seccomp's actions, operators, defaults and its listener.
#include <linux/seccomp.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <thread>

#include "absl/strings/str_cat.h"
#include "base/unique_fd.h"
#include "tests/conformance/suite.h"
#include "tests/conformance/unix_socket.h"

namespace bulwark::conformance {
namespace {

using ::testing::HasSubstr;

class SeccompSuite : public Suite {
 protected:
  Json& seccomp() { return bundle().os()["seccomp"]; }
  // Everything is allowed but what rules say.
  void AllowAll() {
    seccomp() = {{"defaultAction", "SCMP_ACT_ALLOW"},
                 {"architectures", {"SCMP_ARCH_X86_64"}},
                 {"syscalls", Json::array()}};
  }
  Json& Rule(const std::vector<std::string>& names, const std::string& action) {
    seccomp()["syscalls"].push_back({{"names", names}, {"action", action}});
    return seccomp()["syscalls"].back();
  }
  // The program makes one system call without arguments.
  void Probe(int number) {
    bundle().Args({"/bin/probe", "syscall", std::to_string(number)});
  }
};

CONFORMANCE_SUITE_OF(SeccompActionTest, SeccompSuite);
CONFORMANCE_SUITE_OF(SeccompArgumentTest, SeccompSuite);
CONFORMANCE_SUITE_OF(SeccompErrorTest, SeccompSuite);
CONFORMANCE_SUITE_OF(SeccompNotifyTest, SeccompSuite);

TEST_P(SeccompActionTest, WhenThereIsAFilter_ThenTheKernelSaysSo) {
  AllowAll();
  EXPECT_THAT(container().RunScript("grep Seccomp: /proc/self/status"),
              Prints("Seccomp:\t2"));
}

TEST_P(SeccompActionTest, WhenItIsAnError_ThenTheCallFailsWithThat) {
  AllowAll();
  Rule({"sysinfo"}, "SCMP_ACT_ERRNO");
  Rule({"getpgrp"}, "SCMP_ACT_ERRNO")["errnoRet"] = 77;
  EXPECT_THAT(container().RunScript(absl::StrCat(
                  "probe syscall ", SYS_sysinfo, "; probe syscall ",
                  SYS_getpgrp, "; probe syscall ", SYS_sched_yield)),
              Prints("-1 1\n-1 77\n0 0"));
}

TEST_P(SeccompActionTest, WhenItKills_ThenTheProcessIsKilled) {
  for (const char* action :
       {"SCMP_ACT_KILL", "SCMP_ACT_KILL_THREAD", "SCMP_ACT_KILL_PROCESS"}) {
    AllowAll();
    Rule({"sysinfo"}, action);
    Probe(SYS_sysinfo);
    EXPECT_EQ(container().Run().code, 128 + SIGSYS) << action;
  }
}

TEST_P(SeccompActionTest, WhenItTraps_ThenTheProcessGetsTheSignal) {
  AllowAll();
  Rule({"sysinfo"}, "SCMP_ACT_TRAP");
  Probe(SYS_sysinfo);
  EXPECT_EQ(container().Run().code, 128 + SIGSYS);
}

TEST_P(SeccompActionTest, WhenThereIsNoTracer_ThenATracedCallIsNotThere) {
  AllowAll();
  Rule({"sysinfo"}, "SCMP_ACT_TRACE");
  Probe(SYS_sysinfo);
  EXPECT_THAT(container().Run(), Prints("-1 38"));
}

TEST_P(SeccompActionTest, WhenItIsLoggedOrAllowed_ThenTheCallIsMade) {
  for (const char* action : {"SCMP_ACT_LOG", "SCMP_ACT_ALLOW"}) {
    AllowAll();
    Rule({"sched_yield"}, action);
    Probe(SYS_sched_yield);
    EXPECT_THAT(container().Run(), Prints("0 0")) << action;
  }
}

TEST_P(SeccompActionTest, WhenTheDefaultIsAnError_ThenTheRestFails) {
  seccomp() = {{"defaultAction", "SCMP_ACT_ERRNO"},
               {"defaultErrnoRet", 38},
               {"architectures", {"SCMP_ARCH_X86_64", "SCMP_ARCH_X86"}}};
  // What a runtime may need to come to the program, and the program to end.
  seccomp()["syscalls"] = Json::array({{{"action", "SCMP_ACT_ALLOW"},
                                        {"names",
                                         {"access",
                                          "arch_prctl",
                                          "brk",
                                          "capget",
                                          "capset",
                                          "chdir",
                                          "clock_gettime",
                                          "clone",
                                          "clone3",
                                          "close",
                                          "close_range",
                                          "dup",
                                          "dup2",
                                          "dup3",
                                          "epoll_create1",
                                          "epoll_ctl",
                                          "epoll_pwait",
                                          "execve",
                                          "execveat",
                                          "exit",
                                          "exit_group",
                                          "faccessat",
                                          "faccessat2",
                                          "fchdir",
                                          "fcntl",
                                          "fstat",
                                          "fstatfs",
                                          "futex",
                                          "getcwd",
                                          "getdents64",
                                          "getegid",
                                          "geteuid",
                                          "getgid",
                                          "getpid",
                                          "getppid",
                                          "getrandom",
                                          "getrlimit",
                                          "gettid",
                                          "getuid",
                                          "ioctl",
                                          "kill",
                                          "lseek",
                                          "madvise",
                                          "mmap",
                                          "mprotect",
                                          "munmap",
                                          "nanosleep",
                                          "newfstatat",
                                          "open",
                                          "openat",
                                          "openat2",
                                          "pipe2",
                                          "poll",
                                          "ppoll",
                                          "prctl",
                                          "pread64",
                                          "prlimit64",
                                          "read",
                                          "readlink",
                                          "readlinkat",
                                          "recvfrom",
                                          "recvmsg",
                                          "rseq",
                                          "rt_sigaction",
                                          "rt_sigprocmask",
                                          "rt_sigreturn",
                                          "sched_getaffinity",
                                          "seccomp",
                                          "sendmsg",
                                          "sendto",
                                          "setgid",
                                          "setgroups",
                                          "setrlimit",
                                          "set_robust_list",
                                          "setsid",
                                          "set_tid_address",
                                          "setuid",
                                          "setresuid",
                                          "setresgid",
                                          "sigaltstack",
                                          "stat",
                                          "statfs",
                                          "statx",
                                          "tgkill",
                                          "tkill",
                                          "umask",
                                          "uname",
                                          "write",
                                          "writev"}}}});
  Probe(SYS_sched_yield);
  EXPECT_THAT(container().Run(), Prints("-1 38"));
}

TEST_P(SeccompActionTest, WhenFlagsAreGiven_ThenItRuns) {
  AllowAll();
  seccomp()["flags"] = {"SECCOMP_FILTER_FLAG_LOG",
                        "SECCOMP_FILTER_FLAG_SPEC_ALLOW"};
  EXPECT_THAT(container().Run(), Succeeds());
}

TEST_P(SeccompArgumentTest, WhenTheOperatorHolds_ThenTheRuleDoes) {
  struct Case {
    const char* name;  // of a call that has no sixth argument: any will do
    int number;
    const char* op;
    uint64_t value, two;
    uint64_t holds, fails;
  };
  constexpr uint64_t kBig = 0x1234567890ull;
  const std::vector<Case> cases = {
      {"sched_yield", SYS_sched_yield, "SCMP_CMP_NE", kBig, 0, 5, kBig},
      {"getpgrp", SYS_getpgrp, "SCMP_CMP_LT", kBig, 0, 5, kBig},
      {"munlockall", SYS_munlockall, "SCMP_CMP_LE", kBig, 0, kBig, kBig + 1},
      {"inotify_init", SYS_inotify_init, "SCMP_CMP_EQ", kBig, 0, kBig,
       0x34567890},
      {"alarm", SYS_alarm, "SCMP_CMP_GE", kBig, 0, kBig, kBig - 1},
      {"getpriority", SYS_getpriority, "SCMP_CMP_GT", kBig, 0, 1ull << 60,
       kBig},
      {"timerfd_create", SYS_timerfd_create, "SCMP_CMP_MASKED_EQ", 0xff00,
       0x1200, 0x341234, 0x341334}};
  AllowAll();
  std::string script, wanted;
  for (const Case& c : cases) {
    Rule({c.name}, "SCMP_ACT_ERRNO")["errnoRet"] = 99;
    // The last argument: it takes the longest way.
    seccomp()["syscalls"].back()["args"] = Json::array({{{"index", 5},
                                                         {"value", c.value},
                                                         {"valueTwo", c.two},
                                                         {"op", c.op}}});
    for (const uint64_t argument : {c.holds, c.fails}) {
      absl::StrAppend(&script, "probe syscall ", c.number, " 0 0 0 0 0 ",
                      argument, " | cut -d' ' -f2; ");
    }
    absl::StrAppend(&wanted, wanted.empty() ? "" : "\n", "99\n0");
  }
  EXPECT_THAT(container().RunScript(script), Prints(wanted));
}

TEST_P(SeccompArgumentTest, WhenThereAreTwoConditions_ThenBothHaveToHold) {
  AllowAll();
  Rule({"sched_yield"}, "SCMP_ACT_ERRNO")["args"] =
      Json::array({{{"index", 0}, {"value", 1}, {"op", "SCMP_CMP_EQ"}},
                   {{"index", 1}, {"value", 2}, {"op", "SCMP_CMP_EQ"}}});
  const std::string call = absl::StrCat("probe syscall ", SYS_sched_yield);
  EXPECT_THAT(
      container().RunScript(call + " 1 2; " + call + " 1 3; " + call + " 0 2"),
      Prints("-1 1\n0 0\n0 0"));
}

TEST_P(SeccompErrorTest, WhenAValueIsUnknown_ThenItFails) {
  const std::vector<std::pair<const char*, Json>> changes = {
      {"/defaultAction", "SCMP_ACT_NONE"},
      {"/architectures/0", "SCMP_ARCH_NONE"},
      {"/syscalls/0/action", "SCMP_ACT_NONE"},
      {"/syscalls/0/args/0/op", "SCMP_CMP_NONE"},
      {"/syscalls/0/args/0/index", 6},
      {"/flags", {"SECCOMP_FILTER_FLAG_NONE"}}};
  for (const auto& [pointer, value] : changes) {
    AllowAll();
    Rule({"sysinfo"}, "SCMP_ACT_ERRNO")["args"] =
        Json::array({{{"index", 0}, {"value", 1}, {"op", "SCMP_CMP_EQ"}}});
    seccomp()[Json::json_pointer(pointer)] = value;
    EXPECT_THAT(container().Run(), IsRefused()) << pointer;
  }
}

TEST_P(SeccompErrorTest, WhenARuleNamesNoCall_ThenItFails) {
  AllowAll();
  Rule({}, "SCMP_ACT_ERRNO");
  EXPECT_THAT(container().Run(), IsRefused());
}

TEST_P(SeccompErrorTest, WhenTheActionHasNoErrno_ThenOneIsAnError) {
  AllowAll();
  Rule({"sysinfo"}, "SCMP_ACT_KILL")["errnoRet"] = 5;
  EXPECT_THAT(container().Run(), IsRefused());
}

// Answers the first call that the filter asks about with errno 95.
void Answer(int listener) {
  seccomp_notif request = {};
  if (ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &request) != 0) return;
  seccomp_notif_resp response = {};
  response.id = request.id;
  response.error = -95;
  ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &response);
}

TEST_P(SeccompNotifyTest, WhenThereIsAListener_ThenItDecides) {
  UnixListener server(scratch() + "/listener");
  AllowAll();
  seccomp()["listenerPath"] = server.path();
  seccomp()["listenerMetadata"] = "opaque";
  Rule({"sysinfo"}, "SCMP_ACT_NOTIFY");
  Probe(SYS_sysinfo);
  // Whether it is told at `create` or `start` is the runtime's choice.
  ASSERT_THAT(container().Create(), Succeeds());
  ASSERT_THAT(container().Start(), Succeeds());

  std::vector<UniqueFd> fds;
  const std::string text = server.ReceiveAll(&fds);
  const Json state = Json::parse(text, nullptr, false);
  ASSERT_TRUE(state.is_object()) << text;
  EXPECT_NE(state.value("ociVersion", ""), "");
  EXPECT_EQ(state["fds"], Json::array({"seccompFd"}));
  EXPECT_GT(state.value("pid", 0), 1);
  EXPECT_EQ(state.value("metadata", ""), "opaque");
  EXPECT_EQ(state["state"].value("id", ""), container().id());
  ASSERT_EQ(fds.size(), 1u);

  pollfd asked = {fds[0].get(), POLLIN, 0};
  ASSERT_EQ(poll(&asked, 1, 10000), 1);
  Answer(fds[0].get());
  EXPECT_EQ(container().AwaitExit(), 0);
  EXPECT_EQ(container().Printed(), "-1 95\n");
}

TEST_P(SeccompNotifyTest, WhenNobodyListens_ThenItFails) {
  AllowAll();
  seccomp()["listenerPath"] = scratch() + "/nobody";
  Rule({"sysinfo"}, "SCMP_ACT_NOTIFY");
  EXPECT_THAT(container().Run(), IsRefused());
}

TEST_P(SeccompNotifyTest, WhenNothingIsAsked_ThenTheListenerIsIgnored) {
  AllowAll();
  seccomp()["listenerPath"] = scratch() + "/nobody";
  EXPECT_THAT(container().Run(), Succeeds());
}

}  // namespace
}  // namespace bulwark::conformance
