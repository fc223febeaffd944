// ctl logs.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "ctl/testing/fixture.h"

namespace bulwark::ctl::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST_F(CtlTest, WhenLogsHaveAnEndOrArePrevious_TheRequestSaysSo) {
  server_.Put(MakeService("web", 1, 1));
  EXPECT_EQ(Ctl({"logs", "web", "--until", "2030-01-31T12:00:00.5Z"}), kExitOk)
      << err_;
  EXPECT_EQ(Ctl({"logs", "web", "--previous"}), kExitOk) << err_;
  EXPECT_THAT(server_.calls(),
              ElementsAre("Logs web  until 1896091200.500000000",
                          "Logs web  previous"));
  EXPECT_EQ(Ctl({"logs", "web", "--previous", "-f"}), kExitUsage);
  EXPECT_EQ(Ctl({"logs", "web", "--until", "soon"}), kExitUsage);
  EXPECT_THAT(err_, HasSubstr("--until soon"));
}

}  // namespace
}  // namespace bulwark::ctl::testing
