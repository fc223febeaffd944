// Steps that shape the process itself: namespaces, ids, rights, exec.
#include <asm/ioctls.h>
#include <asm/stat.h>
#include <linux/capability.h>
#include <linux/errno.h>
#include <linux/filter.h>
#include <linux/if.h>
#include <linux/prctl.h>
#include <linux/seccomp.h>
#include <linux/sockios.h>

#include "engine/child/paths.h"
#include "engine/child/steps.h"
#include "engine/child/sys.h"

namespace bulwark::child {
namespace {

constexpr long kDevptsMagic = 0x1cd1;
constexpr int kCloseRangeCloexec = 4;
constexpr int kSigSetmask = 2;
constexpr int kCloneNewTime = 0x80;
constexpr int kMostPauses = 5000;  // of a millisecond
constexpr const char* kDefaultPath =
    "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

// The head of struct statfs of every 64-bit Linux: f_type comes first.
struct Statfs {
  long type;
  long rest[15];
};

// Opens a terminal pair. The slave comes from the master itself
// (TIOCGPTPEER): no path of the container is trusted. In a container that runs,
// no part of the master's is a link.
int Pty(Context* c, const Step& s) {
  const int master =
      s.slot2 >= 0
          ? OpenAt(c->slots[s.slot2], "ptmx", O_RDWR | O_NOCTTY | O_NOFOLLOW)
          : OpenInRoot(c->slots[kSlotRoot], "/dev/pts/ptmx", O_RDWR | O_NOCTTY,
                       kNoSymlinks);
  if (master < 0) return master;
  Statfs fs;
  int unlock = 0;
  int result = Sys(__NR_fstatfs, master, Arg(&fs));
  if (result >= 0 && fs.type != kDevptsMagic) result = -ENOTTY;
  if (result >= 0) result = Sys(__NR_ioctl, master, TIOCSPTLCK, Arg(&unlock));
  if (result >= 0) {
    result =
        Sys(__NR_ioctl, master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
  }
  if (result >= 0 && (s.value != 0 || s.value2 != 0)) {
    const uint16_t size[4] = {static_cast<uint16_t>(s.value),
                              static_cast<uint16_t>(s.value2)};
    Sys(__NR_ioctl, master, TIOCSWINSZ, Arg(size));
  }
  if (result < 0) {
    Close(master);
    return result;
  }
  c->slots[kSlotPtyMaster] = master;
  c->slots[kSlotStdin] = c->slots[kSlotStdout] = c->slots[kSlotStderr] = result;
  return 0;
}

int Loopback() {
  const int fd = Sys(__NR_socket, 2 /* AF_INET */, 2 /* SOCK_DGRAM */, 0);
  if (fd < 0) return fd;
  ifreq request = {};
  request.ifr_name[0] = 'l';
  request.ifr_name[1] = 'o';
  request.ifr_flags = IFF_UP | IFF_RUNNING;
  const int result = Sys(__NR_ioctl, fd, SIOCSIFFLAGS, Arg(&request));
  Close(fd);
  return result;
}

int Workdir(Context* c, const Step& s) {
  const char* path = c->String(s.str);
  int result = Sys(__NR_chdir, Arg(path));
  if (result < 0) return result;
  // A directory outside of the root reads "(unreachable)/...".
  char cwd[4096];
  result = Sys(__NR_getcwd, Arg(cwd), sizeof(cwd));
  if (result < 0) return result;
  return cwd[0] == '/' ? 0 : -EXDEV;
}

int Session(Context* c, const Step& s) {
  int result = Sys(__NR_setsid);
  if (result < 0) return result;
  const int streams[3] = {c->slots[kSlotStdin], c->slots[kSlotStdout],
                          c->slots[kSlotStderr]};
  for (int fd = 0; fd < 3; ++fd) {
    result = Sys(__NR_dup3, streams[fd], fd, 0);
    if (result < 0) return result;
    // So that the user can open /dev/stdout and the like again. Of the devices
    // only the terminal is the container's: /dev/null is the host's.
    struct stat st;
    const bool ours = (s.flags & kTerminal) != 0 ||
                      (Sys(__NR_fstat, fd, Arg(&st)) >= 0 &&
                       (st.st_mode & kTypeMask) != kTypeCharacter);
    if (ours && (fd > 0 || (s.flags & kTerminal) != 0)) {
      Sys(__NR_fchown, fd, c->account.uid, static_cast<uint32_t>(-1));
    }
  }
  for (int i = 0; i < c->passed; ++i) {
    result = Sys(__NR_dup3, c->first_passed + i, 3 + i, 0);
    if (result < 0) return result;
  }
  if ((s.flags & kTerminal) == 0) return 0;
  return Sys(__NR_ioctl, 0, TIOCSCTTY, 0);
}

// By unsharing, only children come to be in a time namespace; before Linux 6.2
// executing changes nothing about that. The kernel lets nobody in who shares
// his memory: our parent, which has nothing more to do, has to have ended.
int EnterTime() {
  const int fd = OpenAt(AT_FDCWD, "/proc/self/ns/time_for_children", O_RDONLY);
  if (fd < 0) return fd;
  struct {
    long seconds, nanoseconds;
  } pause = {0, 1'000'000};
  int result = -EUSERS;
  for (int turn = 0; turn < kMostPauses && result == -EUSERS; ++turn) {
    if (turn > 0) Sys(__NR_nanosleep, Arg(&pause), 0);
    result = Sys(__NR_setns, fd, kCloneNewTime);
  }
  Close(fd);
  return result;
}

int CloseRange(int first, int last) {
  if (last < first) return 0;
  return Sys(__NR_close_range, first, static_cast<unsigned>(last), 0);
}

// Before the program's path is looked up, and not by executing: a path such as
// /proc/self/fd/9/../bin/sh must find nothing of the host. What has to stay is
// a pipe, a socket or a file, none of which a path leads through.
int CloseFiles(Context* c) {
  int low = c->failure_fd;
  int high = c->start_fd;
  if (low < 0) return -EBADF;
  if (high < 0) high = low;
  if (high < low) {
    low = c->start_fd;
    high = c->failure_fd;
  }
  const int first = 3 + c->passed;
  int result = CloseRange(first, low - 1);
  if (result >= 0) result = CloseRange(low + 1, high - 1);
  if (result >= 0) result = CloseRange(high + 1, 0x7fffffff);
  if (result < 0) return result;
  return Sys(__NR_close_range, first, ~0u, kCloseRangeCloexec);
}

int Rlimit(const Step& s) {
  struct {
    uint64_t soft, hard;
  } limit = {s.value, s.value2};
  if ((s.flags & kRaiseHard) != 0) {
    const int result = Sys(__NR_prlimit64, 0, s.flags & 0xff, 0, Arg(&limit));
    if (result < 0 || limit.hard >= s.value2) return result;
    limit.hard = s.value2;
  }
  return Sys(__NR_prlimit64, 0, s.flags & 0xff, Arg(&limit), 0);
}

int DropBounding(uint64_t keep) {
  for (int cap = 0; cap < 64; ++cap) {
    if ((keep >> cap & 1) != 0) continue;
    const int result = Prctl(PR_CAPBSET_DROP, cap);
    if (result == -EINVAL) break;  // beyond the kernel's last one
    if (result < 0) return result;
  }
  return 0;
}

int SetIds(Context* c, const Step& s) {
  const Account& a = c->account;
  int result =
      (s.flags & kKeepCapabilities) != 0 ? Prctl(PR_SET_KEEPCAPS, 1) : 0;
  if (result < 0) return result;
  result = (s.flags & kGroups) != 0
               ? Sys(__NR_setgroups, s.value, Arg(c->base + s.str))
               : Sys(__NR_setgroups, a.group_count, Arg(a.groups));
  if (result >= 0) result = Sys(__NR_setresgid, a.gid, a.gid, a.gid);
  if (result >= 0) result = Sys(__NR_setresuid, a.uid, a.uid, a.uid);
  return result;
}

int SetCapabilities(Context* c, uint64_t mask) {
  if (c->account.uid != 0) mask = 0;
  __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[2] = {};
  for (int i = 0; i < 2; ++i) {
    data[i].permitted = data[i].effective =
        static_cast<uint32_t>(mask >> (32 * i));
  }
  Prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL);
  return Sys(__NR_capset, Arg(&header), Arg(data));
}

// The capabilities of a process that is about to execute, in all sets but the
// bounding one.
int SetCapabilitySets(const uint64_t sets[4]) {
  __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[2] = {};
  for (int i = 0; i < 2; ++i) {
    data[i].effective = static_cast<uint32_t>(sets[0] >> (32 * i));
    data[i].permitted = static_cast<uint32_t>(sets[1] >> (32 * i));
    data[i].inheritable = static_cast<uint32_t>(sets[2] >> (32 * i));
  }
  int result = Sys(__NR_capset, Arg(&header), Arg(data));
  if (result < 0) return result;
  Prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL);
  for (int cap = 0; cap < 64; ++cap) {
    if ((sets[3] >> cap & 1) == 0) continue;
    // One that is not both permitted and inheritable cannot be ambient; as
    // with others, that is no reason not to run.
    Prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, cap);
  }
  return 0;
}

// Into a file of the kernel's below the directory `dir`.
int WriteText(int dir, const char* path, const char* text) {
  const int fd = OpenAt(dir, path, O_WRONLY | O_NOFOLLOW);
  if (fd < 0) return fd;
  const long n = Write(fd, text, Length(text));
  Close(fd);
  return n < 0 ? static_cast<int>(n) : 0;
}

// Some seconds at least, whatever the processor takes for one turn.
constexpr uint64_t kMaxTurns = 2000000000;

// With a listener, any call may wait for it, and executing closes it: so no
// call is made until somebody has taken it from here.
int LoadSeccomp(Context* c, const Step& s) {
  sock_fprog program = {};
  program.len = static_cast<unsigned short>(s.value);
  program.filter =
      reinterpret_cast<sock_filter*>(const_cast<uint8_t*>(c->base + s.str));
  const int result =
      Sys(__NR_seccomp, SECCOMP_SET_MODE_FILTER, s.value2, Arg(&program));
  if (result < 0 || (s.value2 & SECCOMP_FILTER_FLAG_NEW_LISTENER) == 0) {
    return result;
  }
  for (uint64_t turn = 0; turn < kMaxTurns; ++turn) {
    if (c->handed_over != 0) return 0;
    asm volatile("pause");
  }
  return -ETIMEDOUT;
}

const char* FindPath(char** env) {
  for (; *env != nullptr; ++env) {
    if (StartsWith(*env, "PATH=")) return *env + 5;
  }
  return kDefaultPath;
}

void AddHome(Context* c) {
  char** entry = c->env;
  for (; *entry != nullptr; ++entry) {
    if (StartsWith(*entry, "HOME=")) return;
  }
  char* limit = c->home_entry + sizeof(c->home_entry);
  Append(Append(c->home_entry, limit, "HOME="), limit, c->account.home);
  entry[0] = c->home_entry;
  entry[1] = nullptr;
}

}  // namespace

// As execvp(3): the first entry of PATH that executes. A file that is there but
// may not be executed is reported in preference to "not found".
int FindProgram(Context* c, bool execute) {
  const auto attempt = [&](const char* path) -> int {
    if (execute) return Sys(__NR_execve, Arg(path), Arg(c->args), Arg(c->env));
    const int result = Sys(__NR_faccessat, AT_FDCWD, Arg(path), 1 /* X_OK */);
    if (result < 0) return result;
    const int fd = OpenAt(AT_FDCWD, path, O_PATH);
    if (fd < 0) return fd;
    const int directory = IsDirectory(fd);
    Close(fd);
    return directory < 0 ? directory : directory == 1 ? -EACCES : 0;
  };
  const char* name = c->args[0];
  bool has_slash = *name == 0;
  for (const char* p = name; *p != 0; ++p) has_slash |= *p == '/';
  if (has_slash) return attempt(name);
  int worst = -ENOENT;
  for (const char* p = FindPath(c->env);; ++p) {
    char path[4096];
    size_t n = 0;
    bool fits = true;
    for (; *p != 0 && *p != ':'; ++p) {
      fits = fits && n + 2 < sizeof(path);
      if (fits) path[n++] = *p;
    }
    if (n == 0) path[n++] = '.';
    path[n++] = '/';
    if (fits && Append(path + n, path + sizeof(path), name) != nullptr) {
      const int result = attempt(path);
      if (result != -ENOENT && result != -ENOTDIR && result != -EACCES) {
        return result;
      }
      if (result == -EACCES) worst = -EACCES;
    }
    if (*p == 0) return worst;
  }
}

namespace {

int Exec(Context* c) {
  AddHome(c);
  const uint64_t no_signals = 0;
  Sys(__NR_rt_sigprocmask, kSigSetmask, Arg(&no_signals), 0, 8);
  return FindProgram(c, /*execute=*/true);
}

}  // namespace

int RunProcessStep(Context* c, const Step& s) {
  const char* str = c->String(s.str);
  const int fd = s.slot >= 0 ? c->slots[s.slot] : -1;
  switch (s.kind) {
    case StepKind::kPty:
      return Pty(c, s);
    case StepKind::kSetnsPidfd:
    case StepKind::kSetns:
      return Sys(__NR_setns, fd, s.value);
    case StepKind::kJoinCgroup:
      return Write(fd, "0", 1);
    case StepKind::kUnshare:
      return Sys(__NR_unshare, s.value);
    case StepKind::kEnterTime:
      return EnterTime();
    case StepKind::kHostname:
      return Sys(__NR_sethostname, Arg(str), Length(str));
    case StepKind::kLoopback:
      return Loopback();
    case StepKind::kWorkdir:
      return Workdir(c, s);
    case StepKind::kSession:
      return Session(c, s);
    case StepKind::kRlimit:
      return Rlimit(s);
    case StepKind::kBoundingSet:
      return DropBounding(s.value);
    case StepKind::kIds:
      return SetIds(c, s);
    case StepKind::kCapabilitySets:
      return SetCapabilitySets(
          reinterpret_cast<const uint64_t*>(c->base + s.str));
    case StepKind::kCapabilities:
      return SetCapabilities(c, s.value);
    case StepKind::kNoNewPrivs:
      return Prctl(PR_SET_NO_NEW_PRIVS, 1);
    case StepKind::kCloseFiles:
      return CloseFiles(c);
    case StepKind::kDomainname:
      return Sys(__NR_setdomainname, Arg(str), Length(str));
    case StepKind::kWrite:
      return fd < 0 ? -EINVAL : WriteText(fd, str, c->String(s.str2));
    case StepKind::kUmask:
      Sys(__NR_umask, s.value);
      return 0;
    case StepKind::kPersonality:
      return Sys(__NR_personality, s.value);
    case StepKind::kScheduler:
      return Sys(__NR_sched_setattr, 0, Arg(c->base + s.str), 0);
    case StepKind::kIoPriority:
      return Sys(__NR_ioprio_set, 1 /* IOPRIO_WHO_PROCESS */, 0, s.value);
    case StepKind::kSeccomp:
      return LoadSeccomp(c, s);
    case StepKind::kExec:
      return Exec(c);
    default:
      return -ENOSYS;
  }
}

}  // namespace bulwark::child
