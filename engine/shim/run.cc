// bulwark-shim run: launches a container, then serves it until it exits.
#include <asm/stat.h>
#include <linux/errno.h>
#include <linux/eventpoll.h>

#include "engine/child/frame.h"
#include "engine/child/sys.h"
#include "engine/child/wire.h"
#include "engine/shim/attach.h"
#include "engine/shim/control.h"
#include "engine/shim/log_writer.h"
#include "engine/shim/shim.h"

namespace bulwark::shim {

using child::Arg;
using child::Sys;

namespace {

constexpr size_t kExitRecordSize = 256;
constexpr size_t kReadSize = 64 << 10;
// For what a container said last. Less than what the daemon takes for a shim
// that hangs.
constexpr uint64_t kLastWords = 2'000'000'000;  // ns

// How long after the start the records are flushed, unless it ends before:
// until then the disk is left to whoever started it, who has more to write.
constexpr uint64_t kFlushDelay = 10'000'000;  // ns

// How long after the start the first who attaches is waited for, so that he
// gets everything: nothing is read that could not be kept, and no end is told.
constexpr uint64_t kFirstReader = 2'000'000'000;  // ns

// Lives in .bss: pages cost memory only once they are used.
struct Shim {
  child::Context context;
  Child child;
  Control control;
  Attach attach;
  LogWriter log;
  int state_dir = -1;
  int exit_file = -1;
  int epoll = -1;
  int outputs[2] = {-1, -1};  // read ends; a terminal is the first alone
  int input = -1;             // write end, if it is kept open
  uint64_t start_time = 0;
  // Until then the first reader is waited for; 0: he is not, or not any more.
  uint64_t patience = 0;
  uint64_t flush_at = 0;  // 0: the records are flushed
  uint8_t buffer[kReadSize];
};
Shim shim;

[[noreturn]] void Fail(uint64_t step, int64_t error) {
  const Value values[] = {{child::kTagStep, step},
                          {child::kTagErrno, static_cast<uint64_t>(error)}};
  SendFrame(kStatusFd, child::kMsgFailed, values, 2);
  child::Exit(1);
}

// Ends a child that lives already, then fails. Killing the init of the PID
// namespace ends all of it.
[[noreturn]] void FailAndKill(uint64_t step, int64_t error) {
  Sys(__NR_pidfd_send_signal, shim.child.pidfd, 9, 0, 0);
  ExitStatus status;
  while (!Reap(shim.child, &status)) {
    struct {
      int fd;
      short events, revents;
    } poll = {shim.child.pidfd, 1, 0};
    Sys(__NR_ppoll, Arg(&poll), 1, 0, 0, 0);
  }
  // A daemon that comes later must see a launch that was never finished.
  Sys(__NR_unlinkat, AT_FDCWD, Arg("state"), 0);
  Fail(step, error);
}

void Require(uint64_t step, long result) {
  if (result < 0) Fail(step, -result);
}

// Replaces the file `name` in the current directory.
int ReplaceFile(const char* name, const uint8_t* data, size_t size) {
  const int fd =
      child::OpenAt(AT_FDCWD, "state.new", O_WRONLY | O_CREAT | O_TRUNC, 0600);
  if (fd < 0) return fd;
  const long n = child::Write(fd, data, size);
  child::Close(fd);
  if (n != static_cast<long>(size)) return n < 0 ? n : -ENOSPC;
  return Sys(__NR_renameat, AT_FDCWD, Arg("state.new"), AT_FDCWD, Arg(name));
}

int WriteState(uint64_t phase) {
  uint8_t record[512];
  child::FrameWriter w(record, sizeof(record), child::kMsgStateRecord);
  const int self = Sys(__NR_getpid);
  const char* boot_id = shim.context.String(shim.context.plan->boot_id);
  w.Int(child::kTagPhase, phase);
  w.Int(child::kTagShimPid, self);
  w.Int(child::kTagShimTicks, StartTicks(self));
  w.Bytes(child::kTagBootId, boot_id, child::Length(boot_id));
  if (phase == child::kPhaseRunning) {
    w.Int(child::kTagInitPid, shim.child.pid);
    w.Int(child::kTagInitTicks, StartTicks(shim.child.pid));
    w.Int(child::kTagStartTime, shim.start_time);
  }
  w.Seal();
  return ReplaceFile("state", record, w.size());
}

// While the child is at work: everything that can fail for lack of space.
int PrepareRecords() {
  const int result = WriteState(child::kPhaseRunning);
  if (result < 0) return result;
  shim.exit_file =
      child::OpenAt(shim.state_dir, "exit", O_RDWR | O_CREAT | O_EXCL, 0600);
  if (shim.exit_file < 0) return shim.exit_file;
  const int space = Sys(__NR_fallocate, shim.exit_file, 0, 0, kExitRecordSize);
  return space == -EOPNOTSUPP ? 0 : space;
}

// Makes durable what the daemon and we wrote, and the exit record's blocks
// real, so that writing it later is one flush of data. Done while the container
// runs: after a power cut before this the container is gone with its record,
// which is as good as "never started".
void FlushRecords() {
  shim.flush_at = 0;
  uint8_t zeros[kExitRecordSize] = {};
  Sys(__NR_pwrite64, shim.exit_file, Arg(zeros), sizeof(zeros), 0);
  const int record = child::OpenAt(shim.state_dir, "record", O_RDONLY);
  if (record >= 0) {
    Sys(__NR_fsync, record);
    child::Close(record);
  }
  Sys(__NR_fsync, shim.exit_file);
  Sys(__NR_fsync, shim.state_dir);
}

// The counter on the line "oom_kill N" of the cgroup's file.
uint64_t OomKills() {
  const char* path = shim.context.String(shim.context.plan->oom_file);
  if (*path == 0) return 0;
  const int fd = child::OpenAt(AT_FDCWD, path, O_RDONLY);
  if (fd < 0) return 0;
  char text[1024];
  const long n = child::Read(fd, text, sizeof(text) - 1);
  child::Close(fd);
  if (n <= 0) return 0;
  text[n] = 0;
  for (const char* p = text; *p != 0; ++p) {
    if ((p == text || p[-1] == '\n') && child::StartsWith(p, "oom_kill ")) {
      return p[9] != '0';
    }
  }
  return 0;
}

// Durable before anyone is told: our exit is the notification.
void WriteExit(const ExitStatus& status) {
  uint8_t record[kExitRecordSize];
  child::FrameWriter w(record, sizeof(record), child::kMsgExitRecord);
  w.Int(child::kTagCode, status.code);
  w.Int(child::kTagSignal, status.signal);
  w.Int(child::kTagOomKilled, OomKills());
  w.Int(child::kTagFinishTime, child::WallNanoseconds());
  w.Int(child::kTagStartTime, shim.start_time);
  w.Int(child::kTagInitPid, shim.child.pid);
  w.Seal();
  Sys(__NR_pwrite64, shim.exit_file, Arg(record), w.size(), 0);
  Sys(__NR_fdatasync, shim.exit_file);
}

// Whoever came after our daemon waits for us, though not for ever; then our
// directories go, and our lock with them. Those that we find by their paths may
// be of the next launch of the same container.
int CheckOwnDirectories() {
  struct stat st;
  const int result = Sys(__NR_fstat, kThirdFd, Arg(&st));
  if (result < 0) return result;
  return st.st_nlink == 0 ? -ESTALE : 0;
}

void MakeStreams() {
  int* slots = shim.context.slots;
  if (shim.context.plan->terminal != 0) return;  // the plan makes the terminal
  if (shim.context.plan->open_stdin != 0) {
    int pipe[2];
    Require(child::kStepStdio, Sys(__NR_pipe2, Arg(pipe), O_CLOEXEC));
    Require(child::kStepStdio, Sys(__NR_fcntl, pipe[1], F_SETFL, O_NONBLOCK));
    slots[child::kSlotStdin] = pipe[0];
    shim.input = pipe[1];
  } else {
    slots[child::kSlotStdin] = child::OpenAt(AT_FDCWD, "/dev/null", O_RDONLY);
    Require(child::kStepStdio, slots[child::kSlotStdin]);
  }
  for (int i = 0; i < 2; ++i) {
    int pipe[2];
    Require(child::kStepStdio, Sys(__NR_pipe2, Arg(pipe), O_CLOEXEC));
    // The read end alone must not block: its open file is its own.
    Require(child::kStepStdio, Sys(__NR_fcntl, pipe[0], F_SETFL, O_NONBLOCK));
    shim.outputs[i] = pipe[0];
    slots[child::kSlotStdout + i] = pipe[1];
  }
}

void KeepTerminal() {
  if (shim.context.plan->terminal == 0) return;
  shim.outputs[0] = shim.context.slots[child::kSlotPtyMaster];
  Require(child::kStepStdio,
          Sys(__NR_fcntl, shim.outputs[0], F_SETFL, O_NONBLOCK));
  // Watched apart: its input may have to wait.
  shim.input =
      Sys(__NR_fcntl, shim.outputs[0], F_DUPFD_CLOEXEC, kFirstStreamFd);
  Require(child::kStepStdio, shim.input);
}

// Descriptors that only the launch needs. Noted before the child starts: from
// then on it stores numbers of its own table in the shared slots.
struct LaunchFds {
  int fds[child::kMaxSlots];  // by slot
  uint32_t next = 0;
  uint32_t count = 0;

  void Note() {
    count = shim.context.plan->slot_count;
    for (uint32_t i = 0; i < count; ++i) {
      // A terminal's other end stays open with us: it never hangs up while
      // the container lives.
      const bool terminal_end = shim.context.plan->terminal != 0 &&
                                i >= child::kSlotPtyMaster &&
                                i <= child::kSlotStderr;
      fds[i] = terminal_end ? -1 : shim.context.slots[i];
    }
  }
  // Those of the slots before `end` that are still open.
  void Close(uint32_t end) {
    for (; next < count && next < end; ++next) {
      if (fds[next] >= 0) child::Close(fds[next]);
    }
  }
};
LaunchFds launch_fds;

void Watch(int fd, int operation = EPOLL_CTL_ADD, uint32_t events = EPOLLIN) {
  epoll_event event = {};
  event.events = events;
  event.data = static_cast<uint64_t>(fd);
  Sys(__NR_epoll_ctl, shim.epoll, operation, fd, Arg(&event));
}

void TakeOutput(int index, long size) {
  shim.log.Write(index == 0 ? 'o' : 'e', shim.buffer, size);
  shim.attach.Write(index == 0 ? child::kChunkOutput : child::kChunkError,
                    shim.buffer, size);
}

// How much may be read now: not more than what is kept for the first reader,
// and nothing while somebody is waited for.
size_t Room() {
  if (shim.attach.held()) return 0;
  const size_t room = shim.attach.Room();
  return shim.patience == 0 || room > sizeof(shim.buffer) ? sizeof(shim.buffer)
                                                          : room;
}

// Reads until there is nothing more for now. A terminal whose last user left
// answers EIO, a pipe 0.
void Drain(int index) {
  const int fd = shim.outputs[index];
  while (fd >= 0 && Room() > 0) {
    const long n = child::Read(fd, shim.buffer, Room());
    if (n == -EAGAIN) return;
    if (n <= 0) {
      shim.outputs[index] = -1;
      child::Close(fd);
      return;
    }
    TakeOutput(index, n);
    // One turn each, so that a loud container does not starve the rest.
    if (n < static_cast<long>(sizeof(shim.buffer))) return;
  }
}

void DrainAll() {
  const uint64_t deadline = child::MonotonicNanoseconds() + kLastWords;
  shim.attach.Settle(deadline);
  for (int i = 0; i < 2; ++i) {
    // Everybody who could write is dead: what is there is all. A socket or
    // pipe handed outside could stay open, hence the bound.
    for (int turns = 0; turns < 1024 && shim.outputs[i] >= 0; ++turns) {
      const long n =
          child::Read(shim.outputs[i], shim.buffer, sizeof(shim.buffer));
      if (n <= 0) break;
      TakeOutput(i, n);
      shim.attach.Settle(deadline);
    }
  }
  shim.log.Finish();
}

// Whether the first reader came, or his time has passed.
bool EndPatience() {
  if (shim.patience == 0) return false;
  if (!shim.attach.met() && child::MonotonicNanoseconds() < shim.patience) {
    return false;
  }
  shim.patience = 0;
  return true;
}

// Milliseconds until the first of what is to be done at a time; -1: nothing is.
int Timeout() {
  int timeout = shim.attach.Timeout();
  const uint64_t times[] = {shim.patience, shim.flush_at};
  for (const uint64_t at : times) {
    if (at == 0) continue;
    const uint64_t now = child::MonotonicNanoseconds();
    const int left = now >= at ? 0 : static_cast<int>((at - now) / 1000000) + 1;
    if (timeout < 0 || left < timeout) timeout = left;
  }
  return timeout;
}

// The end of the container, unless it is not to be had yet.
bool Conclude() {
  ExitStatus status;
  if (!Reap(shim.child, &status)) return false;
  // That it ran must last, before the last that it said is waited for.
  if (shim.flush_at != 0) FlushRecords();
  DrainAll();
  WriteExit(status);
  return true;
}

// While somebody who is attached is waited for, output is left where it is.
void HoldOutput(bool held) {
  for (const int fd : shim.outputs) {
    if (fd >= 0) Watch(fd, EPOLL_CTL_MOD, held ? EPOLLET : EPOLLIN);
  }
}

int Loop() {
  const child::PlanHeader& plan = *shim.context.plan;
  const bool terminal = plan.terminal != 0;
  const Target target = {shim.child.pidfd, terminal ? shim.outputs[0] : -1,
                         shim.child.pid, &shim.attach};
  shim.attach.Open(shim.epoll, shim.input, terminal,
                   terminal || plan.open_stdin != 0);
  if (terminal || plan.open_stdin != 0) {
    shim.patience = child::MonotonicNanoseconds() + kFirstReader;
  }
  bool held = false;
  Watch(shim.child.pidfd);
  Watch(shim.control.listener());
  for (const int fd : shim.outputs) {
    if (fd >= 0) Watch(fd);
  }
  for (;;) {
    epoll_event events[16];
    if (held != (Room() == 0)) HoldOutput(held = !held);
    const long n =
        Sys(__NR_epoll_pwait, shim.epoll, Arg(events), 16, Timeout(), 0, 8);
    shim.attach.OnTimeout();
    if (shim.flush_at != 0 && child::MonotonicNanoseconds() >= shim.flush_at) {
      FlushRecords();
    }
    for (long i = 0; i < n; ++i) {
      const int fd = static_cast<int>(events[i].data);
      if (fd == shim.child.pidfd) {
        if (shim.patience != 0) {  // its end waits, too
          Watch(fd, EPOLL_CTL_DEL);
        } else if (Conclude()) {
          return 0;
        }
        continue;
      }
      if (fd == shim.control.listener()) {
        const int connection = shim.control.Accept();
        if (connection >= 0) Watch(connection);
      } else if (fd == shim.outputs[0]) {
        Drain(0);
      } else if (fd == shim.outputs[1]) {
        Drain(1);
      } else if (!shim.attach.OnEvent(fd, events[i].events)) {
        shim.control.Serve(fd, target);
      }
    }
    if (!EndPatience()) continue;
    Sys(__NR_epoll_ctl, shim.epoll, EPOLL_CTL_DEL, shim.child.pidfd, 0);
    Watch(shim.child.pidfd);
  }
}

}  // namespace

int RunMode() {
  PrepareProcess("bulwark-shim", kThirdFd + 1);
  WakeAtOnce();
  const int gated = AwaitOrder();
  Require(child::kStepPlan, gated);
  Require(child::kStepPlan, ReadPlan(&shim.context));
  if (gated != 0) shim.context.slots[child::kSlotGate] = kGateFd;
  const child::PlanHeader& plan = *shim.context.plan;
  Require(child::kStepDirectory,
          Sys(__NR_chdir, Arg(shim.context.String(plan.runtime_dir))));
  shim.state_dir = child::OpenAt(AT_FDCWD, shim.context.String(plan.state_dir),
                                 O_RDONLY | O_DIRECTORY);
  Require(child::kStepDirectory, shim.state_dir);
  Require(child::kStepDirectory, CheckOwnDirectories());
  Require(child::kStepRecords, WriteState(child::kPhaseLaunching));
  shim.epoll = Sys(__NR_epoll_create1, O_CLOEXEC);
  Require(child::kStepStdio, shim.epoll);
  MakeStreams();
  uint32_t failed = 0;
  const int result =
      child::RunSteps(&shim.context, child::Where::kShim, &failed);
  Require(failed, result);
  KeepTerminal();
  Require(child::kStepControl, shim.control.Listen());
  Require(child::kStepRecords,
          shim.log.Open(shim.state_dir,
                        {plan.log_file_bytes, static_cast<int>(plan.log_files),
                         plan.log_driver, shim.context.String(plan.log_fields),
                         shim.context.String(plan.log_socket)}));

  shim.start_time = child::WallNanoseconds();
  launch_fds.Note();
  Require(child::kStepClone, StartChild(&shim.context, &shim.child));
  // Above all the write ends of the streams.
  launch_fds.Close(child::kFirstFreeSlot);
  const int records = PrepareRecords();
  if (records < 0) FailAndKill(child::kStepRecords, -records);
  const LaunchError error = AwaitExec(shim.child);
  if (error.error != 0) FailAndKill(error.step, error.error);

  const Value values[] = {
      {child::kTagInitPid, static_cast<uint64_t>(shim.child.pid)},
      {child::kTagInitTicks, StartTicks(shim.child.pid)},
      {child::kTagStartTime, shim.start_time}};
  SendFrame(kStatusFd, child::kMsgLaunched, values, 3);
  child::Close(kStatusFd);
  // Not before: whoever is the last to close a mount waits for all processors,
  // and the child has closed its own.
  launch_fds.Close(child::kMaxSlots);
  shim.flush_at = child::MonotonicNanoseconds() + kFlushDelay;
  return Loop();
}

}  // namespace bulwark::shim
