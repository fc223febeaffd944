// bulwark-shim oci: makes the process of a launch that bulwark-oci ordered, and
// ends. The process speaks with bulwark-oci by itself (kSync).
#include <linux/errno.h>

#include "engine/child/frame.h"
#include "engine/child/sys.h"
#include "engine/child/wire.h"
#include "engine/shim/shim.h"

namespace bulwark::shim {

using child::Arg;
using child::Sys;

namespace {

constexpr int kDupCloexec = 1030;  // F_DUPFD_CLOEXEC
constexpr int kMaxPassed = 1000;

child::Context context;

[[noreturn]] void Fail(int fd, uint64_t step, int64_t error) {
  const Value values[] = {{child::kTagStep, step},
                          {child::kTagErrno, static_cast<uint64_t>(error)}};
  SendFrame(fd, child::kMsgFailed, values, 2);
  child::Exit(1);
}

int ReadCount(const char* text) {
  int count = 0;
  for (; *text >= '0' && *text <= '9' && count <= kMaxPassed; ++text) {
    count = count * 10 + (*text - '0');
  }
  return *text == 0 && count <= kMaxPassed ? count : -EINVAL;
}

}  // namespace

int OciMode(const char* passed) {
  const int count = ReadCount(passed);
  if (count < 0) Fail(kStatusFd, child::kStepPlan, -count);
  context.passed = count;
  context.first_passed = kFirstStreamFd + 3;
  const int first_free = context.first_passed + count;
  PrepareProcess("bulwark-init", first_free);
  int result = AwaitOrder();
  if (result >= 0) result = ReadPlan(&context);
  if (result < 0) Fail(kStatusFd, child::kStepPlan, -result);
  // Nothing that is opened from here on may get a number that a file which is
  // passed on will have: what lies below `first_free` stays taken.
  const int status = Sys(__NR_fcntl, kStatusFd, kDupCloexec, first_free);
  if (status < 0) Fail(kStatusFd, child::kStepStdio, -status);
  // For a process that joins a container: that one's init.
  const int init = Sys(__NR_fcntl, kThirdFd, kDupCloexec, first_free);
  if (init >= 0) context.slots[child::kSlotInit] = init;
  result = Sys(__NR_dup3, status, kPlanFd, O_CLOEXEC);
  if (result >= 0) result = Sys(__NR_dup3, status, kThirdFd, O_CLOEXEC);
  if (result < 0) Fail(status, child::kStepStdio, -result);
  context.status_fd = status;
  for (int i = 0; i < 3; ++i) {
    const int stream = kFirstStreamFd + i;
    if (context.plan->terminal == 0) {
      context.slots[child::kSlotStdin + i] = stream;
      continue;
    }
    // Who called our parent may wait for the end of his.
    result = Sys(__NR_dup3, status, stream, O_CLOEXEC);
    if (result < 0) Fail(status, child::kStepStdio, -result);
  }
  uint32_t failed = 0;
  result = child::RunSteps(&context, child::Where::kShim, &failed);
  if (result < 0) Fail(status, failed, -result);
  Child child;
  result = StartChild(&context, &child);
  if (result < 0) Fail(status, child::kStepClone, -result);
  const Value values[] = {
      {child::kTagInitPid, static_cast<uint64_t>(child.pid)}};
  result = SendFrame(status, child::kMsgLaunched, values, 1);
  return result < 0 ? 1 : 0;
}

}  // namespace bulwark::shim
