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

TEST_F(CtlTest, WhenAServiceIsStopped_EmptyLogsAreExplained) {
  v1::Object web = MakeService("web", 0, 0);
  server_.Put(web);
  EXPECT_EQ(Ctl({"logs", "web"}), kExitOk);
  EXPECT_EQ(err_, "");
  web.mutable_service()->mutable_spec()->set_stopped(true);
  server_.Put(web);
  EXPECT_EQ(Ctl({"logs", "web"}), kExitOk);
  EXPECT_EQ(out_, "");
  EXPECT_THAT(err_, HasSubstr("web is stopped; the logs of its containers "
                              "went with them"));
  v1::Logging& log = *web.mutable_service()
                          ->mutable_spec()
                          ->mutable_containers(0)
                          ->mutable_log();
  log.set_driver(v1::Logging::JOURNALD);
  server_.Put(web);
  EXPECT_EQ(Ctl({"logs", "web"}), kExitOk);
  EXPECT_THAT(err_, HasSubstr("journal has the logs of its containers"));
  log.set_driver(v1::Logging::NONE);
  server_.Put(web);
  EXPECT_EQ(Ctl({"logs", "web"}), kExitOk);
  EXPECT_EQ(err_, "");
  // While there is a replica, what it has is all that there is.
  log.clear_driver();
  server_.Put(web);
  server_.Put(MakeReplica("web", 0));
  EXPECT_EQ(Ctl({"logs", "web"}), kExitOk);
  EXPECT_EQ(err_, "");
}

TEST_F(CtlTest, WhenTheTimeoutPasses_FollowedLogsEnd) {
  server_.Put(MakeService("web", 1, 1));
  // The fake keeps the last line back from followers.
  server_.set_log_lines({Line("web-0-abcde", "a"), Line("web-0-abcde", "b")});
  EXPECT_EQ(Ctl({"logs", "web", "-f", "--timeout", "300ms"}), kExitTimeout);
  EXPECT_EQ(out_, "a\n");
  EXPECT_EQ(err_, "");
  server_.FailNext("Logs",
                   grpc::Status(grpc::StatusCode::DEADLINE_EXCEEDED, "late"));
  EXPECT_EQ(Ctl({"logs", "web", "--timeout", "20s"}), kExitTimeout);
  EXPECT_THAT(err_, HasSubstr("read logs of web: not all came"));
}

}  // namespace
}  // namespace bulwark::ctl::testing
