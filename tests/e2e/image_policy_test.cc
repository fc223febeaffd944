// What the host and its services say about images: signatures by prefix, tags
// that are followed, and `pull: always` at each apply.
#include <csignal>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "engine/image/digest.h"
#include "engine/image/manifest.h"
#include "engine/image/signature/testing/signer.h"
#include "tests/e2e/signing.h"
#include "tests/e2e/suite.h"

namespace bulwark::e2e {
namespace {

using Json = nlohmann::json;
using engine::image::testing::PayloadOf;
using engine::image::testing::SignedPayload;
using engine::image::testing::Signer;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::SizeIs;

constexpr char kFollow[] = "imageUpdate: {interval: 1m}\n";

class ImagePolicyTest : public Suite {
 protected:
  static void SetUpTestSuite() {
    Open("e2epolicy");
    team_ = new Signer();
    stranger_ = new Signer();
    registry_ = new SigningRegistry(Address(), world().Path("."));
    WriteFile(world().Path("team.pub"), team_->PublicPem());
    Restart(world().Path("team.pub"));
  }
  static void TearDownTestSuite() {
    delete registry_;
    delete stranger_;
    delete team_;
    Close();
  }

  static std::string Address() {
    return busybox().substr(0, busybox().find('/'));
  }
  // The daemon, with a policy for what is below team/.
  static void Restart(const std::string& key) {
    world().StopDaemon();
    Start(key);
  }
  static void Start(const std::string& key) {
    world().StartDaemon(
        {"--require-signature", absl::StrCat(Address(), "/team=", key)});
  }
  static Json Fetch(const std::string& path) {
    const Result result =
        e2e::Run({"curl", "-s", "-f", "-L", "-H",
                  absl::StrCat("Accept: ", engine::image::kOciManifest),
                  absl::StrCat("http://", Address(), "/v2/", path)});
    return Json::parse(result.out, nullptr, false);
  }
  // Busybox that runs `command`; another image for each `version`.
  static std::string Push(const std::string& name, const std::string& version,
                          const std::string& command = "sleep 1000") {
    const std::string repository = name.substr(0, name.find(':'));
    const Result copied = e2e::Run(
        {"skopeo", "copy", "-q", "--src-tls-verify=false",
         "--dest-tls-verify=false", "docker://" + busybox(),
         absl::StrCat("docker://", Address(), "/", repository, ":base")});
    EXPECT_TRUE(copied.ok()) << copied.ToString();
    Json manifest = Fetch(repository + "/manifests/base");
    Json config =
        Fetch(absl::StrCat(repository, "/blobs/",
                           manifest["config"]["digest"].get<std::string>()));
    config["config"]["Cmd"] = {"sh", "-c", command};
    config["config"]["Labels"] = {{"version", version}};
    const std::string text = config.dump();
    manifest["config"]["digest"] = engine::image::DigestOf(text);
    manifest["config"]["size"] = text.size();
    EXPECT_EQ(registry_->PutBlob(repository, text), "");
    EXPECT_EQ(registry_->PutManifest(
                  repository, name.substr(name.find(':') + 1), manifest.dump()),
              "");
    return absl::StrCat(Address(), "/", name);
  }
  static std::string DigestOf(const std::string& repository,
                              const std::string& tag) {
    return registry_->DigestOf(repository, tag);
  }
  static void Sign(const Signer& by, const std::string& repository,
                   const std::string& tag) {
    const std::string digest = DigestOf(repository, tag);
    const std::string payload =
        PayloadOf(absl::StrCat(Address(), "/", repository), digest);
    EXPECT_EQ(registry_->PutSignatures(repository, digest,
                                       {{payload, by.Sign(payload)}}),
              "");
  }
  static std::string Service(const std::string& name, const std::string& image,
                             const std::string& more = "") {
    return absl::StrCat("kind: Service\nname: ", name, "\nimage: ", image,
                        "\nresources: {memory: 64Mi}\nstop: {timeout: 1s}\n"
                        "rollout: {minHealthyTime: 100ms}\n",
                        more);
  }
  static std::string Describe(const std::string& name) {
    return world().Ctl({"describe", "service", name}).out;
  }
  static bool AwaitDescribed(const std::string& name, const std::string& text,
                             absl::Duration limit = absl::Seconds(40)) {
    return Eventually(
        [&] { return Describe(name).find(text) != std::string::npos; }, limit);
  }

  static Signer* team_;
  static Signer* stranger_;
  static SigningRegistry* registry_;
};

Signer* ImagePolicyTest::team_ = nullptr;
Signer* ImagePolicyTest::stranger_ = nullptr;
SigningRegistry* ImagePolicyTest::registry_ = nullptr;

TEST_F(ImagePolicyTest, WhenOneIsSignedAndOneNot_OnlyTheSignedRuns) {
  const std::string good = Push("team/good:1", "good");
  const std::string bad = Push("team/bad:1", "bad");
  Sign(*team_, "team/good", "1");
  ASSERT_TRUE(world()
                  .Apply(Service("good", good) + "---\n" + Service("bad", bad))
                  .ok());
  EXPECT_TRUE(world().AwaitReady("good", 1)) << Describe("good");
  EXPECT_TRUE(AwaitDescribed("bad", "SignatureMissing")) << Describe("bad");
  EXPECT_THAT(Describe("bad"),
              AllOf(HasSubstr("has no signature"), HasSubstr("team.pub")));
  EXPECT_THAT(world().Replicas("bad"), SizeIs(0));
  EXPECT_THAT(CtlFails({"pull", "-q", bad}).err, HasSubstr("no signature"));
  // No way around: under a free name first, and then tagged.
  const std::string free = Push("free/bad:1", "bad");
  Ctl({"pull", "-q", free});
  Ctl({"tag", free, absl::StrCat(Address(), "/team/bad:2")});
  ASSERT_TRUE(world()
                  .Apply(Service("bad", absl::StrCat(Address(), "/team/bad:2"),
                                 "pull: never\n"))
                  .ok());
  EXPECT_TRUE(AwaitDescribed("bad", "team/bad:2 (sha256:")) << Describe("bad");
  EXPECT_THAT(world().Replicas("bad"), SizeIs(0));
  // By another key, and then by the right one.
  Sign(*stranger_, "team/bad", "1");
  ASSERT_TRUE(world().Apply(Service("bad", bad)).ok());
  EXPECT_TRUE(AwaitDescribed("bad", "SignatureInvalid")) << Describe("bad");
  Sign(*team_, "team/bad", "1");
  EXPECT_TRUE(world().AwaitReady("bad", 1)) << Describe("bad");
  Ctl({"delete", "service", "bad", "--wait"});

  // Without a registry, a new replica starts by what is kept.
  const int pid = world().Ready("good").at(0).pid;
  world().StopRegistry();
  kill(pid, SIGKILL);
  EXPECT_TRUE(Eventually([&] {
    const auto ready = world().Ready("good");
    return ready.size() == 1 && ready[0].pid != pid;
  })) << Describe("good");

  // The key is withdrawn: what runs goes on, and is not started again.
  WriteFile(world().Path("other.pub"), stranger_->PublicPem());
  const int second = world().Ready("good").at(0).pid;
  Restart(world().Path("other.pub"));
  EXPECT_EQ(world().Ready("good").at(0).pid, second);
  world().StartRegistry();
  kill(second, SIGKILL);
  EXPECT_TRUE(AwaitDescribed("good", "by none of the keys"))
      << Describe("good");
  EXPECT_THAT(world().Ready("good"), SizeIs(0));
  Restart(world().Path("team.pub"));
  EXPECT_TRUE(world().AwaitReady("good", 1)) << Describe("good");
  Ctl({"delete", "service", "good", "--wait"});
}

// The first look comes with the policy, and one look is shared by all who
// follow the name for the interval: so each case has a name of its own.
TEST_F(ImagePolicyTest, WhenATagMoves_TheNewImageIsRolledOut) {
  const std::string app = Push("free/app:1", "1");
  ASSERT_TRUE(world().Apply(Service("app", app)).ok());
  ASSERT_TRUE(world().AwaitReady("app", 1)) << Describe("app");
  const std::string first = DigestOf("free/app", "1");
  Push("free/app:1", "2");
  const std::string second = DigestOf("free/app", "1");
  ASSERT_NE(first, second);
  ASSERT_TRUE(world().Apply(Service("app", app, kFollow)).ok());
  EXPECT_TRUE(AwaitDescribed("app", "2 (last good: 2)")) << Describe("app");
  EXPECT_THAT(world().Ctl({"get", "revision", "app-2", "-o", "yaml"}).out,
              AllOf(HasSubstr(second), HasSubstr("image-update")));
  EXPECT_THAT(world().Ctl({"audit"}).out, HasSubstr("image-update"));
  Ctl({"delete", "service", "app", "--wait"});
}

TEST_F(ImagePolicyTest, WhenTheNewImageCrashes_ItIsTakenBackAndNotTriedAgain) {
  const std::string app = Push("free/crash:1", "1");
  ASSERT_TRUE(world().Apply(Service("crash", app)).ok());
  ASSERT_TRUE(world().AwaitReady("crash", 1)) << Describe("crash");
  Push("free/crash:1", "2", "exit 3");
  ASSERT_TRUE(world().Apply(Service("crash", app, kFollow)).ok());
  EXPECT_TRUE(AwaitDescribed("crash", "came back and is not tried again"))
      << Describe("crash");
  EXPECT_TRUE(world().AwaitReady("crash", 1)) << Describe("crash");
  EXPECT_THAT(Describe("crash"), HasSubstr("(last good: 1)"));
  Ctl({"delete", "service", "crash", "--wait"});
}

TEST_F(ImagePolicyTest, WhenTheDaemonIsKilledMeanwhile_ABadImageComesBack) {
  const std::string app = Push("free/killed:1", "1");
  ASSERT_TRUE(world().Apply(Service("killed", app)).ok());
  ASSERT_TRUE(world().AwaitReady("killed", 1)) << Describe("killed");
  Push("free/killed:1", "2", "exit 3");
  ASSERT_TRUE(world().Apply(Service("killed", app, kFollow)).ok());
  const auto updated = [] {
    return world().Ctl({"get", "revision", "killed-2", "-o", "yaml"});
  };
  // In the middle of the rollout, and when it has been given up.
  ASSERT_TRUE(Eventually([&] { return updated().ok(); })) << Describe("killed");
  world().KillDaemon();
  Start(world().Path("team.pub"));
  ASSERT_TRUE(Eventually(
      [&] { return updated().out.find("failure:") != std::string::npos; },
      absl::Seconds(60)))
      << updated().out << Describe("killed");
  world().KillDaemon();
  Start(world().Path("team.pub"));
  EXPECT_TRUE(AwaitDescribed("killed", "came back and is not tried again"))
      << Describe("killed");
  EXPECT_TRUE(world().AwaitReady("killed", 1)) << Describe("killed");
  EXPECT_THAT(Describe("killed"), HasSubstr("1 (last good: 1)"));
  EXPECT_FALSE(Exists("revision", "killed-3"));
  Ctl({"delete", "service", "killed", "--wait"});
}

TEST_F(ImagePolicyTest, WhenTheWindowIsClosed_TheNewImageWaits) {
  const std::string app = Push("free/closed:1", "1");
  ASSERT_TRUE(world().Apply(Service("closed", app)).ok());
  ASSERT_TRUE(world().AwaitReady("closed", 1)) << Describe("closed");
  Push("free/closed:1", "2");
  const absl::CivilHour hour =
      absl::ToCivilHour(absl::Now() + absl::Hours(12), absl::UTCTimeZone());
  ASSERT_TRUE(
      world()
          .Apply(Service("closed", app,
                         absl::StrCat("imageUpdate:\n  interval: 1m\n"
                                      "  window: {schedule: '0 ",
                                      hour.hour(), " * * *', duration: 1h}\n")))
          .ok());
  EXPECT_TRUE(AwaitDescribed("closed", "waits to be rolled out"))
      << Describe("closed");
  EXPECT_THAT(Describe("closed"), HasSubstr("(last good: 1)"));
  Ctl({"delete", "service", "closed", "--wait"});
}

TEST_F(ImagePolicyTest, WhenAppliedAgain_OnlyAlwaysAsksTheRegistry) {
  const std::string image = Push("free/again:1", "1");
  const std::string always = Service("always", image, "pull: always\n");
  const std::string missing = Service("missing", image);
  ASSERT_TRUE(world().Apply(always + "---\n" + missing).ok());
  ASSERT_TRUE(world().AwaitReady("always", 1)) << Describe("always");
  ASSERT_TRUE(world().AwaitReady("missing", 1)) << Describe("missing");
  Push("free/again:1", "2");
  // A restart of the daemon, or of the container, is no apply.
  Restart(world().Path("team.pub"));
  kill(world().Ready("always").at(0).pid, SIGKILL);
  ASSERT_TRUE(world().AwaitReady("always", 1));
  EXPECT_THAT(Describe("always"), HasSubstr("1 (last good: 1)"));
  ASSERT_TRUE(world().Apply(always + "---\n" + missing).ok());
  EXPECT_TRUE(AwaitDescribed("always", "2 (last good: 2)"))
      << Describe("always");
  EXPECT_THAT(Describe("missing"), HasSubstr("1 (last good: 1)"));
  // Back to the images of before, which stay although the tag has moved.
  Ctl({"rollout", "undo", "always"});
  EXPECT_TRUE(AwaitDescribed("always", "1 (last good: 1)"))
      << Describe("always");
  Ctl({"delete", "service", "always", "missing", "--wait"});
}

}  // namespace
}  // namespace bulwark::e2e
