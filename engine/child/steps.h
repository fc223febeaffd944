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

// One step each; 0 or a negative errno. Split by concern over the two files
// steps_mount.cc and steps_process.cc; -ENOSYS: not of that file.
int RunMountStep(Context* context, const Step& step);
int RunProcessStep(Context* context, const Step& step);

}  // namespace bulwark::child

#endif  // ENGINE_CHILD_STEPS_H_
