#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "ctl/errors.h"
#include "ctl/print/changes.h"
#include "ctl/print/columns.h"
#include "ctl/print/progress.h"
#include "ctl/print/table.h"
#include "ctl/print/text.h"
#include "ctl/print/tint.h"

namespace bulwark::ctl {
namespace {

TEST(TableTest, WhenTaken_PadsByCharactersAndKeepsRowsOnOneLine) {
  Table table({"A", "B"});
  table.Add({"é", "x\ny"});
  table.Add({"", "z"});
  EXPECT_EQ(table.Take(), "A   B\né   x y\n-   z\n");
  table.Add({"long", "q"});
  EXPECT_EQ(table.Take(), "long   q\n");
  table.Add({"a\a\b", "\x7f\x0fq"});
  EXPECT_EQ(table.Take(), "a        q\n");
  EXPECT_EQ(table.Take(), "");
}

TEST(TableTest, WhenColoured_ColumnsStayWhereTheyAre) {
  for (const bool color : {false, true}) {
    Table table({"STATUS", "B"}, color);
    table.Add({"Available", "x"});
    // Colours of its own are taken from a cell, whatever it says.
    table.Add({"Idle\x1b[31m", "running"});
    EXPECT_EQ(table.Take(), color ? "STATUS      B\n"
                                    "\x1b[32mAvailable\x1b[0m   x\n"
                                    "Idle [31m   running\n"
                                  : "STATUS      B\n"
                                    "Available   x\n"
                                    "Idle [31m   running\n");
  }
}

TEST(ColumnsTest, WhenAMessageIsLong_ItIsCutUnlessWide) {
  v1::Object object;
  v1::ReplicaStatus& status = *object.mutable_replica()->mutable_status();
  auto message = [&](bool wide) {
    TableForm form;
    form.wide = wide;
    return RowOf(object, form, absl::UnixEpoch()).back();
  };
  std::string text;
  for (int i = 0; i < 120; ++i) text += "é";
  status.set_message(text);
  EXPECT_EQ(message(false), text);
  status.set_message(text + "x");
  EXPECT_EQ(message(false), text.substr(0, 2 * 119) + "…");
  EXPECT_EQ(message(true), text + "x");
  object.mutable_event()->set_message(text + "x");
  EXPECT_EQ(message(false), text + "x");
}

TEST(TintTest, EachStateHasItsColour) {
  constexpr int kPlain = 0, kRed = 1, kGreen = 2, kYellow = 3;
  const struct {
    const char *column, *cell;
    int tint;
  } cases[] = {
      {"STATUS", "Available", kGreen},
      {"STATUS", "Progressing", kYellow},
      {"STATUS", "CrashLoop", kRed},
      {"STATUS", "ImageNotFound", kRed},
      {"STATUS", "Stopped", kPlain},
      {"STATUS", "Deleting", kYellow},
      {"STATUS", "Running", kGreen},
      {"STATUS", "Suspended", kPlain},
      {"STATUS", "Ready", kGreen},
      {"STATUS", "WaitingForInputs", kYellow},
      {"STATUS", "Held", kYellow},
      {"STATE", "running", kGreen},
      {"STATE", "starting", kYellow},
      {"STATE", "failed", kRed},
      {"STATE", "-", kPlain},
      {"STATE", "up 5m", kGreen},
      {"STATE", "exited (1) 3s ago", kRed},
      {"STATE", "exited (0) 3s ago", kPlain},
      {"READY", "3/3", kGreen},
      {"READY", "2/3", kYellow},
      {"READY", "0/3", kRed},
      {"READY", "0/0", kPlain},
      {"TYPE", "warning", kYellow},
      {"TYPE", "normal", kPlain},
      {"NAME", "failed", kPlain},
  };
  for (const auto& c : cases) {
    EXPECT_EQ(TintOf({c.column}, {c.cell}, 0), c.tint) << c.cell;
  }
  // Whether it is ready matters while it runs.
  EXPECT_EQ(TintOf({"STATE", "READY"}, {"running", "no"}, 1), kYellow);
  EXPECT_EQ(TintOf({"STATE", "READY"}, {"failed", "yes"}, 1), kPlain);
  EXPECT_EQ(TintOf({"A"}, {"b"}, 7), kPlain);
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
  EXPECT_EQ(ProgressPrinter::Bar(progress, 40, 10),
            "aaaabbbbcccc   downloading  50 B / 100 B  10 B/s  5s");
  EXPECT_LE(ProgressPrinter::Bar(progress, 80, 10).size(), 80u);
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

TEST(ServiceStateTest, WhenReplicasOfBeforeStillEnd_IsAvailable) {
  v1::Service service =
      WithCondition("Progressing", v1::Condition::FALSE, "Complete");
  v1::ServiceStatus& status = *service.mutable_status();
  status.set_observed_generation(1);
  status.set_desired_replicas(2);
  status.set_updated_replicas(2);
  status.set_available_replicas(2);
  status.set_ready_replicas(2);
  status.set_replicas(4);
  EXPECT_EQ(ServiceState(service), "Available");
  // One that is not there is told, whatever the others do.
  status.set_available_replicas(1);
  EXPECT_EQ(ServiceState(service), "Degraded");
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
  // Of a command that passes on another's exit status.
  EXPECT_EQ(ExitCodeOf(OrNoStatus(absl::InternalError("x")).status()), 125);
  EXPECT_EQ(ExitCodeOf(OrNoStatus(UsageError("x")).status()), 2);
  EXPECT_EQ(OrNoStatus(3).value(), 3);
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

void Add(v1::RestoreStateResponse& to, v1::ApplyResult::Action action,
         const std::string& project, const std::string& name) {
  v1::ApplyResult& result = *to.add_results();
  result.set_action(action);
  v1::Metadata& metadata =
      *result.mutable_object()->mutable_service()->mutable_metadata();
  metadata.set_project(project);
  metadata.set_name(name);
}

TEST(ChangesTest, WhenManyObjectsChange_TheyAreGrouped) {
  v1::RestoreStateResponse all;
  EXPECT_EQ(FormatResults(all.results(), false), "");
  EXPECT_EQ(CountResults(all.results()), "nothing");
  v1::ApplyResult& volume = *all.add_results();
  volume.set_action(v1::ApplyResult::UNCHANGED);
  volume.mutable_object()->mutable_volume()->mutable_metadata()->set_name("d");
  Add(all, v1::ApplyResult::DELETED, "default", "extra");
  Add(all, v1::ApplyResult::CREATED, "default", "db");
  Add(all, v1::ApplyResult::CONFIGURED, "shop", "web");
  Add(all, v1::ApplyResult::CREATED, "shop", "db");
  EXPECT_EQ(FormatResults(all.results(), false),
            "+ service db, shop/db\n"
            "~ service shop/web\n"
            "- service extra\n"
            "  volume d\n");
  EXPECT_EQ(CountResults(all.results()),
            "2 created, 1 changed, 1 deleted, 1 unchanged");
}

TEST(ChangesTest, WhenAListIsLong_ItIsBrokenAndCut) {
  v1::RestoreStateResponse all;
  for (int i = 0; i < 100; ++i) {
    Add(all, v1::ApplyResult::CREATED, "default", absl::StrCat("service-", i));
  }
  const std::string text = FormatResults(all.results(), false);
  const std::vector<std::string> lines =
      absl::StrSplit(text, '\n', absl::SkipEmpty());
  EXPECT_EQ(lines[0],
            "+ service service-0, service-1, service-2, service-3, service-4, "
            "service-5,");
  EXPECT_EQ(lines[1].substr(0, 14), "    service-6,");
  EXPECT_EQ(lines.back(), "    and 40 more; -o json has all");
  for (const std::string& line : lines) EXPECT_LE(line.size(), 80u);
}

}  // namespace
}  // namespace bulwark::ctl
