// ctl audit and ctl diff against a real daemon.
#include <signal.h>

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "tests/e2e/stored.h"
#include "tests/e2e/suite.h"

namespace bulwark::e2e {
namespace {

using ::testing::AllOf;
using ::testing::ContainsRegex;
using ::testing::HasSubstr;
using ::testing::Not;

class AuditTest : public Suite {
 protected:
  static void SetUpTestSuite() { Open("e2eaudit"); }
  static void TearDownTestSuite() { Close(); }

  static Result Diff(const std::string& manifest) {
    return world().Ctl({"diff", "-f", "-"}, absl::Seconds(60), manifest);
  }
};

TEST_F(AuditTest, WhenThingsAreDone_TheLogTellsAndSurvivesAKill) {
  Ctl({"apply", "-f", "-"}, Manifest("kept", "exec sleep 100000"));
  ASSERT_TRUE(world().AwaitReady("kept", 1));
  Ctl({"exec", "-e", "TOKEN=hunter2", "kept", "--", "echo", "done"});
  Ctl({"scale", "kept", "2"});
  world().KillDaemon();
  world().StartDaemon();
  Ctl({"stop", "kept"});
  const std::string log = Ctl({"audit"}).out;
  EXPECT_THAT(log, ContainsRegex("Resources.Apply +service/kept +ok +service "
                                 "kept created"));
  EXPECT_THAT(log, HasSubstr("begins: target kept, command echo done"));
  EXPECT_THAT(log, HasSubstr("done: target kept, command echo done"));
  EXPECT_THAT(log, ContainsRegex("root +Services.Scale +service/kept"));
  EXPECT_THAT(log, ContainsRegex("root +Services.Stop +service/kept"));
  EXPECT_THAT(log, Not(HasSubstr("hunter2")));
  EXPECT_THAT(Ctl({"audit", "verify"}).out, HasSubstr("all in place"));
  EXPECT_THAT(Ctl({"audit", "--tail", "1", "-o", "json"}).out,
              AllOf(HasSubstr("Services/Stop"), HasSubstr("\"hash\"")));
  EXPECT_THAT(Ctl({"audit", "--object", "service/none"}).err,
              HasSubstr("no such records"));
  CtlFails({"audit", "prove"}, 2);
}

// Each acknowledged change has its record, whenever the daemon dies.
TEST_F(AuditTest, WhenTheDaemonIsKilledAgainAndAgain_NoRecordIsMissing) {
  Ctl({"apply", "-f", "-"}, Manifest("often", "exec sleep 100000"));
  for (int i = 1; i <= 5; ++i) {
    Ctl({"scale", "often", absl::StrCat(1 + i % 2)});
    world().KillDaemon();
    world().StartDaemon();
    EXPECT_THAT(Ctl({"audit", "--object", "often", "--tail", "1"}).out,
                HasSubstr("Services.Scale"));
  }
  EXPECT_THAT(Ctl({"audit", "verify"}).out, HasSubstr("all in place"));
}

// By somebody who can write the database.
TEST_F(AuditTest, WhenRecordsAreTamperedWith_VerifySaysWhere) {
  Ctl({"apply", "-f", "-"}, Manifest("forged", "exec sleep 100000"));
  for (const char* count : {"2", "3", "1"}) Ctl({"scale", "forged", count});
  EXPECT_THAT(Ctl({"audit", "verify"}).out, HasSubstr("all in place"));
  const auto verify_after = [](const store::Batch& batch) {
    world().StopDaemon();
    {
      const auto rows = OpenStore(world());
      ASSERT_NE(rows, nullptr);
      ASSERT_TRUE(rows->Commit(batch).ok());
    }
    world().StartDaemon();
  };
  store::Filter audit;
  audit.kind = "audit";
  world().StopDaemon();
  std::vector<store::Record> records;
  {
    const auto rows = OpenStore(world());
    ASSERT_NE(rows, nullptr);
    records = rows->List(audit)->records;
  }
  world().StartDaemon();
  ASSERT_GE(records.size(), 4u);
  const store::Record& third = records[records.size() - 2];
  const std::string number(absl::StripPrefix(
      third.key.name, std::string(third.key.name.find_first_not_of('0'), '0')));
  std::string changed = third.value;
  const size_t at = changed.find("forged");
  ASSERT_NE(at, std::string::npos);
  changed.replace(at, 6, "nobody");

  verify_after(store::Batch().Put(third.key, changed));
  EXPECT_THAT(CtlFails({"audit", "verify"}).err,
              HasSubstr(absl::StrCat("record ", number)));
  verify_after(store::Batch().Delete(third.key));
  EXPECT_THAT(CtlFails({"audit", "verify"}).err,
              HasSubstr(absl::StrCat("record ", number, " is missing")));
  // What else is there is shown, and goes on being written.
  EXPECT_THAT(Ctl({"audit", "--object", "forged"}).out, HasSubstr("created"));
  Ctl({"scale", "forged", "2"});
  verify_after(store::Batch().Put(third.key, third.value));
  EXPECT_THAT(Ctl({"audit", "verify"}).out, HasSubstr("all in place"));
  Ctl({"delete", "service", "forged", "--wait"});
}

TEST_F(AuditTest, WhenManifestsDiffer_DiffSaysHow) {
  const std::string before = Manifest("diff", "exec sleep 100000");
  Result result = Diff(before);
  EXPECT_EQ(result.code, 1) << result.ToString();
  EXPECT_THAT(result.out, HasSubstr("+ service diff\n"));
  Ctl({"apply", "-f", "-"}, before);
  EXPECT_EQ(Ctl({"diff", "-f", "-"}, before).out, "");

  result = Diff(Manifest("diff", "exec sleep 200000", "replicas: 2\n"));
  EXPECT_EQ(result.code, 1) << result.ToString();
  EXPECT_THAT(result.out,
              AllOf(HasSubstr("~ service diff\n"),
                    ContainsRegex("~ spec.replicas: 1 -> 2 +in place\n"),
                    ContainsRegex("~ spec.containers.diff..command: .* "
                                  "replace\n"),
                    Not(HasSubstr("\x1b"))));
  CtlFails({"diff", "-f", "/none"}, 2);
  EXPECT_THAT(Diff("kind: Service\nname: x\n").err, HasSubstr("error: "));
}

}  // namespace
}  // namespace bulwark::e2e
