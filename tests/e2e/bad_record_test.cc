// A record of the store whose bytes mean nothing: what it describes runs on,
// all others are as free as ever, and a checkpoint brings it back.
#include <signal.h>

#include <string>

#include "absl/strings/str_cat.h"
#include "tests/e2e/bad_suite.h"
#include "tests/e2e/stored.h"

namespace bulwark::e2e {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr char kNonsense[] = "\xff\xff no message";
constexpr int kPort = 18090;  // of the bad service

class BadRecordTest : public BadSuite {
 protected:
  static void SetUpTestSuite() { OpenWithAnchor("e2ebadrec"); }
  static void TearDownTestSuite() { CloseAll(); }

  static bool Serves() {
    std::string why;
    return Fetch(kPort, "/file", why) == "hello\n";
  }
};

TEST_F(BadRecordTest, WhenAServicesRecordIsBad_EverythingElseGoesOn) {
  ASSERT_TRUE(
      world()
          .Apply(Manifest("bad",
                          "mkdir /www; echo hello > /www/file; "
                          "exec httpd -f -p 80 -h /www",
                          absl::StrCat("ports: [\"", kPort, ":80\"]\n")))
          .ok());
  ASSERT_TRUE(world().AwaitReady("bad", 1));
  ASSERT_TRUE(Eventually(Serves));
  const int pid = world().Ready("bad").at(0).pid;
  world().KillDaemon();
  const store::Key key{"service", "default", "bad"};
  const std::string good = Replace(world(), key, kNonsense);
  world().StartDaemon();

  // The others are shown, and the bad one is named.
  const Result listed = world().Ctl({"get", "services", "-o", "name"});
  EXPECT_EQ(listed.code, 0) << listed.ToString();
  EXPECT_EQ(listed.out, "service/anchor\n");
  EXPECT_THAT(listed.err,
              AllOf(HasSubstr("warning: "), HasSubstr("service/default/bad"),
                    HasSubstr("docs/operation.md")));
  EXPECT_THAT(CtlFails({"get", "service", "bad"}).err,
              AllOf(HasSubstr("cannot be read"), HasSubstr("hint: ")));
  const Result doctor = world().Ctl({"doctor"});
  EXPECT_EQ(doctor.code, 1);
  EXPECT_THAT(doctor.out, HasSubstr("cannot be read: service/default/bad"));
  EXPECT_TRUE(Eventually([] {
    return world().Ctl({"get", "events"}).out.find("RecordUnreadable") !=
           std::string::npos;
  }));
  // Nothing overwrites it.
  const Result refused = world().Ctl({"apply", "-f", "-"}, absl::Seconds(60),
                                     Manifest("bad", "exec sleep 5"));
  EXPECT_EQ(refused.code, 1);
  EXPECT_THAT(refused.err, HasSubstr("cannot be read"));
  CtlFails({"delete", "service", "bad"});
  // New ones come, and heal.
  ASSERT_TRUE(world().Apply(Manifest("fresh", "exec sleep 100000")).ok());
  ASSERT_TRUE(world().AwaitReady("fresh", 1));
  const int fresh = world().Ready("fresh").at(0).pid;
  ASSERT_EQ(kill(fresh, SIGKILL), 0);
  EXPECT_TRUE(Eventually([&] {
    const std::vector<ReplicaInfo> ready = world().Ready("fresh");
    return ready.size() == 1 && ready[0].pid != fresh;
  }));
  EXPECT_EQ(kill(pid, 0), 0) << "the container of the bad one was ended";
  // Its port has outlived all these changes of traffic, and its name.
  EXPECT_TRUE(Serves());
  EXPECT_EQ(Ctl({"exec", "fresh", "--", "wget", "-qO-", "http://bad/file"}).out,
            "hello\n");
  world().KillDaemon();
  world().StartDaemon();
  ASSERT_TRUE(world().Apply(Manifest("later", "exec sleep 100000")).ok());
  ASSERT_TRUE(world().AwaitReady("later", 1));
  EXPECT_TRUE(Serves());

  world().KillDaemon();
  EXPECT_EQ(Replace(world(), key, good), kNonsense);
  world().StartDaemon();
  ASSERT_TRUE(world().AwaitReady("bad", 1));
  EXPECT_EQ(world().Ready("bad").at(0).pid, pid);
  EXPECT_TRUE(Serves());
  EXPECT_THAT(Services(), Not(HasSubstr("warning")));
  Delete({"bad", "fresh", "later"});
  EXPECT_FALSE(Serves());
}

TEST_F(BadRecordTest, WhenAReplicasRecordIsBad_ItsContainerIsLeftAlone) {
  ASSERT_TRUE(world().Apply(Manifest("bad", "exec sleep 100000")).ok());
  ASSERT_TRUE(world().AwaitReady("bad", 1));
  const ReplicaInfo replica = world().Ready("bad").at(0);
  world().KillDaemon();
  const store::Key key{"replica", "default", replica.name};
  const std::string good = Replace(world(), key, kNonsense);
  world().StartDaemon();

  const Result listed = world().Ctl({"get", "replicas"});
  EXPECT_EQ(listed.code, 0) << listed.ToString();
  EXPECT_THAT(listed.out, HasSubstr("anchor-0-"));
  EXPECT_THAT(listed.err, HasSubstr("replica/default/" + replica.name));
  ASSERT_TRUE(world().Apply(Manifest("fresh", "exec sleep 100000")).ok());
  ASSERT_TRUE(world().AwaitReady("fresh", 1));
  EXPECT_EQ(kill(replica.pid, 0), 0) << "its container was ended";
  EXPECT_EQ(world().Ready("bad").size(), 0u) << "it was started twice";

  world().KillDaemon();
  EXPECT_EQ(Replace(world(), key, good), kNonsense);
  world().StartDaemon();
  ASSERT_TRUE(world().AwaitReady("bad", 1));
  EXPECT_EQ(world().Ready("bad").at(0).pid, replica.pid);
  Delete({"bad", "fresh"});
}

}  // namespace
}  // namespace bulwark::e2e
