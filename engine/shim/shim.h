// bulwark-shim: the process between the daemon and one container. Started as
//
//   bulwark-shim run    descriptors: 4 status socket; its order brings 3 plan
//                       and 5 lock, and perhaps 6, the socket whose byte lets
//                       the program begin
//   bulwark-shim exec   descriptors: 3 plan, 4 control socket, 5 pidfd of the
//                       container's init; 6, 7, 8 streams (unless a terminal)
//   bulwark-shim oci N  descriptors: 4 status socket; 6, 7, 8 streams; from 9
//                       on N that the program gets from 3 on. Its order brings
//                       3 plan, and 5 pidfd of the container's init (for exec).
//                       Ends as soon as the process exists, which is a child
//                       of its parent and goes on alone.
//
// `run` and `oci` are started before there is a plan, and wait for their order.
//
// It links no library at all; see docs/formats/shim-protocol.md.
#ifndef ENGINE_SHIM_SHIM_H_
#define ENGINE_SHIM_SHIM_H_

#include <stdint.h>

#include "engine/child/steps.h"
#include "engine/shim/shim_fds.h"

namespace bulwark::shim {

int Main(int argc, char** argv);
int RunMode();
int ExecMode(bool detached);
int OciMode(const char* passed);

// Common set-up: name, signals, and no descriptor from `first_free_fd` on.
void PrepareProcess(const char* name, int first_free_fd);

// read(2) from a socket, with the descriptors that come along: at most `count`,
// which is 1 to 3; -1 in the place of those that do not.
long Receive(int fd, void* buffer, size_t size, int* passed, size_t count);

// Waits at kStatusFd for the order, which brings kPlanFd and, if there is
// something to be it, kThirdFd. 1 if kGateFd came with it, else 0, or a
// negative errno; ends the process if its starter has given up or is gone.
int AwaitOrder();

// Reads kPlanFd, and closes it. 0 or a negative errno.
int ReadPlan(child::Context* context);

struct Child {
  int pid = -1;
  int pidfd = -1;
  int error_pipe = -1;  // {step, errno}, or EOF once the program executes
};

// Clones the child, which runs its steps on its own stack in our memory.
int StartChild(child::Context* context, Child* child);

struct LaunchError {
  uint64_t step;
  int64_t error;  // positive errno; 0: the program executes
};
LaunchError AwaitExec(const Child& child);

struct ExitStatus {
  int code = 255;  // exit status, or 128 + signal
  int signal = 0;
};
// Reaps the child if it has ended.
bool Reap(const Child& child, ExitStatus* status);

// From now on we run as soon as we are woken, for a moment, whoever has the
// processor: by a short slice (Linux 6.12; sched(7), "EEVDF"), not by a
// priority. Else we wait until the program that was just executed has had its
// own. No child inherits it.
void WakeAtOnce();

uint64_t StartTicks(int pid);

// Answers on `fd`: {tag, value} pairs in one frame.
struct Value {
  uint16_t tag;
  uint64_t value;
};
int SendFrame(int fd, uint16_t type, const Value* values, int count);

}  // namespace bulwark::shim

#endif  // ENGINE_SHIM_SHIM_H_
