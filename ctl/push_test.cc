// What speaks to registries: push, tags, referrers; and whose name it uses.
#include <sys/stat.h>

#include <cstdlib>

#include "absl/strings/escaping.h"
#include "ctl/credential_helper.h"
#include "ctl/registry_auth.h"
#include "ctl/testing/fixture.h"

namespace bulwark::ctl::testing {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;

class PushTest : public CtlTest {
 protected:
  PushTest() {
    v1::ImageProgress last;
    v1::ImageInfo& image = *last.add_images();
    image.add_references("r:5000/app:1");
    image.set_digest("sha256:abc");
    server_.set_progress({last});
  }
  // A configuration of Docker with this text.
  void Configure(const std::string& text) {
    const std::string path = File("config.json", text);
    environment_["DOCKER_CONFIG"] = path.substr(0, path.rfind('/'));
  }
  std::string Auth(const std::string& pair) {
    return absl::StrCat(R"({"auth":")", absl::Base64Escape(pair), R"("})");
  }
};

TEST_F(PushTest, WhenPushed_PrintsWhatIsThere) {
  EXPECT_EQ(Ctl({"push", "app:1", "r:5000/app:1", "--format", "oci"}), kExitOk)
      << err_;
  EXPECT_EQ(out_, "r:5000/app:1 sha256:abc\n");
  EXPECT_THAT(server_.calls(), Contains("Push app:1 r:5000/app:1 oci"));
  EXPECT_EQ(Ctl({"push", "-a", "-o", "json", "app"}), kExitOk);
  EXPECT_THAT(out_, HasSubstr("\"sha256:abc\""));
  EXPECT_THAT(server_.calls(), Contains("Push app   all"));
  EXPECT_EQ(Ctl({"push", "--all-platforms", "app:1", "r:5000/app:1"}), kExitOk);
  EXPECT_THAT(server_.calls(), Contains("Push app:1 r:5000/app:1  platforms"));
  EXPECT_EQ(Ctl({"push", "--all-platforms", "--format", "oci", "app"}),
            kExitUsage);
  EXPECT_EQ(Ctl({"pull", "--all-platforms", "app:1"}), kExitOk);
  EXPECT_THAT(server_.calls(), Contains("Pull app:1 platforms"));
  EXPECT_EQ(Ctl({"push", "--format", "zip", "app"}), kExitUsage);
  server_.FailNext("Push", grpc::Status(grpc::StatusCode::PERMISSION_DENIED,
                                        "push app: forbidden"));
  EXPECT_EQ(Ctl({"push", "app"}), kExitError);
  EXPECT_THAT(err_, HasSubstr("forbidden"));
}

TEST_F(PushTest, WhenWhatIsHereIsForOthers_RunSaysSoOrAsksTheRegistry) {
  v1::ImageInfo image;
  image.add_references("docker.io/library/far:latest");
  image.set_is_index(true);
  image.set_platform("linux/arm64,linux/s390x");
  server_.set_images({image});
  EXPECT_EQ(Ctl({"run", "--pull", "never", "far"}), kExitNoStatus);
  EXPECT_THAT(err_, HasSubstr("available: linux/arm64,linux/s390x"));
  server_.FailNext("Pull", grpc::Status(grpc::StatusCode::NOT_FOUND,
                                        "there is none for this host"));
  EXPECT_EQ(Ctl({"run", "far"}), kExitNoStatus);
  EXPECT_THAT(err_, HasSubstr("there is none for this host"));
  EXPECT_THAT(server_.calls(), Contains("Pull far"));
}

TEST_F(PushTest, WhenTagsAreListed_SaysHowToGoOn) {
  EXPECT_EQ(Ctl({"tags", "r:5000/app"}), kExitOk) << err_;
  EXPECT_EQ(out_, "1.0\n1.1\n");
  EXPECT_EQ(err_, "");
  EXPECT_EQ(Ctl({"tags", "r:5000/app", "--limit", "2", "--last", "0.9"}),
            kExitOk);
  EXPECT_EQ(err_, "more: --last 1.1\n");
  EXPECT_THAT(server_.calls(), Contains("ListTags r:5000/app 2 0.9"));
  EXPECT_EQ(Ctl({"tags", "r:5000/app", "--limit", "-1"}), kExitUsage);
}

TEST_F(PushTest, WhenReferrersAreListed_PrintsATable) {
  EXPECT_EQ(Ctl({"referrers", "r:5000/app:1", "--type", "a/signature"}),
            kExitOk)
      << err_;
  EXPECT_THAT(out_, HasSubstr("sha256:r"));
  EXPECT_THAT(out_, HasSubstr("a/signature"));
  EXPECT_THAT(server_.calls(), Contains("ListReferrers r:5000/app:1 "
                                        "a/signature"));
}

TEST_F(PushTest, WhenDockersConfigurationHasThem_CredentialsAreSent) {
  Configure(absl::StrCat(R"({"auths":{"r:5000":)", Auth("me:se:cret"),
                         R"(,"https://index.docker.io/v1/":)", Auth("hub:word"),
                         R"(,"https://t.example/v2/":{"identitytoken":"tok"},
                         "empty.example":{}}})"));
  ASSERT_EQ(Ctl({"pull", "-q", "r:5000/app:1"}), kExitOk) << err_;
  ASSERT_EQ(Ctl({"pull", "-q", "busybox"}), kExitOk);
  ASSERT_EQ(Ctl({"pull", "-q", "other.example/app"}), kExitOk);
  ASSERT_EQ(Ctl({"pull", "-q", "empty.example/app"}), kExitOk);
  ASSERT_EQ(Ctl({"push", "-q", "app", "t.example/app"}), kExitOk);
  ASSERT_EQ(Ctl({"tags", "r:5000/app"}), kExitOk);
  EXPECT_THAT(server_.calls(), Contains("Pull r:5000/app:1 by me:se:cret"));
  EXPECT_THAT(server_.calls(), Contains("Pull busybox by hub:word"));
  EXPECT_THAT(server_.calls(), Contains("Pull other.example/app"));
  EXPECT_THAT(server_.calls(), Contains("Pull empty.example/app"));
  EXPECT_THAT(server_.calls(),
              Contains("Push app t.example/app  by <token>:tok"));
  EXPECT_THAT(server_.calls(),
              Contains("ListTags r:5000/app 0  by me:se:cret"));
  // What is given on the command line wins.
  io_.SetInput("other\n");
  ASSERT_EQ(Ctl({"pull", "-q", "-u", "you", "--password-stdin", "r:5000/b"}),
            kExitOk);
  EXPECT_THAT(server_.calls(), Contains("Pull r:5000/b by you:other"));
}

TEST_F(PushTest, WhenTheConfigurationIsBroken_ItIsWarnedOf) {
  Configure("{");
  EXPECT_EQ(Ctl({"pull", "-q", "r:5000/app:1"}), kExitOk);
  EXPECT_THAT(err_, HasSubstr("config.json cannot be used: it is no JSON"));
  Configure(R"({"auths":{"r:5000":{"auth":"!"}}})");
  EXPECT_EQ(Ctl({"pull", "-q", "r:5000/app:1"}), kExitOk);
  EXPECT_THAT(err_, HasSubstr("is not USER:PASSWORD"));
  Configure(R"({"credsStore":"../evil"})");
  EXPECT_EQ(Ctl({"pull", "-q", "r:5000/app:1"}), kExitOk);
  EXPECT_THAT(err_, HasSubstr("no name of a program"));
  EXPECT_THAT(server_.calls(), Contains("Pull r:5000/app:1"));
}

class HelperTest : public PushTest {
 protected:
  // A program docker-credential-test on the PATH.
  void Program(const std::string& script) {
    const std::string path = File("docker-credential-test", script);
    ASSERT_EQ(chmod(path.c_str(), 0755), 0);
    old_path_ = getenv("PATH");
    setenv(
        "PATH",
        absl::StrCat(path.substr(0, path.rfind('/')), ":", old_path_).c_str(),
        1);
  }
  ~HelperTest() override {
    if (!old_path_.empty()) setenv("PATH", old_path_.c_str(), 1);
  }
  std::string old_path_;
};

TEST_F(HelperTest, WhenAProgramKeepsThem_ItIsAsked) {
  Program(
      "#!/bin/sh\nread -r server\n"
      "case $server in\n"
      "r:5000|https://index.docker.io/v1/)\n"
      "  echo \"{\\\"Username\\\":\\\"$1\\\",\\\"Secret\\\":\\\"of "
      "$server\\\"}\""
      ";;\n"
      "*) echo credentials not found in native keychain; exit 1;;\nesac\n");
  Configure(absl::StrCat(R"({"credsStore":"test","auths":{"s.example":)",
                         Auth("me:word"), "}}"));
  ASSERT_EQ(Ctl({"pull", "-q", "r:5000/app"}), kExitOk) << err_;
  ASSERT_EQ(Ctl({"pull", "-q", "busybox"}), kExitOk);
  ASSERT_EQ(Ctl({"pull", "-q", "s.example/app"}), kExitOk);
  EXPECT_THAT(server_.calls(), Contains("Pull r:5000/app by get:of r:5000"));
  EXPECT_THAT(server_.calls(),
              Contains("Pull busybox by get:of https://index.docker.io/v1/"));
  EXPECT_THAT(server_.calls(), Contains("Pull s.example/app by me:word"));
}

TEST_F(HelperTest, WhenAProgramFails_ItsWordsAreWarnedOf) {
  Program("#!/bin/sh\necho keychain is locked; exit 1\n");
  Configure(R"({"credHelpers":{"r:5000":"test"}})");
  EXPECT_EQ(Ctl({"pull", "-q", "r:5000/app"}), kExitOk);
  EXPECT_THAT(err_, HasSubstr("docker-credential-test: keychain is locked"));
  EXPECT_EQ(Ctl({"pull", "-q", "other:5000/app"}), kExitOk);
  EXPECT_EQ(err_, "");
  Configure(R"({"credsStore":"absent"})");
  EXPECT_EQ(Ctl({"pull", "-q", "r:5000/app"}), kExitOk);
  EXPECT_THAT(err_, HasSubstr("docker-credential-absent: No such file"));
}

TEST_F(HelperTest, WhenAProgramHangsOrFloods_ItIsEnded) {
  Program("#!/bin/sh\nexec sleep 600\n");
  RealClock clock;
  EXPECT_EQ(AskCredentialHelper("test", "r", absl::Milliseconds(200), clock)
                .status()
                .code(),
            absl::StatusCode::kDeadlineExceeded);
  File("docker-credential-test", "#!/bin/sh\nexec >&-\nexec sleep 600\n");
  EXPECT_THAT(AskCredentialHelper("test", "r", absl::Milliseconds(200), clock)
                  .status()
                  .message(),
              HasSubstr("does not end"));
  File("docker-credential-test", "#!/bin/sh\nexec yes\n");
  EXPECT_THAT(AskCredentialHelper("test", "r", absl::Seconds(20), clock)
                  .status()
                  .message(),
              HasSubstr("prints too much"));
}

}  // namespace
}  // namespace bulwark::ctl::testing
