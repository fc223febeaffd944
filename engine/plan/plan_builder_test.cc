#include "engine/plan/plan_builder.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <memory>
#include <string>

#include "base/testing/status_matchers.h"
#include "engine/child/steps.h"
#include "engine/plan/workdir.h"
#include "engine/program_error.h"

namespace bulwark::engine {
namespace {

using ::bulwark::testing::StatusIs;
using child::StepKind;
using ::testing::HasSubstr;

int Open(const std::string& bytes) {
  auto context = std::make_unique<child::Context>();
  return child::OpenPlan(reinterpret_cast<const uint8_t*>(bytes.data()),
                         bytes.size(), context.get());
}

PlanBuilder Sample() {
  PlanBuilder b;
  b.AddExec({"sh", "-c", "true"}, {"A=1"});
  b.AddSeccomp(Stage::kSeccomp, std::string(16, 'x'));
  b.Add(Stage::kPivot, StepKind::kPivot, "pivot");
  StepArgs args;
  args.slot = b.NewSlot();
  args.str = "/etc";
  b.Add(Stage::kSources, StepKind::kOpen, "open /etc", args);
  return b;
}

TEST(PlanBuilderTest, WhenStepsComeInAnyOrder_AreLaidOutByStage) {
  ASSERT_OK_AND_ASSIGN(CompiledPlan plan, Sample().Build());
  ASSERT_EQ(plan.steps.size(), 4u);
  EXPECT_EQ(plan.steps[0].kind, StepKind::kOpen);
  EXPECT_EQ(plan.steps[1].kind, StepKind::kPivot);
  EXPECT_EQ(plan.steps[2].kind, StepKind::kSeccomp);
  EXPECT_EQ(plan.steps[3].kind, StepKind::kExec);
}

TEST(PlanBuilderTest, WhenBuilt_TheInterpreterAcceptsIt) {
  ASSERT_OK_AND_ASSIGN(CompiledPlan plan, Sample().Build());
  EXPECT_EQ(Open(plan.bytes), 0);
}

TEST(PlanBuilderTest, WhenCutShort_TheInterpreterRefusesIt) {
  ASSERT_OK_AND_ASSIGN(CompiledPlan plan, Sample().Build());
  for (size_t n = 0; n < plan.bytes.size(); ++n) {
    EXPECT_EQ(Open(plan.bytes.substr(0, n)), -EINVAL) << n;
  }
}

TEST(PlanBuilderTest, WhenStringsLieOutside_TheInterpreterRefusesThem) {
  ASSERT_OK_AND_ASSIGN(CompiledPlan plan, Sample().Build());
  // Any of these fields turned into a huge number.
  for (size_t at : {8, 12, 16, 20, 32, 36, 40, 44}) {
    std::string bytes = plan.bytes;
    bytes[at + 3] = 0x7f;
    EXPECT_EQ(Open(bytes), -EINVAL) << at;
  }
  for (size_t step = 0; step < plan.steps.size(); ++step) {
    std::string bytes = plan.bytes;
    bytes[sizeof(child::PlanHeader) + step * sizeof(child::Step) + 15] = 0x7f;
    EXPECT_EQ(Open(bytes), -EINVAL) << step;
  }
}

TEST(PlanBuilderTest, WhenATextHoldsNul_IsInvalid) {
  PlanBuilder b;
  StepArgs args;
  args.str = std::string("a\0b", 3);
  b.Add(Stage::kIdentity, StepKind::kHostname, "set host name", args);
  EXPECT_THAT(b.Build(), StatusIs(absl::StatusCode::kInvalidArgument));
}

TEST(PlanBuilderTest, WhenThereAreTooManySlots_IsExhausted) {
  PlanBuilder b;
  b.NewSlot(child::kMaxSlots);
  EXPECT_THAT(b.Build(), StatusIs(absl::StatusCode::kResourceExhausted));
}

TEST(PlanBuilderTest, WhenThereAreTooManySteps_IsExhausted) {
  PlanBuilder b = Sample();
  ASSERT_OK_AND_ASSIGN(const CompiledPlan sample, b.Build());
  const size_t room = child::kMaxSteps - sample.steps.size();
  for (size_t i = 0; i < room; ++i) {
    b.Add(Stage::kIdentity, StepKind::kHostname, "set host name", {});
  }
  ASSERT_OK_AND_ASSIGN(const CompiledPlan full, b.Build());
  EXPECT_EQ(Open(full.bytes), 0);
  b.Add(Stage::kIdentity, StepKind::kHostname, "set host name", {});
  EXPECT_THAT(b.Build(), StatusIs(absl::StatusCode::kResourceExhausted));
}

TEST(PlanBuilderTest, WhenItIsTooLong_IsExhausted) {
  const auto with_name = [](size_t size) {
    PlanBuilder b = Sample();
    StepArgs args;
    args.str = std::string(size, 'n');
    b.Add(Stage::kIdentity, StepKind::kHostname, "set host name", args);
    return b.Build();
  };
  ASSERT_OK_AND_ASSIGN(const CompiledPlan small, with_name(8));
  // Whole words, as filters that come after the text are aligned.
  const size_t room = (child::kMaxPlanBytes - small.bytes.size()) / 8 * 8;
  ASSERT_OK_AND_ASSIGN(const CompiledPlan full, with_name(8 + room));
  EXPECT_EQ(Open(full.bytes), 0);
  EXPECT_THAT(with_name(16 + room),
              StatusIs(absl::StatusCode::kResourceExhausted));
}

TEST(PlanBuilderTest, WhenTheSpecIsToBlame_FailureIsInvalidArgument) {
  ASSERT_OK_AND_ASSIGN(CompiledPlan plan, Sample().Build());
  EXPECT_THAT(LaunchFailure(plan, 3, ENOENT),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("execute \"sh\": no such file")));
  EXPECT_THAT(
      LaunchFailure(plan, 0, ENOSPC),
      StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("open /etc")));
}

TEST(PlanBuilderTest, WhenTheProgramCannotBeExecuted_TellsAsAShellDoes) {
  ASSERT_OK_AND_ASSIGN(CompiledPlan plan, Sample().Build());
  EXPECT_EQ(ProgramErrorOf(LaunchFailure(plan, 3, ENOENT)), kProgramNotFound);
  for (const int error : {EACCES, ENOEXEC, ELOOP, E2BIG}) {
    EXPECT_EQ(ProgramErrorOf(LaunchFailure(plan, 3, error)), kProgramCannotRun);
  }
  EXPECT_EQ(ProgramErrorOf(LaunchFailure(plan, 0, ENOENT)), std::nullopt);
}

TEST(PlanBuilderTest, WhenTheDirectoryIsNotThere_TellsAsOfTheProgram) {
  PlanBuilder builder = Sample();
  AddWorkdir("/none", builder);
  ASSERT_OK_AND_ASSIGN(CompiledPlan plan, builder.Build());
  EXPECT_THAT(LaunchFailure(plan, 2, ENOENT),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("change to directory /none: No such")));
  EXPECT_EQ(ProgramErrorOf(LaunchFailure(plan, 2, ENOENT)), kProgramNotFound);
  EXPECT_EQ(ProgramErrorOf(LaunchFailure(plan, 2, ENOTDIR)), kProgramCannotRun);
}

TEST(PlanBuilderTest, WhenTheDirectoryCannotBeMade_TellsAsOfTheProgram) {
  PlanBuilder builder;
  AddMakeWorkdir("/etc/passwd", builder);
  ASSERT_OK_AND_ASSIGN(CompiledPlan plan, builder.Build());
  EXPECT_EQ(ProgramErrorOf(LaunchFailure(plan, 0, ENOTDIR)), kProgramCannotRun);
}

}  // namespace
}  // namespace bulwark::engine
