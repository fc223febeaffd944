// What a test has done inside of a container that busybox cannot do. Static.
//
//   probe syscall NUMBER ARG...   prints "RESULT ERRNO"
//   probe clock NUMBER            prints the seconds of that clock
//   probe signal                  prints "ready", waits for a signal, prints
//   its
//                                 number and exits with it
//   probe winsize                 prints "ROWS COLUMNS" of standard input
//   probe umask                   prints it in octal
//   probe scheduler               prints "POLICY NICE PRIORITY FLAGS"
//   probe ioprio                  prints "CLASS LEVEL"
//   probe personality             prints it in hexadecimal
//   probe domainname              prints it
#include <sys/ioctl.h>
#include <sys/personality.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>

namespace {

int Syscall(int argc, char** argv) {
  uint64_t values[6] = {};
  for (int i = 0; i < 6 && i + 3 < argc; ++i) {
    // A text that is no number is passed by address.
    char* end = nullptr;
    values[i] = strtoull(argv[i + 3], &end, 0);
    if (*end != '\0') values[i] = reinterpret_cast<uint64_t>(argv[i + 3]);
  }
  errno = 0;
  const long result = syscall(atol(argv[2]), values[0], values[1], values[2],
                              values[3], values[4], values[5]);
  std::printf("%ld %d\n", result, errno);
  return 0;
}

int Clock(const char* number) {
  timespec now = {};
  if (clock_gettime(atoi(number), &now) != 0) return 1;
  std::printf("%ld\n", static_cast<long>(now.tv_sec));
  return 0;
}

int Signal() {
  sigset_t all;
  sigfillset(&all);
  sigprocmask(SIG_BLOCK, &all, nullptr);
  std::printf("ready\n");
  std::fflush(stdout);
  int number = 0;
  sigwait(&all, &number);
  std::printf("signal %d\n", number);
  return number;
}

int WinSize() {
  winsize size = {};
  if (ioctl(0, TIOCGWINSZ, &size) != 0) return 1;
  std::printf("%d %d\n", size.ws_row, size.ws_col);
  return 0;
}

struct SchedAttr {
  uint32_t size, policy;
  uint64_t flags;
  int32_t nice;
  uint32_t priority;
  uint64_t runtime, deadline, period;
};

int Scheduler() {
  SchedAttr attr = {};
  if (syscall(SYS_sched_getattr, 0, &attr, sizeof(attr), 0) != 0) return 1;
  std::printf("%u %d %u %lu\n", attr.policy, attr.nice, attr.priority,
              static_cast<unsigned long>(attr.flags));
  return 0;
}

int IoPriority() {
  const long value = syscall(SYS_ioprio_get, 1, 0);
  if (value < 0) return 1;
  std::printf("%ld %ld\n", value >> 13, value & 0x1fff);
  return 0;
}

int DomainName() {
  utsname names = {};
  if (uname(&names) != 0) return 1;
  std::printf("%s\n", names.domainname);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  const char* verb = argc > 1 ? argv[1] : "";
  if (argc > 2 && !strcmp(verb, "syscall")) return Syscall(argc, argv);
  if (argc > 2 && !strcmp(verb, "clock")) return Clock(argv[2]);
  if (!strcmp(verb, "signal")) return Signal();
  if (!strcmp(verb, "winsize")) return WinSize();
  if (!strcmp(verb, "umask")) return std::printf("%03o\n", umask(0)) < 0;
  if (!strcmp(verb, "scheduler")) return Scheduler();
  if (!strcmp(verb, "ioprio")) return IoPriority();
  if (!strcmp(verb, "personality")) {
    return std::printf("%x\n", personality(0xffffffff)) < 0;
  }
  if (!strcmp(verb, "domainname")) return DomainName();
  std::fprintf(stderr, "probe: no verb '%s'\n", verb);
  return 2;
}
