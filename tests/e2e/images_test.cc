// ctl pull, load, images, tag, rmi: images and how they get here.

#include <filesystem>

#include "absl/strings/str_cat.h"
#include "tests/e2e/session.h"
#include "tests/e2e/suite.h"

namespace bulwark::e2e {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::MatchesRegex;
using ::testing::Not;
using ::testing::StartsWith;

class ImagesTest : public Suite {
 protected:
  static void SetUpTestSuite() {
    Open("e2eimg");
    nginx_ = world().PushNginx("1", "v1");
  }
  static void TearDownTestSuite() { Close(); }

  static std::string nginx_;
};

std::string ImagesTest::nginx_;

TEST_F(ImagesTest, WhenPulled_TellsProgressAndTheDigest) {
  const Result pulled = Ctl({"pull", busybox()});
  EXPECT_THAT(pulled.out, MatchesRegex(".*/busybox:1 sha256:[0-9a-f]{64}\n"));
  EXPECT_THAT(pulled.err,
              AllOf(StartsWith(busybox() + ": resolving\n"),
                    ::testing::ContainsRegex("\n[0-9a-f]{12}: downloading\n"),
                    ::testing::ContainsRegex("\n[0-9a-f]{12}: done\n")));
  EXPECT_THAT(Ctl({"images"}).out,
              AllOf(StartsWith("IMAGE"), HasSubstr(busybox())));
  EXPECT_EQ(Ctl({"pull", "-q", busybox()}).err, "");
}

TEST_F(ImagesTest, WhenPulledOnATerminal_DrawsBars) {
  Terminal pull(CtlCommand(world(), {"pull", nginx_}), 24, 100);
  EXPECT_EQ(pull.Wait(), 0);
  EXPECT_THAT(pull.screen(), AllOf(HasSubstr("resolving"), HasSubstr("\x1b["),
                                   HasSubstr(" MB"), HasSubstr("sha256:")));
}

TEST_F(ImagesTest, WhenItCannotBePulled_SaysWhy) {
  EXPECT_THAT(CtlFails({"pull", busybox() + "none"}).err,
              HasSubstr(": fetch manifest: "));
  EXPECT_THAT(CtlFails({"pull", "not an image"}).err,
              HasSubstr("not an image"));
}

TEST_F(ImagesTest, WhenAnArchiveIsLoaded_ServicesCanUseIt) {
  const std::string archive = world().Path("busybox.tar");
  const Result saved =
      e2e::Run({"skopeo", "copy", "--quiet", "--src-tls-verify=false",
                "docker://" + busybox(),
                "docker-archive:" + archive + ":team/box:saved"});
  ASSERT_TRUE(saved.ok()) << saved.ToString();
  EXPECT_THAT(Ctl({"load", "-i", archive}).out,
              MatchesRegex("docker.io/team/box:saved sha256:[0-9a-f]{64}\n"));
  EXPECT_EQ(
      Ctl({"run", "--pull", "never", "team/box:saved", "echo", "loaded"}).out,
      "loaded\n");
  // A second time changes nothing.
  Ctl({"load", "-q", "-i", archive});
  Ctl({"tag", "team/box:saved", "box:local"});
  EXPECT_EQ(Ctl({"run", "--pull", "never", "box:local", "echo", "tagged"}).out,
            "tagged\n");
  EXPECT_EQ(Ctl({"rmi", "box:local"}).out, "image box:local removed\n");
  EXPECT_THAT(CtlFails({"rmi", "box:local"}).err, HasSubstr("is not present"));
  EXPECT_THAT(Ctl({"images", "-q"}).out,
              AllOf(HasSubstr("docker.io/team/box:saved\n"),
                    Not(HasSubstr("box:local"))));
}

TEST_F(ImagesTest, WhenItIsNoArchive_SaysSo) {
  WriteFile(world().Path("text"), std::string(5000, 'x'));
  EXPECT_THAT(CtlFails({"load", "-i", world().Path("text")}).err,
              HasSubstr("it is no tar archive; make one with `docker save`"));
  CtlFails({"load", "-i", world().Path("none")});
}

TEST_F(ImagesTest, WhenItsImageIsRemoved_AServiceRunsOn) {
  ASSERT_TRUE(world().Apply(Manifest("user", "exec sleep 100000")).ok());
  ASSERT_TRUE(world().AwaitReady("user", 1));
  Ctl({"rmi", busybox()});
  const ReplicaInfo before = world().Ready("user").at(0);
  Ctl({"exec", "user", "ls", "/bin/cat"});
  world().KillDaemon();
  world().StartDaemon();
  EXPECT_TRUE(Eventually([&] {
    const std::vector<ReplicaInfo> ready = world().Ready("user");
    return ready.size() == 1 && ready[0].uid == before.uid;
  }));
  Ctl({"exec", "user", "ls", "/bin/cat"});
  Ctl({"delete", "service", "user", "--wait"});
}

}  // namespace
}  // namespace bulwark::e2e
