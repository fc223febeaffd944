// Numbers of which 0 is not the same as none.
#include "ctl/testing/fixture.h"

namespace bulwark::ctl::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

TEST_F(CtlTest, TheLastNoRecordsAreNone) {
  EXPECT_EQ(Ctl({"audit", "--tail", "0"}), kExitOk) << err_;
  EXPECT_EQ(Ctl({"audit", "--tail", "7"}), kExitOk) << err_;
  EXPECT_EQ(Ctl({"audit"}), kExitOk) << err_;
  EXPECT_THAT(server_.calls(), ElementsAre("Audit 0", "Audit 7", "Audit"));
  EXPECT_EQ(Ctl({"audit", "--tail", "-1"}), kExitUsage);
  EXPECT_EQ(Ctl({"audit", "--tail", "x"}), kExitUsage);
  EXPECT_EQ(err_, "error: \"x\" is no number for --tail\n");
  EXPECT_EQ(Ctl({"audit", "--help"}), kExitOk);
  EXPECT_THAT(out_, HasSubstr("Only the last so many; 0: none"));
}

TEST_F(CtlTest, NumbersOfRevisionsAndVersionsBeginWithOne) {
  for (const char* number : {"0", "-1"}) {
    EXPECT_EQ(Ctl({"rollout", "undo", "web", "--to-revision", number}),
              kExitUsage);
    EXPECT_THAT(err_, HasSubstr("revisions count from 1; leave it out"));
    for (const char* kind : {"secret", "config"}) {
      EXPECT_EQ(Ctl({kind, "rollback", "db", "--to", number}), kExitUsage);
      EXPECT_THAT(err_, HasSubstr("versions count from 1; leave it out"));
    }
  }
  EXPECT_THAT(server_.calls(), IsEmpty());
  EXPECT_EQ(Ctl({"rollout", "undo", "web"}), kExitOk) << err_;
  EXPECT_EQ(out_, "service web goes back to its last good revision\n");
  EXPECT_THAT(server_.calls(), ElementsAre("Undo web"));
}

TEST_F(CtlTest, ALimitOfProcessesBeginsWithOne) {
  for (const char* number : {"0", "-1", "2147483648"}) {
    EXPECT_EQ(Ctl({"update", "web", "--pids", number}), kExitUsage);
    EXPECT_EQ(err_, absl::StrCat("error: --pids ", number,
                                 ": a number from 1 to 2147483647\n"));
  }
  EXPECT_EQ(Ctl({"update", "web"}), kExitUsage);
  EXPECT_THAT(err_, HasSubstr("give --memory, --cpus or --pids"));
}

}  // namespace
}  // namespace bulwark::ctl::testing
