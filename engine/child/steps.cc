#include "engine/child/steps.h"

#include <linux/errno.h>

#include "engine/child/sys.h"

namespace bulwark::child {
namespace {

bool UsesSlot2(StepKind kind) {
  return kind == StepKind::kOverlay || kind == StepKind::kLegacyOverlay ||
         kind == StepKind::kMappedOverlay || kind == StepKind::kOpen ||
         kind == StepKind::kOwnerOf || kind == StepKind::kPty ||
         kind == StepKind::kIdMap || kind == StepKind::kAwaitStart;
}

bool GoodSlot(int slot, uint32_t count) {
  return slot >= kNoSlot && slot < static_cast<int>(count);
}

// Whether `count` NUL-terminated strings lie at `offset`. The plan's last byte
// is NUL, so no string runs past its end.
bool GoodStrings(const uint8_t* base, uint32_t size, uint32_t offset,
                 uint64_t count) {
  for (; count > 0; --count) {
    if (offset >= size) return false;
    while (base[offset] != 0) ++offset;
    ++offset;
  }
  return offset <= size;
}

bool GoodStep(const Context& c, const Step& s) {
  const uint32_t size = c.plan->size;
  if (s.kind == StepKind::kNone || s.kind > StepKind::kLast) return false;
  if (s.str >= size || s.str2 >= size) return false;
  if (!GoodSlot(s.slot, c.plan->slot_count)) return false;
  if (UsesSlot2(s.kind) && !GoodSlot(s.slot2, c.plan->slot_count)) return false;
  switch (s.kind) {
    case StepKind::kOverlay:
    case StepKind::kLegacyOverlay:
    case StepKind::kMappedOverlay:
      return s.slot2 >= 0 &&
             (s.kind != StepKind::kMappedOverlay ||
              static_cast<int>(s.flags & 0xffff) <= s.slot2) &&
             s.value > 0 && s.value <= 500 &&
             GoodSlot(s.slot2 + static_cast<int>(s.value) - 1,
                      c.plan->slot_count) &&
             GoodSlot(s.value2 & 0xffff, c.plan->slot_count) &&
             GoodSlot((s.value2 >> 16) & 0xffff, c.plan->slot_count);
    case StepKind::kSeccomp:
      return s.value <= 4096 && s.value * 8 <= size - s.str && s.str % 8 == 0;
    case StepKind::kCapabilitySets:
      return s.str % 8 == 0 && size - s.str >= 4 * sizeof(uint64_t);
    case StepKind::kScheduler:
      return s.value <= 256 && s.value <= size - s.str && s.str % 8 == 0;
    case StepKind::kIds:
      return (s.flags & kGroups) == 0 ||
             (s.value <= 65536 && s.value * 4 <= size - s.str &&
              s.str % 8 == 0);
    case StepKind::kExec:
      return s.value > 0 && s.value < (1 << 20) && s.value2 < (1 << 20) &&
             GoodStrings(c.base, size, s.str, s.value) &&
             GoodStrings(c.base, size, s.str2, s.value2);
    default:
      return true;
  }
}

}  // namespace

int OpenPlan(const uint8_t* base, size_t size, Context* context) {
  if (size < sizeof(PlanHeader) || size > kMaxPlanBytes) return -EINVAL;
  context->base = base;
  context->plan = reinterpret_cast<const PlanHeader*>(base);
  const PlanHeader& h = *context->plan;
  if (h.magic != kPlanMagic || h.version != kPlanVersion || h.size != size ||
      base[size - 1] != 0 || h.step_count > kMaxSteps || h.steps % 8 != 0 ||
      h.steps > size || h.step_count * sizeof(Step) > size - h.steps ||
      h.slot_count < kFirstFreeSlot || h.slot_count > kMaxSlots ||
      h.runtime_dir >= size || h.state_dir >= size || h.boot_id >= size ||
      h.oom_file >= size || h.log_fields >= size || h.log_socket >= size) {
    return -EINVAL;
  }
  context->steps = reinterpret_cast<const Step*>(base + h.steps);
  for (int& slot : context->slots) slot = -1;
  for (uint32_t i = 0; i < h.step_count; ++i) {
    if (!GoodStep(*context, context->steps[i])) return -EINVAL;
  }
  return 0;
}

int RunSteps(Context* context, Where where, uint32_t* failed) {
  for (uint32_t i = 0; i < context->plan->step_count; ++i) {
    const Step& step = context->steps[i];
    if (step.where != where) continue;
    int result = RunMountStep(context, step);
    if (result == -ENOSYS) result = RunProcessStep(context, step);
    if (result == -ENOSYS) result = RunUserStep(context, step);
    if (result == -ENOSYS) result = RunSyncStep(context, step);
    if (result < 0 && (step.flags & kOptional) != 0 &&
        (result == -ENOENT || result == -EPERM || result == -ENODEV)) {
      result = 0;
    }
    if (result < 0) {
      *failed = i;
      return result;
    }
  }
  return 0;
}

}  // namespace bulwark::child
