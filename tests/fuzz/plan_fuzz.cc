// A launch plan as the shim gets it: what OpenPlan accepts, the interpreter may
// read without a look.
#include <sys/types.h>

#include <cstring>
#include <memory>

#include "engine/child/launch_plan.h"
#include "engine/child/steps.h"
#include "tests/fuzz/input.h"

namespace bulwark::child {
namespace {

// Reads what the steps would, and no more.
uint64_t ReadStep(const Context& c, const Step& s) {
  uint64_t sum = std::strlen(c.String(s.str)) + std::strlen(c.String(s.str2));
  CHECK(s.kind > StepKind::kNone && s.kind <= StepKind::kLast);
  if (s.slot != kNoSlot) sum += c.slots[s.slot];
  switch (s.kind) {
    case StepKind::kOverlay:
    case StepKind::kLegacyOverlay:
      for (uint64_t i = 0; i < s.value; ++i) sum += c.slots[s.slot2 + i];
      sum += c.slots[s.value2 & 0xffff] + c.slots[s.value2 >> 16 & 0xffff];
      break;
    case StepKind::kPty:
      if (s.slot2 != kNoSlot) sum += c.slots[s.slot2];
      break;
    case StepKind::kSeccomp:
      for (uint64_t i = 0; i < s.value * 8; ++i) sum += c.base[s.str + i];
      break;
    case StepKind::kExec: {
      const char* at = c.String(s.str);
      for (uint64_t i = 0; i < s.value; ++i) at += std::strlen(at) + 1;
      at = c.String(s.str2);
      for (uint64_t i = 0; i < s.value2; ++i) at += std::strlen(at) + 1;
      CHECK(at <= reinterpret_cast<const char*>(c.base) + c.plan->size);
      break;
    }
    default:
      break;
  }
  return sum;
}

void Open(const uint8_t* plan, size_t size) {
  const auto context = std::make_unique<Context>();
  if (OpenPlan(plan, size, context.get()) != 0) return;
  uint64_t sum = 0;
  for (uint32_t i = 0; i < context->plan->step_count; ++i) {
    sum += ReadStep(*context, context->steps[i]);
  }
  const PlanHeader& h = *context->plan;
  for (const uint32_t at :
       {h.runtime_dir, h.state_dir, h.boot_id, h.oom_file}) {
    sum += std::strlen(context->String(at));
  }
  [[maybe_unused]] volatile uint64_t sink = sum;  // so that it is read
}

}  // namespace
}  // namespace bulwark::child

// The first byte says whether to make the header's fixed fields right.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace bulwark::child;
  if (size == 0) return 0;
  const bool repair = data[0] % 2 == 0;
  ++data;
  --size;
  // As memory that is mapped: aligned, and nothing after it.
  const auto plan = std::make_unique<uint8_t[]>(size);
  std::memcpy(plan.get(), data, size);
  if (repair && size >= sizeof(PlanHeader)) {
    PlanHeader header;
    std::memcpy(&header, plan.get(), sizeof(header));
    header.magic = kPlanMagic;
    header.version = kPlanVersion;
    header.size = static_cast<uint32_t>(size);
    header.steps = header.steps / 8 * 8;
    std::memcpy(plan.get(), &header, sizeof(header));
    plan[size - 1] = 0;
  }
  Open(plan.get(), size);
  return 0;
}
