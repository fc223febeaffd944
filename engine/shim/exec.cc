// bulwark-shim exec: one process in a running container. Lives as long as that
// process; if the daemon goes away, it kills the process. One that is detached
// is only started and waited for.
#include <asm/ioctls.h>
#include <linux/errno.h>
#include <linux/sched.h>

#include "engine/child/frame.h"
#include "engine/child/sys.h"
#include "engine/child/wire.h"
#include "engine/shim/control.h"
#include "engine/shim/shim.h"

namespace bulwark::shim {

using child::Arg;
using child::Sys;

namespace {

child::Context context;

[[noreturn]] void Fail(uint64_t step, int64_t error) {
  const Value values[] = {{child::kTagStep, step},
                          {child::kTagErrno, static_cast<uint64_t>(error)}};
  SendFrame(kStatusFd, child::kMsgFailed, values, 2);
  child::Exit(1);
}

// Tells the daemon that the program executes, with the terminal's master.
int SendLaunched(const Child& child, int master) {
  uint8_t frame[64];
  child::FrameWriter writer(frame, sizeof(frame), child::kMsgLaunched);
  writer.Int(child::kTagInitPid, child.pid);
  return child::SendPacket(kStatusFd, frame, writer.size(), master);
}

void Kill(const Child& child) {
  Sys(__NR_pidfd_send_signal, child.pidfd, 9, 0, 0);
}

// Requests come as whole packets.
bool ServeControl(const Target& target) {
  uint8_t frame[child::kMaxMessage];
  const long n = child::Read(kStatusFd, frame, sizeof(frame));
  if (n <= 0) return false;
  HandleRequest(kStatusFd, frame, n, target);
  return true;
}

int Loop(const Child& child, int master, bool detached) {
  const Target target = {child.pidfd, master, child.pid};
  struct PollFd {
    int fd;
    short events, revents;
  } polls[2] = {{child.pidfd, 1, 0}, {detached ? -1 : kStatusFd, 1, 0}};
  for (;;) {
    Sys(__NR_ppoll, Arg(polls), 2, 0, 0, 0);
    if (polls[1].revents != 0 && !ServeControl(target)) {
      Kill(child);
      polls[1].fd = -1;
      polls[1].revents = 0;
    }
    ExitStatus status;
    if (polls[0].revents == 0 || !Reap(child, &status)) continue;
    if (detached) return 0;
    const Value values[] = {
        {child::kTagCode, static_cast<uint64_t>(status.code)},
        {child::kTagSignal, static_cast<uint64_t>(status.signal)}};
    SendFrame(kStatusFd, child::kMsgExited, values, 2);
    return 0;
  }
}

}  // namespace

int ExecMode(bool detached) {
  PrepareProcess("bulwark-exec", kFirstStreamFd + 3);
  int result = ReadPlan(&context);
  if (result < 0) Fail(child::kStepPlan, -result);
  context.slots[child::kSlotInit] = kThirdFd;
  const bool terminal = context.plan->terminal != 0;
  for (int i = 0; i < 3 && !terminal; ++i) {
    context.slots[child::kSlotStdin + i] = kFirstStreamFd + i;
  }
  uint32_t failed = 0;
  result = child::RunSteps(&context, child::Where::kShim, &failed);
  if (result < 0) Fail(failed, -result);
  Child child;
  result = StartChild(&context, &child);
  if (result < 0) Fail(child::kStepClone, -result);
  // Our copies would keep the daemon's ends of the streams open.
  const int slave = context.slots[child::kSlotStdin];
  const LaunchError error = AwaitExec(child);
  if (terminal) {
    child::Close(slave);
  } else {
    Sys(__NR_close_range, kFirstStreamFd, kFirstStreamFd + 2, 0);
  }
  const int master = context.slots[child::kSlotPtyMaster];
  if (error.error != 0) {
    ExitStatus status;
    Kill(child);
    while (!Reap(child, &status)) Sys(__NR_sched_yield);
    Fail(error.step, error.error);
  }
  result = SendLaunched(child, terminal ? master : -1);
  if (result < 0) Kill(child);
  if (detached) child::Close(kStatusFd);
  return Loop(child, terminal ? master : -1, detached);
}

}  // namespace bulwark::shim
