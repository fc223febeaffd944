// The interpreter of a launch plan. Runs in the shim and in the container's
// init, whose memory is the shim's until it executes: system calls only.
#ifndef ENGINE_CHILD_STEPS_H_
#define ENGINE_CHILD_STEPS_H_

#include <stddef.h>
#include <stdint.h>

#include "engine/child/accounts.h"
#include "engine/child/launch_plan.h"

namespace bulwark::child {

// A verified plan and what its steps produce. Its memory is the caller's.
struct Context {
  const uint8_t* base = nullptr;
  const PlanHeader* plan = nullptr;
  const Step* steps = nullptr;
  int slots[kMaxSlots];
  int mask_directory = -1;  // an attached, empty, read-only tmpfs
  // To who ordered the launch (kSync); where a failure is reported.
  int status_fd = -1;
  // What stays open until the program executes: where a failure is reported,
  // and the FIFO whose closing says that there was none.
  int failure_fd = -1;
  int start_fd = -1;
  // Descriptors that the program is given from 3 on; they wait from
  // `first_passed` on.
  int passed = 0;
  int first_passed = 0;
  // Written from outside, into the memory of a process that may make no call
  // any more: its filter's listener is in good hands.
  volatile uint32_t handed_over = 0;
  Account account;
  // Vectors for execve; `env` has room for HOME before its end.
  char** args = nullptr;
  char** env = nullptr;
  char home_entry[sizeof("HOME=") + sizeof(Account::home)];

  const char* String(uint32_t offset) const {
    return reinterpret_cast<const char*>(base + offset);
  }
};

// Checks every offset, slot and count of the plan at `base`, and fills
// `context`. Returns 0 or a negative errno.
int OpenPlan(const uint8_t* base, size_t size, Context* context);

// Runs the steps of one place in order. Returns 0, or the negative errno of
// the step whose index is then in `*failed`.
int RunSteps(Context* context, Where where, uint32_t* failed);

// One step each; 0 or a negative errno. Split by concern over the files
// steps_mount.cc, steps_process.cc, steps_user.cc and steps_sync.cc; -ENOSYS:
// not of that file.
int RunMountStep(Context* context, const Step& step);
int RunProcessStep(Context* context, const Step& step);
int RunUserStep(Context* context, const Step& step);
int RunSyncStep(Context* context, const Step& step);

// Sends one packet, with a descriptor if `passed` is not -1, to a socket that
// keeps boundaries. 0 or more, or a negative errno.
int SendPacket(int socket, const uint8_t* data, size_t size, int passed);

// Whether args[0], or what PATH finds for it, can be executed: 0 or a negative
// errno, as execution would have it. `execute`: do so; returns on failure only.
int FindProgram(Context* context, bool execute);

}  // namespace bulwark::child

#endif  // ENGINE_CHILD_STEPS_H_
