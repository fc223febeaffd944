#include <asm/signal.h>
#include <asm/stat.h>
#include <linux/errno.h>
#include <linux/mman.h>
#include <linux/prctl.h>
#include <linux/wait.h>

#include "engine/child/frame.h"
#include "engine/child/sys.h"
#include "engine/child/wire.h"
#include "engine/shim/shim.h"

namespace bulwark::shim {

using child::Arg;
using child::Sys;

namespace {

constexpr size_t kChildStack = 256 << 10;   // used as far as needed
constexpr int kPidfdIdType = 3;             // P_PIDFD
constexpr uint64_t kSlice = 100'000;        // ns, the shortest that there is
constexpr int kCloexecRights = 0x40000000;  // MSG_CMSG_CLOEXEC

// The head of siginfo_t for a child, as the kernel lays it out (64 bit).
struct ChildInfo {
  int signo, error, code, pad;
  int pid;
  unsigned uid;
  int status;
  char rest[128 - 28];
};

struct ChildStart {
  child::Context* context;
  int error_pipe;
};

ChildStart child_start;
void* child_stack;

// Of the helper that enters the user namespace, so that all namespaces of the
// child belong to it: setns(2) alone gives it no process of another one.
struct UserStart {
  clone_args* args;
  int mounts;  // the mount namespace to copy; negative: ours
  int user_namespace;
  int result;  // of the clone, or of what failed before
};

int ChildMain(void* argument) {
  const ChildStart* start = static_cast<const ChildStart*>(argument);
  uint32_t step = 0;
  const int result =
      child::RunSteps(start->context, child::Where::kChild, &step);
  if (start->context->status_fd >= 0) {
    const Value values[] = {{child::kTagStep, step},
                            {child::kTagErrno, static_cast<uint64_t>(-result)}};
    SendFrame(start->context->status_fd, child::kMsgFailed, values, 2);
    return 127;
  }
  const LaunchError error = {step, -result};
  child::Write(start->error_pipe, &error, sizeof(error));
  return 127;
}

int UserMain(void* argument) {
  UserStart* start = static_cast<UserStart*>(argument);
  start->result = 0;
  if (start->mounts >= 0) {
    start->result = Sys(__NR_setns, start->mounts, CLONE_NEWNS);
  }
  if (start->result >= 0) {
    start->result = Sys(__NR_setns, start->user_namespace, CLONE_NEWUSER);
  }
  if (start->result >= 0) {
    start->result = child::CloneOnStack(start->args, &ChildMain, &child_start);
  }
  return 0;
}

// The child becomes ours, not the helper's.
int CloneInUserNamespace(clone_args* args, int mounts, int user_namespace) {
  alignas(16) char stack[16 << 10];
  args->flags |= CLONE_PARENT;
  args->exit_signal = 0;  // the helper's, which is SIGCHLD
  UserStart start = {args, mounts, user_namespace, -EIO};
  const int result = child::RunHelper(&UserMain, &start, stack, sizeof(stack));
  return result < 0 ? result : start.result;
}

void* Map(size_t size, int flags, int fd) {
  const long at = Sys(__NR_mmap, 0, size, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | flags, fd, 0);
  return at < 0 && at > -4096 ? nullptr : reinterpret_cast<void*>(at);
}

// Points argv and envp at the plan's strings.
int BuildVectors(child::Context* c) {
  for (uint32_t i = 0; i < c->plan->step_count; ++i) {
    const child::Step& s = c->steps[i];
    if (s.kind != child::StepKind::kExec) continue;
    // Two terminators and one more for HOME.
    char** vector = static_cast<char**>(
        Map((s.value + s.value2 + 3) * sizeof(char*), MAP_ANONYMOUS, -1));
    if (vector == nullptr) return -ENOMEM;
    const uint64_t counts[2] = {s.value, s.value2};
    const uint32_t offsets[2] = {s.str, s.str2};
    c->args = vector;
    for (int list = 0; list < 2; ++list) {
      char* p = const_cast<char*>(c->String(offsets[list]));
      for (uint64_t n = 0; n < counts[list]; ++n) {
        *vector++ = p;
        p += child::Length(p) + 1;
      }
      *vector++ = nullptr;
      if (list == 0) c->env = vector;
    }
    return 0;
  }
  return -EINVAL;
}

}  // namespace

void PrepareProcess(const char* name, int first_free_fd) {
  Sys(__NR_close_range, first_free_fd, ~0u, 0);
  child::Prctl(PR_SET_NAME, Arg(name));
  // Nobody in the container may read or trace us, not even while our child
  // shares our memory.
  child::Prctl(PR_SET_DUMPABLE, 0);
  const uint64_t all = ~uint64_t{0};
  Sys(__NR_rt_sigprocmask, SIG_SETMASK, Arg(&all), 0, 8);
  struct {
    void* handler;
    unsigned long flags;
    void* restorer;
    uint64_t mask;
  } by_default = {};
  for (int signal = 1; signal <= 64; ++signal) {
    Sys(__NR_rt_sigaction, signal, Arg(&by_default), 0, 8);
  }
  Sys(__NR_setsid);
  Sys(__NR_umask, 022);
}

long Receive(int fd, void* buffer, size_t size, int* passed, size_t count) {
  struct {
    void* base;
    size_t size;
  } vector = {buffer, size};
  constexpr size_t kMost = 3;
  struct {
    size_t size;
    int level, type;
    int fds[kMost];
  } rights = {};
  struct {
    void* name;
    unsigned name_size;
    void* vectors;
    size_t vector_count;
    void* control;
    size_t control_size;
    int flags;
  } message = {};
  constexpr size_t kHeader = sizeof(size_t) + 2 * sizeof(int);
  message.vectors = &vector;
  message.vector_count = 1;
  message.control = &rights;
  message.control_size = kHeader + count * sizeof(int);
  long n = -EINTR;
  while (n == -EINTR) {
    n = Sys(__NR_recvmsg, fd, Arg(&message), kCloexecRights);
  }
  const bool any = n > 0 && message.control_size > kHeader &&
                   rights.level == 1 && rights.type == 1;
  for (size_t i = 0; i < count; ++i) {
    passed[i] = any && rights.size >= kHeader + (i + 1) * sizeof(int)
                    ? rights.fds[i]
                    : -1;
  }
  return n;
}

int AwaitOrder() {
  // What comes along gets the lowest numbers that are free.
  child::Close(kPlanFd);
  child::Close(kThirdFd);
  int passed[3];
  char order;
  const long n = Receive(kStatusFd, &order, 1, passed, 3);
  if (n == 0) child::Exit(0);
  if (n < 0) return static_cast<int>(n);
  const bool good = passed[0] == kPlanFd &&
                    (passed[1] < 0 || passed[1] == kThirdFd) &&
                    (passed[2] < 0 || passed[2] == kGateFd);
  if (!good) return -EINVAL;
  return passed[2] < 0 ? 0 : 1;
}

int ReadPlan(child::Context* context) {
  struct stat st;
  int result = Sys(__NR_fstat, kPlanFd, Arg(&st));
  if (result < 0) return result;
  if (st.st_size <= 0 || st.st_size > child::kMaxPlanBytes) return -EINVAL;
  const void* plan = Map(st.st_size, 0, kPlanFd);
  if (plan == nullptr) return -ENOMEM;
  child::Close(kPlanFd);
  result =
      child::OpenPlan(static_cast<const uint8_t*>(plan), st.st_size, context);
  return result < 0 ? result : BuildVectors(context);
}

int StartChild(child::Context* context, Child* child) {
  int pipe[2] = {-1, -1};
  int result = 0;
  if (context->status_fd < 0) result = Sys(__NR_pipe2, Arg(pipe), O_CLOEXEC);
  if (result < 0) return result;
  void* stack = Map(kChildStack, MAP_ANONYMOUS, -1);
  if (stack == nullptr) return -ENOMEM;
  child_stack = stack;
  child_start = {context, pipe[1]};
  context->failure_fd = context->status_fd < 0 ? pipe[1] : context->status_fd;
  clone_args args = {};
  args.flags = CLONE_VM | CLONE_PIDFD | context->plan->clone_flags;
  args.pidfd = reinterpret_cast<uintptr_t>(&child->pidfd);
  // A sibling gets the signal that our own parent gets for us.
  args.exit_signal =
      (context->plan->clone_flags & CLONE_PARENT) != 0 ? 0 : SIGCHLD;
  args.stack = reinterpret_cast<uintptr_t>(stack);
  args.stack_size = kChildStack;
  const int cgroup = context->slots[child::kSlotCgroup];
  if (cgroup >= 0) {
    args.flags |= CLONE_INTO_CGROUP;
    args.cgroup = cgroup;
  }
  const int mounts = context->slots[child::kSlotMounts];
  const int user_namespace = context->slots[child::kSlotUser];
  if (mounts >= 0 && user_namespace < 0) return -EINVAL;
  result = user_namespace >= 0
               ? CloneInUserNamespace(&args, mounts, user_namespace)
               : child::CloneOnStack(&args, &ChildMain, &child_start);
  child::Close(pipe[1]);
  if (result < 0) {
    child::Close(pipe[0]);
    return result;
  }
  child->pid = result;
  child->error_pipe = pipe[0];
  return 0;
}

LaunchError AwaitExec(const Child& child) {
  LaunchError error = {child::kStepClone, 0};
  const long n = child::Read(child.error_pipe, &error, sizeof(error));
  child::Close(child.error_pipe);
  if (n == 0) {  // the child has memory of its own now
    Sys(__NR_munmap, Arg(child_stack), kChildStack);
    return {0, 0};
  }
  if (n != sizeof(error)) error = {child::kStepClone, EIO};
  return error;
}

bool Reap(const Child& child, ExitStatus* status) {
  ChildInfo info = {};
  const int result = Sys(__NR_waitid, kPidfdIdType, child.pidfd, Arg(&info),
                         WEXITED | WNOHANG, 0);
  if (result < 0 || info.pid == 0) return false;
  if (info.code == 1 /* CLD_EXITED */) {
    status->code = info.status;
  } else {
    status->signal = info.status;
    status->code = 128 + info.status;
  }
  return true;
}

void WakeAtOnce() {
  struct {
    uint32_t size, policy;
    uint64_t flags;
    int32_t nice;
    uint32_t priority;
    uint64_t runtime, deadline, period;  // ns
  } attributes = {};
  if (Sys(__NR_sched_getattr, 0, Arg(&attributes), sizeof(attributes), 0) < 0 ||
      attributes.policy != 0 /* SCHED_OTHER */) {
    return;
  }
  attributes.size = sizeof(attributes);
  attributes.runtime = kSlice;
  attributes.flags |= SCHED_FLAG_RESET_ON_FORK;
  Sys(__NR_sched_setattr, 0, Arg(&attributes), 0);
}

// Field 22 of /proc/PID/stat. The second field may hold anything, so count
// from its last ')'.
uint64_t StartTicks(int pid) {
  char path[40] = "/proc/";
  char* end = child::Decimal(path + 6, pid);
  child::Append(end, path + sizeof(path), "/stat");
  const int fd = child::OpenAt(AT_FDCWD, path, O_RDONLY);
  if (fd < 0) return 0;
  char text[1024];
  const long n = child::Read(fd, text, sizeof(text) - 1);
  child::Close(fd);
  if (n <= 0) return 0;
  text[n] = 0;
  const char* p = text + n;
  while (p > text && *p != ')') --p;
  for (int field = 2; field < 22; ++field) {
    while (*p != 0 && *p != ' ') ++p;
    if (*p == ' ') ++p;
  }
  uint64_t ticks = 0;
  for (; *p >= '0' && *p <= '9'; ++p) ticks = ticks * 10 + (*p - '0');
  return ticks;
}

int SendFrame(int fd, uint16_t type, const Value* values, int count) {
  uint8_t buffer[256];
  child::FrameWriter writer(buffer, sizeof(buffer), type);
  for (int i = 0; i < count; ++i) writer.Int(values[i].tag, values[i].value);
  const long n = child::Write(fd, buffer, writer.size());
  return n < 0 ? static_cast<int>(n) : 0;
}

namespace {

// The daemon is spared when the host's memory ends, and we were born of it;
// what it starts must not be. Going up is always allowed; a score that was
// raised for all of us stays.
void DropOomProtection() {
  const int fd = child::OpenAt(AT_FDCWD, "/proc/self/oom_score_adj", O_RDWR);
  if (fd < 0) return;
  char first = 0;
  if (child::Read(fd, &first, 1) == 1 && first == '-') child::Write(fd, "0", 1);
  child::Close(fd);
}

}  // namespace

int Main(int argc, char** argv) {
  if (argc == 3 && child::Equal(argv[1], "oci")) return OciMode(argv[2]);
  DropOomProtection();
  if (argc == 2 && child::Equal(argv[1], "run")) return RunMode();
  if (argc >= 2 && child::Equal(argv[1], "exec")) {
    return ExecMode(argc == 3 && child::Equal(argv[2], "detached"));
  }
  static constexpr char kUsage[] =
      "bulwark-shim is started by bulwarkd and bulwark-oci, not by hand\n";
  child::Write(2, kUsage, sizeof(kUsage) - 1);
  return 64;
}

}  // namespace bulwark::shim
