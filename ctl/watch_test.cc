// Streams that outlive the connection: get -w, events -w, logs -f.
#include <functional>
#include <thread>

#include "ctl/testing/fixture.h"

namespace bulwark::ctl::testing {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

class WatchTest : public CtlTest {
 protected:
  // Runs a watch, `meanwhile` beside it, and then ends the watch by an error.
  void WatchWhile(const std::vector<std::string>& arguments,
                  const std::function<void()>& meanwhile) {
    std::thread other([&] {
      meanwhile();
      server_.FailNext("Watch",
                       grpc::Status(grpc::StatusCode::INTERNAL, "enough"));
      server_.BreakStreams();
    });
    EXPECT_EQ(Ctl(arguments), kExitError);
    other.join();
    EXPECT_THAT(err_, ::testing::EndsWith("error: enough\n"));
  }

  void AwaitOut(const std::string& text) {
    const absl::Duration deadline = clock_.Steady() + absl::Seconds(20);
    while (io_.PeekOut().find(text) == std::string::npos) {
      ASSERT_LT(clock_.Steady(), deadline) << io_.PeekOut();
      clock_.Sleep(absl::Milliseconds(5));
    }
  }

  static int Count(const std::string& text, const std::string& part) {
    int count = 0;
    for (size_t at = text.find(part); at != std::string::npos;
         at = text.find(part, at + 1)) {
      ++count;
    }
    return count;
  }
};

TEST_F(WatchTest, WhenTheStreamBreaks_GoesOnFromTheLastRevision) {
  server_.Put(MakeService("web", 0, 1));
  WatchWhile({"get", "services", "-w"}, [this] {
    AwaitOut("web    0/1");
    server_.BreakStreams();
    server_.Put(MakeService("web", 1, 1));
    AwaitOut("web    1/1");
    server_.Remove("service", "web");
    AwaitOut("(deleted)");
  });
  EXPECT_EQ(Count(out_, "0/1"), 1) << out_;
  EXPECT_EQ(Count(out_, "NAME"), 1) << out_;
  EXPECT_THAT(server_.calls(), Contains("Watch from 1"));
  EXPECT_EQ(err_, "error: enough\n");
}

TEST_F(WatchTest, WhenTheLogOfChangesIsTooShort_ListsAgainAndTellsDifferences) {
  server_.Put(MakeService("api", 0, 1));
  server_.Put(MakeService("web", 0, 1));
  server_.Put(MakeService("old", 0, 1));
  WatchWhile({"get", "services", "-w"}, [this] {
    AwaitOut("web    0/1");
    server_.FailNext("Watch",
                     grpc::Status(grpc::StatusCode::OUT_OF_RANGE, "gone"));
    server_.BreakStreams();
    server_.Put(MakeService("web", 1, 1));
    server_.Remove("service", "old");
    AwaitOut("(deleted)");
  });
  EXPECT_EQ(Count(out_, "api "), 1) << out_;
  EXPECT_EQ(Count(out_, "1/1"), 1) << out_;
  EXPECT_THAT(out_, HasSubstr("old    0/1"));
}

TEST_F(WatchTest, WhenTheDaemonIsAway_SaysSoAndGoesOn) {
  server_.Put(MakeService("web", 0, 1));
  WatchWhile({"get", "services", "-w"}, [this] {
    AwaitOut("web    0/1");
    server_.FailNext("Version",
                     grpc::Status(grpc::StatusCode::UNAVAILABLE, "away"));
    server_.BreakStreams();
    server_.Put(MakeService("web", 1, 1));
    AwaitOut("web    1/1");
  });
  EXPECT_EQ(err_,
            "warning: bulwarkd does not answer; waiting for it\n"
            "bulwarkd answers again\n"
            "error: enough\n");
}

TEST_F(WatchTest, WhenTheTimeoutPasses_Ends) {
  EXPECT_EQ(Ctl({"events", "-w", "--timeout", "300ms"}), kExitTimeout);
}

TEST_F(WatchTest, WhenItNeverWorked_FailsAtOnce) {
  server_.FailNext("Watch",
                   grpc::Status(grpc::StatusCode::UNAVAILABLE, "away"));
  EXPECT_EQ(Ctl({"get", "services", "-w", "--timeout", "20s"}), kExitError);
  EXPECT_THAT(err_, ::testing::StartsWith("error: away\n"));
}

TEST_F(WatchTest, WhenEventsBreak_GoOnWithoutTheOldOnes) {
  auto event = [](const std::string& name, const std::string& message) {
    v1::Object object;
    object.mutable_event()->mutable_metadata()->set_name(name);
    object.mutable_event()->mutable_metadata()->set_project("default");
    object.mutable_event()->set_message(message);
    return object;
  };
  server_.Put(event("a", "first"));
  WatchWhile({"events", "-w"}, [&] {
    AwaitOut("first");
    server_.FailNext("Watch",
                     grpc::Status(grpc::StatusCode::OUT_OF_RANGE, "gone"));
    server_.BreakStreams();
    server_.Put(event("b", "second"));
    AwaitOut("second");
  });
  EXPECT_EQ(Count(out_, "first"), 1) << out_;
}

TEST_F(WatchTest, WhenFollowedLogsBreak_NoLineIsLostOrRepeated) {
  server_.Put(MakeService("web", 1, 1));
  v1::LogLine later = Line("web-0-abcde", "three");
  later.mutable_time()->set_seconds(later.time().seconds() + 1);
  // The fake keeps the last line back from followers.
  const v1::LogLine last = Line("web-0-abcde", "never");
  server_.set_log_lines({Line("web-0-abcde", "one"), last});
  std::thread meanwhile([&] {
    AwaitOut("one");
    server_.set_log_lines(
        {Line("web-0-abcde", "one"), Line("web-0-abcde", "two"), later, last});
    server_.BreakStreams();
    AwaitOut("three");
    server_.FailNext("Logs",
                     grpc::Status(grpc::StatusCode::INTERNAL, "enough"));
    server_.BreakStreams();
  });
  EXPECT_EQ(Ctl({"logs", "-f", "--tail", "9", "web"}), kExitError);
  meanwhile.join();
  EXPECT_EQ(out_, "one\ntwo\nthree\n");
  EXPECT_EQ(err_, "error: enough\n");
  EXPECT_THAT(server_.calls(),
              ElementsAre("Logs web  f 9", "Logs web  f", "Logs web  f"));
}

TEST_F(WatchTest, WhenShutDown_NamesWhatWasKilled) {
  EXPECT_EQ(Ctl({"shutdown", "--timeout", "7s"}), kExitOk) << err_;
  EXPECT_THAT(server_.calls(), ElementsAre("Shutdown 7s"));
  EXPECT_THAT(err_, HasSubstr("not stopped in 7s, and therefore killed: "
                              "default/stubborn"));
  EXPECT_THAT(out_, HasSubstr("every service has stopped"));
  EXPECT_THAT(out_, Not(HasSubstr("error")));
}

}  // namespace
}  // namespace bulwark::ctl::testing
