// Whatever is added to a plan in whatever order: what the builder compiles, the
// shim accepts, by stage, with every text and number as it was given.
#include <cstring>
#include <memory>
#include <vector>

#include "absl/strings/string_view.h"
#include "engine/child/steps.h"
#include "engine/plan/plan_builder.h"
#include "tests/fuzz/input.h"

namespace bulwark::engine {
namespace {

using child::StepKind;

// Kinds whose fields the interpreter takes as they are.
constexpr StepKind kPlain[] = {
    StepKind::kOpen,     StepKind::kNewFs,   StepKind::kCloneTree,
    StepKind::kAttach,   StepKind::kMkdir,   StepKind::kMknod,
    StepKind::kSymlink,  StepKind::kMask,    StepKind::kHostname,
    StepKind::kBindHost, StepKind::kWorkdir, StepKind::kRlimit,
};

constexpr size_t kLong = 16;  // instructions

struct Added {
  Stage stage;
  StepKind kind;
  StepArgs args;
  std::string bytes;  // of a filter
};

std::vector<std::string> Texts(fuzz::Input& input, int least) {
  std::vector<std::string> texts;
  const int count = least + input.Below(6);
  for (int i = 0; i < count; ++i) {
    // What is executed comes from where NULs cannot be.
    std::string text = input.Text();
    std::erase(text, '\0');
    texts.push_back(text);
  }
  return texts;
}

void AddStep(fuzz::Input& input, PlanBuilder& builder,
             std::vector<Added>& added) {
  Added step;
  step.stage = static_cast<Stage>(input.Below(static_cast<int>(Stage::kExec)));
  if (input.Below(8) == 0) {
    step.kind = StepKind::kSeccomp;
    // One filter that is long is enough: more of them are page faults, and
    // these would take more of the time than the code under test.
    size_t size = input.Below(5000);
    for (const Added& other : added) {
      if (other.bytes.size() >= 8 * kLong) size %= kLong;
    }
    step.bytes.resize(8 * size, 'f');
    builder.AddSeccomp(step.stage, step.bytes);
    if (!step.bytes.empty()) added.push_back(std::move(step));
    return;
  }
  step.kind = kPlain[input.Below(sizeof(kPlain) / sizeof(kPlain[0]))];
  step.args.slot = input.Below(2) == 0 ? child::kNoSlot
                                       : builder.NewSlot(1 + input.Below(40));
  step.args.flags = static_cast<uint32_t>(input.Int(4));
  step.args.str = input.Text();
  step.args.str2 = input.Text();
  step.args.value = input.Int(8);
  step.args.value2 = input.Int(8);
  builder.Add(step.stage, step.kind, "step", step.args);
  added.push_back(std::move(step));
}

void ExpectSame(const child::Context& c, const child::Step& got,
                const Added& added) {
  CHECK(got.kind == added.kind);
  CHECK((got.where == child::Where::kShim) ==
        (added.stage < Stage::kFirstInChild));
  if (added.kind == StepKind::kSeccomp) {
    CHECK(got.value * 8 == added.bytes.size());
    CHECK(std::memcmp(c.base + got.str, added.bytes.data(),
                      added.bytes.size()) == 0);
    return;
  }
  CHECK(got.slot == added.args.slot && got.flags == added.args.flags);
  CHECK(c.String(got.str) == added.args.str);
  CHECK(c.String(got.str2) == added.args.str2);
  CHECK(got.value == added.args.value && got.value2 == added.args.value2);
}

void ExpectTexts(const char* at, const std::vector<std::string>& texts) {
  for (const std::string& text : texts) {
    CHECK(text == at);
    at += text.size() + 1;
  }
}

bool HasNul(const Added& added) {
  return added.args.str.find('\0') != std::string::npos ||
         added.args.str2.find('\0') != std::string::npos;
}

void Try(fuzz::Input& input) {
  PlanBuilder builder;
  const std::vector<std::string> args = Texts(input, 1);
  const std::vector<std::string> env = Texts(input, 0);
  builder.AddExec(args, env);
  std::vector<Added> added;
  while (!input.empty()) AddStep(input, builder, added);
  const absl::StatusOr<CompiledPlan> plan = builder.Build();
  if (!plan.ok()) {
    bool nul = false;
    for (const Added& step : added) nul = nul || HasNul(step);
    CHECK(plan.status().code() == (nul ? absl::StatusCode::kInvalidArgument
                                       : absl::StatusCode::kResourceExhausted));
    return;
  }
  const auto context = std::make_unique<child::Context>();
  const auto* bytes = reinterpret_cast<const uint8_t*>(plan->bytes.data());
  size_t filters = 0;
  for (const Added& step : added) filters += step.bytes.size() > 4096 * 8;
  const int result = child::OpenPlan(bytes, plan->bytes.size(), context.get());
  CHECK(result == (filters > 0 ? -EINVAL : 0));
  if (result != 0) return;
  CHECK(context->plan->step_count == added.size() + 1);
  std::stable_sort(
      added.begin(), added.end(),
      [](const Added& a, const Added& b) { return a.stage < b.stage; });
  for (size_t i = 0; i < added.size(); ++i) {
    ExpectSame(*context, context->steps[i], added[i]);
  }
  const child::Step& exec = context->steps[added.size()];
  CHECK(exec.kind == StepKind::kExec);
  CHECK(exec.value == args.size() && exec.value2 == env.size());
  ExpectTexts(context->String(exec.str), args);
  ExpectTexts(context->String(exec.str2), env);
}

}  // namespace
}  // namespace bulwark::engine

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  bulwark::fuzz::Input input(data, size);
  bulwark::engine::Try(input);
  return 0;
}
