// The signature policy against Debian's docker-registry: pulls, what is here
// already, and starts without a registry.
#include <memory>

#include "absl/strings/str_cat.h"
#include "base/clock.h"
#include "base/testing/status_matchers.h"
#include "base/testing/temp_dir.h"
#include "engine/image/digest.h"
#include "engine/image/json.h"
#include "engine/image/local_images.h"
#include "engine/image/manifest.h"
#include "engine/image/signature/testing/signer.h"
#include "engine/image/testing/tar_builder.h"
#include "engine/image_refusal.h"
#include "os/files.h"
#include "tests/e2e/process.h"
#include "tests/e2e/signing.h"

namespace bulwark::engine {
namespace {

using ::bulwark::testing::StatusIs;
using ::bulwark::testing::TempDir;
using image::DigestOf;
using image::Json;
using image::testing::PayloadOf;
using image::testing::SignedPayload;
using image::testing::Signer;
using image::testing::TarBuilder;
using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr int kPort = 5093;
constexpr char kTeamApp[] = "team/app";

class SignatureTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!e2e::Run({"docker-registry", "--version"}).ok()) {
      GTEST_SKIP() << "no docker-registry";
    }
    e2e::WriteFile(
        dir_ / "registry.yml",
        absl::StrCat("version: 0.1\nlog: {level: error}\nstorage: "
                     "{filesystem: {rootdirectory: ",
                     dir_ / "registry", "}}\nhttp: {addr: ", address_, "}\n"));
    StartRegistry();
    e2e::WriteFile(dir_ / "team.pub", team_.PublicPem());
    e2e::WriteFile(dir_ / "next.pub", next_.PublicPem());
    Open({Below("team", "team.pub")});
  }
  void TearDown() override { StopRegistry(); }

  void StartRegistry() {
    program_ = std::make_unique<e2e::Background>(
        std::vector<std::string>{"docker-registry", "serve",
                                 dir_ / "registry.yml"},
        dir_ / "registry.log");
    ASSERT_TRUE(e2e::Eventually([this] {
      return e2e::Run(
                 {"curl", "-sf", absl::StrCat("http://", address_, "/v2/")})
          .ok();
    }));
  }
  void StopRegistry() { program_.reset(); }

  std::string Below(const std::string& prefix, const std::string& key) {
    return absl::StrCat(address_, "/", prefix, "=",
                        key == "none" ? key : dir_ / key);
  }
  // As a daemon that starts with this policy.
  void Open(const std::vector<std::string>& policy) {
    images_.reset();
    LocalImagesConfig config;
    config.state_dir = dir_ / "state";
    config.clock = &clock_;
    config.entropy = &entropy_;
    config.required_signatures = policy;
    auto opened = LocalImages::Open(config);
    ASSERT_OK(opened);
    images_ = *std::move(opened);
  }

  // An image of one layer; its digest.
  std::string Push(const std::string& repository, const std::string& tag,
                   const std::string& content) {
    const std::string layer = TarBuilder().File("content", content).Build();
    const std::string config = image::Dump(Json{
        {"os", "linux"},
        {"architecture", "amd64"},
        {"rootfs", {{"type", "layers"}, {"diff_ids", {DigestOf(layer)}}}}});
    image::Manifest manifest;
    manifest.config = {image::kOciConfig, DigestOf(config),
                       static_cast<int64_t>(config.size())};
    manifest.layers = {{image::kOciLayer, DigestOf(layer),
                        static_cast<int64_t>(layer.size())}};
    const std::string text = image::FormatManifest(manifest);
    EXPECT_EQ(registry_.PutBlob(repository, layer), "");
    EXPECT_EQ(registry_.PutBlob(repository, config), "");
    EXPECT_EQ(registry_.PutManifest(repository, tag, text), "");
    return DigestOf(text);
  }
  SignedPayload Signed(const Signer& by, const std::string& repository,
                       const std::string& digest) {
    const std::string payload =
        PayloadOf(absl::StrCat(address_, "/", repository), digest);
    return {payload, by.Sign(payload)};
  }
  void Sign(const std::string& repository, const std::string& digest,
            const std::vector<SignedPayload>& signatures) {
    EXPECT_EQ(registry_.PutSignatures(repository, digest, signatures), "");
  }

  std::string Name(const std::string& image) const {
    return absl::StrCat(address_, "/", image);
  }
  absl::StatusOr<Image> Pull(const std::string& image, bool always = false) {
    PullRequest request;
    request.reference = Name(image);
    request.platform = "linux/amd64";
    request.always = always;
    return images_->Pull(request, nullptr);
  }
  absl::Status CheckOffline(const std::string& image,
                            const std::string& digest) {
    return images_->CheckTrust({Name(image), digest});
  }
  static std::string ReasonOf(const absl::Status& status) {
    return RefusalOf(status);
  }

  const std::string address_ = absl::StrCat("127.0.0.1:", kPort);
  TempDir dir_;
  RealClock clock_;
  RealEntropy entropy_;
  Signer team_, next_, stranger_;
  e2e::SigningRegistry registry_{address_, dir_.path()};
  std::unique_ptr<e2e::Background> program_;
  std::unique_ptr<LocalImages> images_;
};

TEST_F(SignatureTest, WhenSigned_IsPulledAndStartsWithoutTheRegistry) {
  const std::string digest = Push(kTeamApp, "1", "good");
  Sign(kTeamApp, digest, {Signed(team_, kTeamApp, digest)});
  ASSERT_OK_AND_ASSIGN(const Image image, Pull("team/app:1"));
  EXPECT_EQ(image.digest, digest);
  StopRegistry();
  EXPECT_OK(CheckOffline("team/app:1", digest));
  EXPECT_OK(Pull("team/app:1").status());
  // A next daemon knows no more than the files.
  Open({Below("team", "team.pub")});
  EXPECT_OK(CheckOffline("team/app:1", digest));
  // The same content under a name that it was not signed for.
  ASSERT_OK(images_->Tag(Name("team/app:1"), Name("team/other:1")));
  EXPECT_EQ(ReasonOf(CheckOffline("team/other:1", digest)), kSignatureInvalid);
}

TEST_F(SignatureTest, WhenUnsigned_NothingIsFetchedAndOthersAreNotAsked) {
  const std::string digest = Push(kTeamApp, "1", "unsigned");
  const absl::Status refused = Pull("team/app:1").status();
  EXPECT_THAT(refused, StatusIs(absl::StatusCode::kFailedPrecondition,
                                AllOf(HasSubstr("has no signature"),
                                      HasSubstr("team.pub"))));
  EXPECT_EQ(ReasonOf(refused), kSignatureMissing);
  EXPECT_THAT(images_->Get(digest), StatusIs(absl::StatusCode::kNotFound));
  Push("teams/app", "1", "free");
  EXPECT_OK(Pull("teams/app:1").status());
}

TEST_F(SignatureTest, WhenSignaturesAreWrong_EachIsRefusedWithItsCause) {
  const std::string digest = Push(kTeamApp, "1", "good");
  const std::string other = Push(kTeamApp, "2", "other");
  SignedPayload altered = Signed(team_, kTeamApp, other);
  altered.payload = Signed(team_, kTeamApp, digest).payload;
  SignedPayload truncated = Signed(team_, kTeamApp, digest);
  truncated.signature.resize(truncated.signature.size() / 2);
  const std::vector<std::pair<std::vector<SignedPayload>, std::string>> cases =
      {{{Signed(stranger_, kTeamApp, digest)}, "by none of the keys"},
       {{altered}, "or was altered"},
       {{truncated}, "by none of the keys"},
       {{Signed(team_, kTeamApp, other)}, "that of another image, " + other},
       {{Signed(team_, "team/web", digest)}, "/team/web, not as"},
       {{{"nonsense", team_.Sign("nonsense")}}, "not valid JSON"},
       {std::vector<SignedPayload>(1000, Signed(stranger_, kTeamApp, digest)),
        "has 1000 signatures, and none holds"}};
  for (const auto& [signatures, why] : cases) {
    Sign(kTeamApp, digest, signatures);
    const absl::Status refused = Pull("team/app:1").status();
    EXPECT_THAT(refused, StatusIs(absl::StatusCode::kFailedPrecondition,
                                  HasSubstr(why)));
    EXPECT_EQ(ReasonOf(refused), kSignatureInvalid) << why;
  }
  Sign(kTeamApp, digest, {});
  EXPECT_EQ(ReasonOf(Pull("team/app:1").status()), kSignatureMissing);
  // The oldest of a thousand.
  std::vector<SignedPayload> many(1000, Signed(stranger_, kTeamApp, digest));
  many.front() = Signed(team_, kTeamApp, digest);
  Sign(kTeamApp, digest, many);
  EXPECT_OK(Pull("team/app:1").status());
}

TEST_F(SignatureTest, WhenTheTagOfSignaturesIsAnotherThing_SaysSo) {
  const std::string digest = Push(kTeamApp, "1", "good");
  Push(kTeamApp, absl::StrCat("sha256-", image::HexOf(digest), ".sig"),
       "image");
  EXPECT_EQ(ReasonOf(Pull("team/app:1").status()), kSignatureMissing);
}

TEST_F(SignatureTest, WhenSignedByReferrers_IsPulledAndStartsWithoutRegistry) {
  const std::string digest = Push(kTeamApp, "1", "good");
  const SignedPayload good = Signed(team_, kTeamApp, digest);
  const SignedPayload bad = Signed(stranger_, kTeamApp, digest);
  // The tag has one of a stranger, and so has the list; then ours is added.
  Sign(kTeamApp, digest, {bad});
  EXPECT_EQ(registry_.PutReferrers(kTeamApp, digest, {{bad}}), "");
  const absl::Status refused = Pull("team/app:1").status();
  EXPECT_EQ(ReasonOf(refused), kSignatureInvalid);
  EXPECT_THAT(refused.message(), HasSubstr("has 2 signatures"));
  EXPECT_EQ(registry_.PutReferrers(kTeamApp, digest, {{bad}, {good}, {bad}}),
            "");
  ASSERT_OK_AND_ASSIGN(const Image image, Pull("team/app:1"));
  EXPECT_EQ(image.digest, digest);
  StopRegistry();
  Open({Below("team", "team.pub")});
  EXPECT_OK(CheckOffline("team/app:1", digest));
}

TEST_F(SignatureTest, WhenHereBeforeThePolicy_IsCheckedAllTheSame) {
  Open({});
  const std::string digest = Push(kTeamApp, "1", "early");
  ASSERT_OK(Pull("team/app:1").status());
  EXPECT_OK(CheckOffline("team/app:1", digest));
  Open({Below("team", "team.pub")});
  EXPECT_EQ(ReasonOf(CheckOffline("team/app:1", digest)), kSignatureMissing);
  EXPECT_EQ(ReasonOf(Pull("team/app:1").status()), kSignatureMissing);
  // Signed later, in the registry: found without another pull.
  Sign(kTeamApp, digest, {Signed(team_, kTeamApp, digest)});
  EXPECT_OK(images_->CheckTrust({Name("team/app:1"), digest, true}));
  EXPECT_OK(CheckOffline("team/app:1", digest));
}

TEST_F(SignatureTest, WhenTaggedOrPinnedHere_GetsNoWayAround) {
  Push("free/app", "1", "unsigned");
  ASSERT_OK_AND_ASSIGN(const Image image, Pull("free/app:1"));
  ASSERT_OK(images_->Tag(Name("free/app:1"), Name("team/app:9")));
  EXPECT_EQ(ReasonOf(CheckOffline("team/app:9", image.digest)),
            kSignatureMissing);
  EXPECT_EQ(ReasonOf(CheckOffline("team/app@" + image.digest, image.digest)),
            kSignatureMissing);
  EXPECT_FALSE(Pull("team/app:9").ok());
  // By digest alone the default decides.
  EXPECT_OK(images_->CheckTrust({image.digest, image.digest}));
  Open({absl::StrCat("*=", dir_ / "team.pub")});
  EXPECT_EQ(ReasonOf(images_->CheckTrust({image.digest, image.digest})),
            kSignatureMissing);
}

TEST_F(SignatureTest, WhenTheKeyChanges_OldSignaturesHoldNoMore) {
  const std::string digest = Push(kTeamApp, "1", "good");
  Sign(kTeamApp, digest, {Signed(team_, kTeamApp, digest)});
  ASSERT_OK(Pull("team/app:1").status());
  Open({Below("team", "next.pub")});
  EXPECT_EQ(ReasonOf(CheckOffline("team/app:1", digest)), kSignatureInvalid);
  // Both keys, as long as images are signed anew.
  Open({Below("team", "next.pub"), Below("team", "team.pub")});
  EXPECT_OK(CheckOffline("team/app:1", digest));
  Sign(kTeamApp, digest,
       {Signed(team_, kTeamApp, digest), Signed(next_, kTeamApp, digest)});
  Open({Below("team", "next.pub")});
  EXPECT_OK(Pull("team/app:1").status());
  EXPECT_OK(CheckOffline("team/app:1", digest));
  Open({Below("team", "next.pub"), Below("team/app", "none")});
  EXPECT_OK(CheckOffline("team/app:1", DigestOf("whatever")));
}

TEST_F(SignatureTest, WhenTheRegistryIsDownAndNothingIsKept_IsUnavailable) {
  Open({});
  const std::string digest = Push(kTeamApp, "1", "early");
  ASSERT_OK(Pull("team/app:1").status());
  Open({Below("team", "team.pub")});
  StopRegistry();
  EXPECT_THAT(images_->CheckTrust({Name("team/app:1"), digest, true}),
              StatusIs(absl::StatusCode::kUnavailable));
}

TEST_F(SignatureTest, WhenTheIndexIsSigned_ItsImagesAre) {
  const std::string digest = Push(kTeamApp, "amd64", "good");
  const Image plain = [&] {
    Open({});
    return *Pull("team/app:amd64");
  }();
  Open({Below("team", "team.pub")});
  const std::string index = absl::StrCat(
      R"({"schemaVersion":2,"mediaType":")", image::kOciIndex,
      R"(","manifests":[{"mediaType":")", image::kOciManifest, R"(","size":)",
      image::FormatManifest({}).size(), R"(,"digest":")", digest,
      R"(","platform":{"os":"linux","architecture":"amd64"}}]})");
  const std::string file = dir_ / "index.json";
  e2e::WriteFile(file, index);
  ASSERT_TRUE(
      e2e::Run({"curl", "-sf", "-X", "PUT", "-H",
                absl::StrCat("Content-Type: ", image::kOciIndex),
                "--data-binary", "@" + file,
                absl::StrCat("http://", address_, "/v2/team/app/manifests/1")})
          .ok());
  Sign(kTeamApp, DigestOf(index), {Signed(team_, kTeamApp, DigestOf(index))});
  ASSERT_OK_AND_ASSIGN(const Image image, Pull("team/app:1"));
  EXPECT_EQ(image.digest, digest);
  StopRegistry();
  EXPECT_OK(CheckOffline("team/app:1", digest));
}

TEST_F(SignatureTest, WhenTheImageIsRemoved_ItsSignaturesGoInTheEnd) {
  const std::string digest = Push(kTeamApp, "1", "good");
  Sign(kTeamApp, digest, {Signed(team_, kTeamApp, digest)});
  ASSERT_OK(Pull("team/app:1").status());
  const std::string file =
      absl::StrCat(dir_ / "state/signatures/", image::HexOf(digest), ".json");
  ASSERT_OK(os::ReadFile(file, 1 << 20).status());
  ASSERT_TRUE(e2e::Run({"touch", "-d", "2 hours ago", file}).ok());
  ASSERT_OK(images_->Remove(Name("team/app:1"), {}));
  EXPECT_THAT(os::ReadFile(file, 1 << 20),
              StatusIs(absl::StatusCode::kNotFound));
}

// The policies that an apply can have, against what is here and a registry that
// is up or down; see ImageResolver for how they map to requests.
struct PullCase {
  const char* what;
  bool always;
  absl::Duration max_age;
  bool present;
  bool registry_up;
  // "old": what was here; "new": what the tag means now; else a code.
  const char* expected;
};

TEST_F(SignatureTest, WhenPulledByEachPolicy_AsksTheRegistryOnlyAsItSays) {
  constexpr absl::Duration kNever = absl::InfiniteDuration();
  constexpr absl::Duration kDay = absl::Hours(24);
  const PullCase cases[] = {
      {"always", true, kNever, true, true, "new"},
      {"always", true, kNever, true, false, "UNAVAILABLE"},
      {"always", true, kNever, false, true, "new"},
      {"missing", false, kNever, true, true, "old"},
      {"missing", false, kNever, true, false, "old"},
      {"missing", false, kNever, false, true, "new"},
      {"missing", false, kNever, false, false, "UNAVAILABLE"},
      {"daily, young", false, kDay, true, true, "old"},
      {"daily, young", false, kDay, true, false, "old"},
      {"daily, old", false, absl::ZeroDuration(), true, true, "new"},
      {"daily, old", false, absl::ZeroDuration(), true, false, "old"},
      {"daily", false, kDay, false, true, "new"},
  };
  for (const PullCase& c : cases) {
    SCOPED_TRACE(absl::StrCat(c.what, c.present ? ", present" : ", absent",
                              c.registry_up ? ", up" : ", down"));
    Open({});
    images_->Remove(Name("free/app:1"), {}).IgnoreError();
    const std::string old_digest = Push("free/app", "1", "old");
    if (c.present) {
      ASSERT_OK(Pull("free/app:1").status());
    }
    // The time of the pull outlives the daemon.
    Open({});
    const std::string new_digest = Push("free/app", "1", "new");
    if (!c.registry_up) StopRegistry();
    PullRequest request;
    request.reference = Name("free/app:1");
    request.always = c.always;
    request.max_age = c.max_age;
    request.platform = "linux/amd64";
    const auto image = images_->Pull(request, nullptr);
    if (image.ok()) {
      EXPECT_EQ(image->digest,
                std::string(c.expected) == "old" ? old_digest : new_digest)
          << c.expected;
    } else {
      EXPECT_EQ(absl::StatusCodeToString(image.status().code()), c.expected)
          << image.status();
    }
    if (!c.registry_up) StartRegistry();
  }
}

}  // namespace
}  // namespace bulwark::engine
