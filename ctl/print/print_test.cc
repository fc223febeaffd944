#include <gtest/gtest.h>

#include "ctl/errors.h"
#include "ctl/print/changes.h"
#include "ctl/print/columns.h"
#include "ctl/print/progress.h"
#include "ctl/print/table.h"
#include "ctl/print/text.h"

namespace bulwark::ctl {
namespace {

TEST(TableTest, WhenTaken_PadsByCharactersAndKeepsRowsOnOneLine) {
  Table table({"A", "B"});
  table.Add({"é", "x\ny"});
  table.Add({"", "z"});
  EXPECT_EQ(table.Take(), "A   B\né   x y\n-   z\n");
  table.Add({"long", "q"});
  EXPECT_EQ(table.Take(), "long   q\n");
  EXPECT_EQ(table.Take(), "");
}

TEST(TextTest, WhenDurations_UsesOneUnit) {
  EXPECT_EQ(ShortDuration(absl::Seconds(-5)), "0s");
  EXPECT_EQ(ShortDuration(absl::Seconds(119)), "119s");
  EXPECT_EQ(ShortDuration(absl::Minutes(2)), "2m");
  EXPECT_EQ(ShortDuration(absl::Hours(47)), "47h");
  EXPECT_EQ(ShortDuration(absl::Hours(49)), "2d");
}

TEST(TextTest, WhenSizes_UsesPowersOfThousand) {
  EXPECT_EQ(HumanSize(0), "0 B");
  EXPECT_EQ(HumanSize(999), "999 B");
  EXPECT_EQ(HumanSize(1000), "1.0 kB");
  EXPECT_EQ(HumanSize(5200000), "5.2 MB");
  EXPECT_EQ(HumanSize(999999), "1.0 MB");
  EXPECT_EQ(HumanSize(123456789), "123 MB");
}

TEST(ProgressTest, WhenBar_FitsTheColumns) {
  v1::ImageProgress progress;
  progress.set_id("sha256:aaaabbbbccccdddd");
  progress.set_status("downloading");
  progress.set_current(50);
  progress.set_total(100);
  EXPECT_EQ(ProgressPrinter::Bar(progress, 80),
            "aaaabbbbcccc   downloading  [==================>                 ]"
            " 50 B / 100 B");
  EXPECT_EQ(ProgressPrinter::Bar(progress, 30),
            "aaaabbbbcccc   downloading  50 B / 100 B");
  progress.set_current(1000);
  EXPECT_LE(ProgressPrinter::Bar(progress, 80).size(), 80u);
}

v1::Service WithCondition(const char* type, v1::Condition::Status status,
                          const char* reason) {
  v1::Service service;
  service.mutable_status()->set_desired_replicas(1);
  service.mutable_status()->set_observed_generation(1);
  v1::Condition& c = *service.mutable_status()->add_conditions();
  c.set_type(type);
  c.set_status(status);
  c.set_reason(reason);
  c.set_message("why");
  return service;
}

TEST(ServiceStateTest, WhenSomethingIsWrong_TellsTheCause) {
  EXPECT_EQ(ServiceState(WithCondition("ImageResolved", v1::Condition::FALSE,
                                       "ImageNotFound")),
            "ImageNotFound");
  EXPECT_EQ(
      ServiceState(WithCondition("CrashLoop", v1::Condition::TRUE, "BackOff")),
      "CrashLoop");
  EXPECT_EQ(ServiceState(WithCondition("Progressing", v1::Condition::TRUE,
                                       "NewReplicas")),
            "Progressing");
  EXPECT_EQ(ServiceMessage(
                WithCondition("PortsOpen", v1::Condition::FALSE, "PortTaken")),
            "why");
  v1::Service stopped;
  stopped.mutable_spec()->set_stopped(true);
  EXPECT_EQ(ServiceState(stopped), "Stopped");
  EXPECT_EQ(ServiceState({}), "Idle");
}

TEST(ErrorsTest, WhenFormatted_HasHintsAndCodes) {
  EXPECT_EQ(FormatError(WithRemedy(absl::NotFoundError("get x: none"), "y")),
            "error: get x: none\nhint: y\n");
  EXPECT_EQ(FormatError(WithLines(absl::InvalidArgumentError("z"), "a\nb\n")),
            "error: a\nerror: b\n");
  EXPECT_EQ(ExitCodeOf(UsageError("x")), 2);
  EXPECT_EQ(ExitCodeOf(TimeoutError("x")), 124);
  EXPECT_EQ(ExitCodeOf(absl::DeadlineExceededError("x")), 1);
}

v1::FieldChange Change(const std::string& field, const std::string& before,
                       const std::string& after,
                       v1::FieldChange::Effect effect) {
  v1::FieldChange change;
  change.set_field(field);
  change.set_before(before);
  change.set_after(after);
  change.set_effect(effect);
  return change;
}

TEST(ChangesTest, WhenFieldsChange_EachLineSaysWhatItDoes) {
  v1::ApplyResult result;
  result.set_action(v1::ApplyResult::CONFIGURED);
  *result.add_changes() =
      Change("spec.replicas", "1", "3", v1::FieldChange::IN_PLACE);
  *result.add_changes() =
      Change("spec.containers[web].image", "a", "b", v1::FieldChange::REPLACE);
  *result.add_changes() =
      Change("metadata.labels.x", "1", "", v1::FieldChange::IN_PLACE);
  EXPECT_EQ(FormatChanges(result, false),
            "    ~ spec.replicas: 1 -> 3                in place\n"
            "    ~ spec.containers[web].image: a -> b   replace\n"
            "    - metadata.labels.x: 1                 in place\n");
  EXPECT_EQ(Mark(v1::ApplyResult::DELETED, false), "-");
  EXPECT_EQ(Mark(v1::ApplyResult::CREATED, true), "\x1b[32m+\x1b[0m");
  // Of a new object nothing runs that could be replaced.
  result.set_action(v1::ApplyResult::CREATED);
  EXPECT_EQ(FormatChanges(result, false).find("replace"), std::string::npos);
}

}  // namespace
}  // namespace bulwark::ctl
