// Registries that are down, refuse, lie, stall or never end: the service says
// so, others do not wait, and it recovers by itself.
#include <map>
#include <memory>

#include "absl/strings/str_cat.h"
#include "tests/e2e/bad_suite.h"
#include "tests/e2e/closed_registry.h"

namespace bulwark::e2e {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

// What the registry's name says is wrong with it (see faulty_registry.py), and
// what the condition ImageResolved says of it: reason, and parts.
const std::map<std::string, std::vector<std::string>> kFaults = {
    {"lies", {"ImageCorrupt", "content does not match", "push it again"}},
    {"cuts", {"RegistryUnavailable", "closed", "it is tried again by itself"}},
    {"endless", {"ImageCorrupt", "sends more than", "push it again"}},
    {"endlessmanifest", {"ImageCorrupt", "larger than", "push it again"}},
    {"fails", {"RegistryUnavailable", "answers with 500", "tried again"}},
    {"busy", {"RegistryUnavailable", "answers with 429", "tried again"}},
    {"foreign",
     {"NoMatchingPlatform", "no image for platform linux/amd64",
      "available: linux/s390x", "this host's platform"}},
    {"alien", {"NoMatchingPlatform", "available: linux/s390x"}},
    {"nonsense",
     {"ImageCorrupt", "not valid JSON", "a log-in page or a proxy"}},
    {"unknown",
     {"ImageNotFound", "has no such image", "check the name and the tag"}},
    {"missing", {"ImageNotFound", "has no such image", "load or build it"}},
};

class BadImageTest : public BadSuite {
 protected:
  static void SetUpTestSuite() {
    OpenWithAnchor("e2ebadim");
    registry_ = std::make_unique<Background>(
        std::vector<std::string>{
            "python3", World::Runfile("tests/e2e/images/faulty_registry.py"),
            "--port", absl::StrCat(kRegistryPort)},
        world().Path("faulty.log"));
    ASSERT_TRUE(Eventually([] {
      return e2e::Run({"curl", "-sf", Url("/v2/")}).ok();
    })) << ReadFile(world().Path("faulty.log"));
  }
  static void TearDownTestSuite() {
    registry_.reset();
    CloseAll();
  }

  static std::string Url(const std::string& path) {
    return absl::StrCat("http://127.0.0.1:", kRegistryPort, path);
  }
  static std::string Image(const std::string& name, const std::string& tag) {
    return absl::StrCat("127.0.0.1:", kRegistryPort, "/", name, ":", tag);
  }
  static void Mend(const std::string& name) {
    EXPECT_TRUE(
        e2e::Run({"curl", "-sf", "-X", "POST", Url("/mend/" + name)}).ok());
  }
  static std::string Service(const std::string& name,
                             const std::string& image) {
    return absl::StrCat("kind: Service\nname: ", name, "\nimage: ", image,
                        "\ncommand: [sleep, '1000']\n"
                        "resources: {memory: 64Mi}\nstop: {timeout: 1s}\n"
                        "rollout: {minHealthyTime: 100ms}\n---\n");
  }

  static Result PullAs(const std::string& password) {
    return world().Ctl({"pull", "-q", "-u", "user", "--password-stdin",
                        "127.0.0.1:5098/busybox:1"},
                       absl::Seconds(60), password);
  }

  static constexpr int kRegistryPort = 5099;
  static std::unique_ptr<Background> registry_;
};

std::unique_ptr<Background> BadImageTest::registry_;

TEST_F(BadImageTest, WhenTheRegistryIsFaulty_SaysHowAndRecoversByItself) {
  std::string manifest;
  std::vector<std::string> names;
  for (const auto& [name, parts] : kFaults) {
    names.push_back(name);
    manifest += Service(name, Image(name, name == "missing" ? "missing" : "1"));
  }
  const ClosedRegistry closed(world(), 5098);
  names.push_back("closed");
  manifest += Service("closed", closed.Here(busybox()));
  ASSERT_TRUE(world().Apply(manifest).ok());
  EXPECT_EQ(AwaitCondition(world(), "closed", "ImageResolved", "FALSE",
                           {"RegistryDenied", "wants a user and password",
                            "ctl login 127.0.0.1:5098 -u USER"}),
            "");
  EXPECT_THAT(PullAs("wrong").err, HasSubstr("refuses these credentials"));
  for (const auto& [name, parts] : kFaults) {
    EXPECT_EQ(AwaitCondition(world(), name, "ImageResolved", "FALSE", parts),
              "");
    EXPECT_THAT(Describe(world(), name), HasSubstr(parts[0]));
  }
  for (const std::string& name : names) Mend(name);
  const Result pulled = PullAs(absl::StrCat(ClosedRegistry::kPassword, "\n"));
  EXPECT_TRUE(pulled.ok()) << pulled.ToString();
  for (const std::string& name : names) {
    EXPECT_TRUE(world().AwaitReady(name, 1, absl::Seconds(60)))
        << Describe(world(), name);
    EXPECT_EQ(AwaitCondition(world(), name, "ImageResolved", "TRUE", {}), "");
  }
  Delete(names);
}

// Debian's registry with a token service beside it.
TEST_F(BadImageTest,
       WhenTokensAreWanted_PullsWithThemAndSaysWhenTheyAreRefused) {
  const std::string certificate = world().Path("token.pem");
  Background service(
      {"python3", World::Runfile("tests/e2e/images/token_server.py"), "--port",
       "5096", "--certificate", certificate},
      world().Path("token.log"));
  ASSERT_TRUE(Eventually([] {
    return e2e::Run({"curl", "-sf", "http://127.0.0.1:5096/count"}).ok();
  })) << ReadFile(world().Path("token.log"));
  const std::string config = world().Path("tokens.yml");
  WriteFile(config,
            absl::StrCat("version: 0.1\nlog: {level: error}\nstorage:\n"
                         "  filesystem: {rootdirectory: ",
                         world().Path("tokens"),
                         "}\nhttp: {addr: \"127.0.0.1:5097\"}\n"
                         "auth: {token: {realm: 'http://127.0.0.1:5096/token',"
                         " service: test, issuer: token-server, "
                         "rootcertbundle: ",
                         certificate, "}}\n"));
  Background registry({"docker-registry", "serve", config},
                      world().Path("tokens.log"));
  ASSERT_TRUE(Eventually([] {
    return e2e::Run({"curl", "-s", "http://127.0.0.1:5097/v2/"}).ok();
  }));
  for (const char* name : {"open/box:1", "closed/box:1"}) {
    const Result pushed =
        e2e::Run({"skopeo", "copy", "--quiet", "--src-tls-verify=false",
                  "--dest-tls-verify=false", "--dest-creds", "user:secret",
                  "docker://" + busybox(),
                  absl::StrCat("docker://127.0.0.1:5097/", name)});
    ASSERT_TRUE(pushed.ok()) << pushed.ToString();
  }
  Ctl({"pull", "-q", "127.0.0.1:5097/open/box:1"});
  const std::vector<std::string> closed = {"pull",
                                           "-q",
                                           "-u",
                                           "user",
                                           "--password-stdin",
                                           "127.0.0.1:5097/closed/box:1"};
  EXPECT_THAT(CtlFails({"pull", "-q", "127.0.0.1:5097/closed/box:1"}).err,
              HasSubstr("refuses anonymous access"));
  EXPECT_THAT(world().Ctl(closed, absl::Seconds(60), "wrong").err,
              HasSubstr("refuses these credentials"));
  const Result pulled = world().Ctl(closed, absl::Seconds(60), "secret");
  EXPECT_TRUE(pulled.ok()) << pulled.ToString();
}

TEST_F(BadImageTest, WhenADigestIsNotThatOfTheContent_TellsBoth) {
  const std::string digest = "sha256:" + std::string(64, 'a');
  const Result pulled =
      CtlFails({"pull", "-q",
                absl::StrCat("127.0.0.1:", kRegistryPort, "/swaps@", digest)});
  EXPECT_THAT(pulled.err,
              AllOf(HasSubstr("sent other content: expected " + digest),
                    HasSubstr("got sha256:"), HasSubstr("do not trust it")));
}

// As many as there are would once have stopped every other pull for minutes.
TEST_F(BadImageTest, WhenARegistryIsSilent_OthersAndCorrectionsDoNotWait) {
  ASSERT_TRUE(world()
                  .Apply(Service("silent1", Image("silent", "1")) +
                         Service("silent2", Image("silent", "2")) +
                         Service("silent3", Image("silent", "3")) +
                         Service("other", Image("good", "1")))
                  .ok());
  EXPECT_TRUE(world().AwaitReady("other", 1, absl::Seconds(15)))
      << Describe(world(), "other");
  // The pull that is not wanted any more ends.
  ASSERT_TRUE(world().Apply(Service("silent1", Image("good", "2"))).ok());
  EXPECT_TRUE(world().AwaitReady("silent1", 1, absl::Seconds(15)))
      << Describe(world(), "silent1");
  // Nor does the end of the daemon wait.
  const absl::Time stop = WallNow();
  world().StopDaemon();
  EXPECT_LT(WallNow() - stop, absl::Seconds(8));
  world().StartDaemon();
  Delete({"silent1", "silent2", "silent3", "other"});
}

TEST_F(BadImageTest, WhenTheRegistryIsDown_TheServiceComesUpWithIt) {
  const std::string image = world().PushBusybox("late");
  world().StopRegistry();
  ASSERT_TRUE(world().Apply(Service("late", image)).ok());
  EXPECT_EQ(AwaitCondition(world(), "late", "ImageResolved", "FALSE",
                           {"RegistryUnavailable", "Connection refused",
                            "running, and can this host reach it?",
                            "it is tried again by itself"}),
            "");
  EXPECT_THAT(Describe(world(), "late"), HasSubstr("RegistryUnavailable"));
  world().StartRegistry();
  EXPECT_TRUE(world().AwaitReady("late", 1, absl::Seconds(60)))
      << Describe(world(), "late");
  Delete({"late"});
}

// An update to what cannot be had leaves what runs as it is.
TEST_F(BadImageTest, WhenAnUpdateCannotBePulled_TheOldOneGoesOn) {
  ASSERT_TRUE(world().Apply(Service("up", busybox())).ok());
  ASSERT_TRUE(world().AwaitReady("up", 1));
  const int pid = world().Ready("up")[0].pid;
  ASSERT_TRUE(world().Apply(Service("up", busybox() + "-gone")).ok());
  EXPECT_EQ(AwaitCondition(world(), "up", "ImageResolved", "FALSE",
                           {"ImageNotFound", "1-gone"}),
            "");
  ASSERT_EQ(world().Ready("up").size(), 1u);
  ASSERT_TRUE(world().Apply(Service("up", busybox())).ok());
  EXPECT_EQ(AwaitCondition(world(), "up", "ImageResolved", "TRUE", {}), "");
  EXPECT_EQ(world().Ready("up").at(0).pid, pid);
  Delete({"up"});
}

}  // namespace
}  // namespace bulwark::e2e
