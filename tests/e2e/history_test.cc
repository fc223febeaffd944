// ctl rollout: which revisions there were, who made them, and the ways back.
#include <nlohmann/json.hpp>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "tests/e2e/suite.h"

namespace bulwark::e2e {
namespace {

using ::testing::AllOf;
using ::testing::ContainsRegex;
using ::testing::HasSubstr;

constexpr int kPort = 8070;

class HistoryTest : public Suite {
 protected:
  static void SetUpTestSuite() {
    Open("e2ehist");
    for (const char* tag : {"1", "2"}) {
      images_[tag] = world().PushNginx(tag, absl::StrCat("v", tag));
    }
    images_["broken"] = world().PushNginx("broken", "broken", 81);
  }
  static void TearDownTestSuite() { Close(); }

  static Result Apply(const std::string& tag) {
    return Ctl({"apply", "-f", "-"},
               absl::StrCat("{kind: Service, name: web, image: '",
                            images_.at(tag), "', ports: ['", kPort,
                            ":80'], health: {http: ':80/healthz', period: "
                            "100ms}, resources: {memory: 64Mi}, "
                            "loadBalancer: {drainTimeout: 1s}, "
                            "rollout: {minHealthyTime: 200ms, "
                            "progressDeadline: 2s}}"));
  }
  static std::string Body() {
    return e2e::Run({"curl", "-sS", "--max-time", "10",
                     absl::StrCat("http://127.0.0.1:", kPort, "/")})
        .out;
  }
  static bool AwaitRolledBack() {
    return Eventually([] {
      const std::string state = world().Condition("web", "RolledBack");
      return state.find("RolloutFailed") != std::string::npos;
    });
  }
  static int RollBacks() {
    const std::string events = world().Ctl({"events", "web"}).out;
    int count = 0;
    for (size_t at = events.find(" RolledBack"); at != std::string::npos;
         at = events.find(" RolledBack", at + 1)) {
      ++count;
    }
    return count;
  }

  static std::map<std::string, std::string> images_;
};

std::map<std::string, std::string> HistoryTest::images_;

// One story: each step needs the ones before.
TEST_F(HistoryTest, WhenRevisionsFollowEachOther_EachCanComeBack) {
  Apply("1");
  Ctl({"rollout", "status", "web"});
  Apply("2");
  Ctl({"rollout", "status", "web"});
  EXPECT_THAT(Body(), HasSubstr("v2"));
  EXPECT_THAT(
      Ctl({"rollout", "history", "web"}).out,
      AllOf(ContainsRegex("\n1 +good +" + images_["1"] + " +root "),
            ContainsRegex("\n2 +current +" + images_["2"] + " +root ")));

  Apply("broken");
  ASSERT_TRUE(AwaitRolledBack());
  const Result status = CtlFails({"rollout", "status", "web"});
  EXPECT_THAT(status.err, HasSubstr("revision 3 failed"));
  EXPECT_THAT(Ctl({"rollout", "history", "web"}).out,
              AllOf(ContainsRegex("\n2 +current "),
                    ContainsRegex("\n3 +failed +.* root +[0-9]+s +[^-]")));
  EXPECT_THAT(Ctl({"get", "service", "web"}).out, HasSubstr("RolledBack"));
  EXPECT_THAT(Body(), HasSubstr("v2"));
  // What was wrong with it can be seen after it is gone.
  EXPECT_TRUE(Eventually([] {
    return absl::StrContains(Ctl({"why", "web"}).out, "was stopped: its");
  }));
  EXPECT_THAT(Ctl({"why", "web"}).out, HasSubstr("it was not ready: "));
  EXPECT_THAT(Ctl({"events", "web"}).out, HasSubstr("ReplicaRolledBack"));
  const int before = RollBacks();

  // Whoever names a revision wants it tried, although it failed once.
  EXPECT_EQ(Ctl({"rollout", "undo", "web", "--to-revision", "3"}).out,
            "service web goes back to revision 3\n");
  // By itself the controller looks every 30 s.
  EXPECT_TRUE(
      Eventually([&] { return RollBacks() > before; }, absl::Seconds(15)));
  ASSERT_TRUE(AwaitRolledBack());
  EXPECT_THAT(Body(), HasSubstr("v2"));

  Ctl({"rollout", "undo", "web", "--to-revision", "1", "--wait"});
  EXPECT_THAT(Body(), HasSubstr("v1"));
  EXPECT_THAT(Ctl({"rollout", "history", "web"}).out,
              ContainsRegex("\n1 +current "));
  EXPECT_EQ(world().Condition("web", "RolledBack"), "");

  EXPECT_EQ(CtlFails({"rollout", "undo", "web", "--to-revision", "9"}).err,
            "error: undo service web: there is no revision 9\n"
            "hint: ctl rollout history web lists its revisions\n");
  auto history = nlohmann::json::parse(
      Ctl({"rollout", "history", "web", "-o", "json"}).out, nullptr, false);
  ASSERT_TRUE(history.is_object());
  EXPECT_EQ(history["revision"], 1);
  ASSERT_EQ(history["revisions"].size(), 3u);
  EXPECT_EQ(history["revisions"][0]["state"], "current");
  EXPECT_EQ(history["revisions"][0]["images"][0], images_["1"]);
  EXPECT_EQ(history["revisions"][2]["state"], "failed");
  EXPECT_NE(history["revisions"][2]["failure"], "");
  absl::Time applied;
  EXPECT_TRUE(
      absl::ParseTime(absl::RFC3339_full,
                      history["revisions"][2]["createTime"].get<std::string>(),
                      &applied, nullptr));
  CtlFails({"rollout", "undo", "web"});
  CtlFails({"rollout", "history", "none"});
}

TEST_F(HistoryTest, WhenARevisionIsRolledBack_ItsReplicaCanStillBeAsked) {
  auto apply = [](const std::string& words, const std::string& probe) {
    ASSERT_TRUE(world()
                    .Apply(absl::StrCat(
                        "{kind: Service, name: talks, image: '", busybox(),
                        "', command: [sh, -c, 'echo ", words,
                        "; exec sleep 100000'], health: {exec: [", probe,
                        "], period: 100ms}, resources: {memory: 64Mi}, stop: "
                        "{timeout: 1s}, rollout: {minHealthyTime: 100ms, "
                        "progressDeadline: 2s}}"))
                    .ok());
  };
  apply("fine", "/bin/true");
  Ctl({"rollout", "status", "talks"});
  apply("the database is away", "/bin/false");
  std::string name;
  ASSERT_TRUE(Eventually([&] {
    for (const ReplicaInfo& r : world().Replicas("talks")) {
      if (r.revision == 2 && r.state == "stopped") name = r.name;
    }
    return !name.empty();
  }));
  EXPECT_THAT(Ctl({"why", "talks"}).out,
              AllOf(HasSubstr("Last log lines of " + name),
                    HasSubstr("\n  the database is away\n")));
  EXPECT_EQ(Ctl({"logs", name}).out, "the database is away\n");
  EXPECT_THAT(Ctl({"events", "talks"}).out,
              HasSubstr("last log lines: the database is away"));
  Ctl({"delete", "service", "talks", "--wait"});
}

}  // namespace
}  // namespace bulwark::e2e
