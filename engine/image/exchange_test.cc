// Images on their way to registries and back, by way of mirrors too.
#include <sys/mman.h>
#include <unistd.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/testing/fake_clock.h"
#include "base/testing/status_matchers.h"
#include "base/testing/temp_dir.h"
#include "engine/image/digest.h"
#include "engine/image/json.h"
#include "engine/image/local_images.h"
#include "engine/image/manifest.h"
#include "engine/image/media_types.h"
#include "engine/image/testing/tar_builder.h"
#include "engine/registry/testing/fake_registry.h"
#include "os/files.h"

namespace bulwark::engine {
namespace {

using ::bulwark::testing::FakeClock;
using ::bulwark::testing::StatusIs;
using ::bulwark::testing::TempDir;
using image::DigestOf;
using image::Dump;
using image::Json;
using image::testing::Gzip;
using image::testing::TarBuilder;
using image::testing::Zstd;
using registry::testing::FakeRegistry;
using registry::testing::RegistryFaults;
using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;

// What a registry holds of one image.
struct Parts {
  std::vector<std::string> blobs;
  std::string manifest;
};

Parts MakeImage(const std::string& content, bool zstd = false) {
  const std::string layer = TarBuilder().File("content", content).Build();
  const std::string blob = zstd ? Zstd(layer) : Gzip(layer);
  const std::string config = Dump(
      Json{{"os", "linux"},
           {"architecture", "amd64"},
           {"rootfs", {{"type", "layers"}, {"diff_ids", {DigestOf(layer)}}}}});
  image::Manifest manifest;
  manifest.config = {image::kOciConfig, DigestOf(config),
                     static_cast<int64_t>(config.size())};
  manifest.layers = {{absl::StrCat(image::kOciLayer, zstd ? "+zstd" : "+gzip"),
                      DigestOf(blob), static_cast<int64_t>(blob.size())}};
  return {{blob, config}, image::FormatManifest(manifest)};
}

void Publish(FakeRegistry& registry, const std::string& repository,
             const std::string& tag, const Parts& parts) {
  for (const std::string& blob : parts.blobs) {
    registry.PutBlob(repository, blob);
  }
  registry.PutManifest(repository, tag, parts.manifest, image::kOciManifest);
}

class ExchangeTest : public ::testing::Test {
 protected:
  void Open(std::map<std::string, std::vector<std::string>> mirrors = {}) {
    images_.reset();
    LocalImagesConfig config;
    config.state_dir = dir_ / "state";
    config.clock = &clock_;
    config.entropy = &entropy_;
    config.mirrors = std::move(mirrors);
    config.credentials = [this](const std::string& registry)
        -> absl::StatusOr<std::optional<RegistryAuth>> {
      asked_.push_back(registry);
      return std::nullopt;
    };
    auto opened = LocalImages::Open(std::move(config));
    ASSERT_OK(opened);
    images_ = *std::move(opened);
  }
  void SetUp() override { Open(); }

  absl::StatusOr<Image> Pull(const std::string& reference) {
    PullRequest request;
    request.reference = reference;
    request.platform = "linux/amd64";
    request.always = true;
    return images_->Pull(request, nullptr);
  }
  absl::StatusOr<std::string> Push(const std::string& reference,
                                   const std::string& target,
                                   ImageFormat format = ImageFormat::kStored) {
    statuses_.clear();
    PushRequest request;
    request.reference = reference;
    request.target = target;
    request.format = format;
    return images_->Push(request, [this](const Progress& progress) {
      statuses_.push_back(progress.status);
      return true;
    });
  }

  TempDir dir_;
  FakeClock clock_;
  SeededEntropy entropy_{7};
  std::unique_ptr<LocalImages> images_;
  std::vector<std::string> statuses_;
  std::vector<std::string> asked_;
};

TEST_F(ExchangeTest, WhenPushed_TheSameBytesCanBePulledElsewhere) {
  FakeRegistry from, to;
  const Parts parts = MakeImage("one");
  Publish(from, "app", "1", parts);
  ASSERT_OK(Pull(from.address() + "/app:1"));

  ASSERT_OK_AND_ASSIGN(
      const std::string digest,
      Push(from.address() + "/app:1", to.address() + "/mine:2"));

  EXPECT_EQ(digest, DigestOf(parts.manifest));
  EXPECT_EQ(to.Manifest("mine", "2"), parts.manifest);
  EXPECT_THAT(statuses_, Contains("uploading"));
  EXPECT_THAT(statuses_, Contains("pushed"));
  ASSERT_OK_AND_ASSIGN(const Image image, Pull(to.address() + "/mine:2"));
  EXPECT_EQ(image.digest, digest);
  // Once more: nothing is sent.
  ASSERT_OK(Push(from.address() + "/app:1", to.address() + "/mine:3"));
  EXPECT_THAT(statuses_, Not(Contains("uploading")));
}

TEST_F(ExchangeTest, WhenAnotherRepositoryHasTheLayer_ItIsMounted) {
  FakeRegistry registry;
  Publish(registry, "base", "1", MakeImage("one"));
  ASSERT_OK(Pull(registry.address() + "/base:1"));
  ASSERT_OK(Push(registry.address() + "/base:1", registry.address() + "/app"));
  EXPECT_THAT(statuses_, Contains("mounted"));
  EXPECT_NE(registry.Manifest("app", "latest"), "");
}

TEST_F(ExchangeTest, WhenAFormatIsWanted_MediaTypesFollow) {
  FakeRegistry from, to;
  Publish(from, "app", "1", MakeImage("one"));
  Publish(from, "app", "zstd", MakeImage("two", true));
  ASSERT_OK(Pull(from.address() + "/app:1"));
  ASSERT_OK(Pull(from.address() + "/app:zstd"));

  ASSERT_OK_AND_ASSIGN(const std::string digest,
                       Push(from.address() + "/app:1", to.address() + "/d:1",
                            ImageFormat::kDocker));
  EXPECT_EQ(to.MediaType("d", "1"), image::kDockerManifest);
  EXPECT_EQ(DigestOf(to.Manifest("d", "1")), digest);
  EXPECT_THAT(to.Manifest("d", "1"),
              AllOf(HasSubstr("vnd.docker.container.image.v1+json"),
                    HasSubstr("rootfs.diff.tar.gzip")));
  // And back again: it is the first one.
  ASSERT_OK(Pull(to.address() + "/d:1"));
  ASSERT_OK(
      Push(to.address() + "/d:1", to.address() + "/o:1", ImageFormat::kOci));
  EXPECT_THAT(to.Manifest("o", "1"), HasSubstr("image.layer.v1.tar+gzip"));

  EXPECT_THAT(
      Push(from.address() + "/app:zstd", to.address() + "/d:2",
           ImageFormat::kDocker),
      StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("no word")));
  ASSERT_OK(Push(from.address() + "/app:zstd", to.address() + "/o:2",
                 ImageFormat::kOci));
}

TEST_F(ExchangeTest, WhenABlobIsGone_ThePushSaysWhich) {
  FakeRegistry registry;
  const Parts parts = MakeImage("one");
  Publish(registry, "app", "1", parts);
  ASSERT_OK(Pull(registry.address() + "/app:1"));
  const std::string blob =
      dir_ / ("state/blobs/sha256/" +
              std::string(image::HexOf(DigestOf(parts.blobs[0]))));
  ASSERT_EQ(unlink(blob.c_str()), 0);
  EXPECT_THAT(Push(registry.address() + "/app:1", registry.address() + "/b"),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       AllOf(HasSubstr(DigestOf(parts.blobs[0])),
                             HasSubstr("not in the store any more"))));
}

TEST_F(ExchangeTest, WhenABlobRotted_ThePushFindsOut) {
  FakeRegistry registry, to;
  const Parts parts = MakeImage("one");
  Publish(registry, "app", "1", parts);
  ASSERT_OK(Pull(registry.address() + "/app:1"));
  const std::string hex(image::HexOf(DigestOf(parts.blobs[0])));
  std::string rotten = parts.blobs[0];
  rotten[rotten.size() / 2] ^= 1;
  ASSERT_OK(os::WriteFileDurably(dir_ / ("state/blobs/sha256/" + hex), rotten));
  EXPECT_THAT(Push(registry.address() + "/app:1", to.address() + "/b"),
              StatusIs(absl::StatusCode::kDataLoss,
                       HasSubstr("pull or build the image again")));
  EXPECT_EQ(to.Manifest("b", "latest"), "");
  // The next pull heals it.
  ASSERT_OK(Pull(registry.address() + "/app:1"));
  EXPECT_OK(Push(registry.address() + "/app:1", to.address() + "/b"));
}

TEST_F(ExchangeTest, WhenTheRegistryLosesLayers_TheyAreSentAgain) {
  RegistryFaults faults;
  faults.loses_blobs = 1;
  FakeRegistry from, to(faults);
  Publish(from, "app", "1", MakeImage("one"));
  ASSERT_OK(Pull(from.address() + "/app:1"));
  EXPECT_OK(Push(from.address() + "/app:1", to.address() + "/b"));
  EXPECT_NE(to.Manifest("b", "latest"), "");

  faults.loses_blobs = 100;
  FakeRegistry sieve(faults);
  EXPECT_THAT(Push(from.address() + "/app:1", sieve.address() + "/b"),
              StatusIs(absl::StatusCode::kUnavailable, HasSubstr("lacks")));
}

TEST_F(ExchangeTest, WhenTheNameIsADigest_ItMustBeTheImages) {
  FakeRegistry registry;
  const Parts parts = MakeImage("one");
  Publish(registry, "app", "1", parts);
  ASSERT_OK_AND_ASSIGN(const Image image, Pull(registry.address() + "/app:1"));
  EXPECT_THAT(Push(image.digest, ""),
              StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(Push(image.digest, registry.address() + "/b@" + DigestOf("x")),
              StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_OK(Push(image.digest, registry.address() + "/b@" + image.digest));
  EXPECT_NE(registry.Manifest("b", image.digest), "");
  EXPECT_THAT(Push("nobody:1", ""), StatusIs(absl::StatusCode::kNotFound));
}

TEST_F(ExchangeTest, WhenAPushIsCancelled_ItEnds) {
  FakeRegistry registry;
  Publish(registry, "app", "1", MakeImage("one"));
  ASSERT_OK(Pull(registry.address() + "/app:1"));
  PushRequest request;
  request.reference = registry.address() + "/app:1";
  request.target = registry.address() + "/b:1";
  EXPECT_THAT(images_->Push(request, [](const Progress&) { return false; }),
              StatusIs(absl::StatusCode::kCancelled));
  EXPECT_EQ(registry.Manifest("b", "1"), "");
}

TEST_F(ExchangeTest, WhenAMirrorHasTheImage_TheRegistryIsNotAsked) {
  FakeRegistry mirror;
  const Parts parts = MakeImage("one");
  Publish(mirror, "app", "1", parts);
  Open({{"registry.example", {mirror.address()}}});

  ASSERT_OK_AND_ASSIGN(const Image image, Pull("registry.example/app:1"));

  EXPECT_THAT(image.references, ElementsAre("registry.example/app:1"));
  EXPECT_THAT(asked_, ElementsAre(mirror.address(), "registry.example"));
}

TEST_F(ExchangeTest, WhenMirrorsFail_TheRegistryIsAsked) {
  FakeRegistry registry, empty, liar;
  const Parts parts = MakeImage("one");
  Publish(registry, "app", "1", parts);
  // Its manifest is right, its layer is not.
  liar.PutManifest("app", "1", parts.manifest, image::kOciManifest);
  Open(
      {{registry.address(), {"127.0.0.1:1", empty.address(), liar.address()}}});

  ASSERT_OK(Pull(registry.address() + "/app:1"));

  EXPECT_GT(liar.Count("GET", "/v2/app/manifests"), 0);
  EXPECT_GT(registry.Count("GET", "/v2/app/blobs"), 0);
  EXPECT_EQ(registry.Count("GET", "/v2/app/manifests"), 0);
  EXPECT_THAT(os::ListDir(dir_ / "state/ingest").value(), IsEmpty());
  // With none that has it, the registry's own error counts.
  EXPECT_THAT(
      Pull(registry.address() + "/app:2"),
      StatusIs(absl::StatusCode::kNotFound, HasSubstr(registry.address())));
}

TEST_F(ExchangeTest, WhenABaseIsHereForAnotherPlatform_TheBuildEnds) {
  FakeRegistry registry;
  Publish(registry, "app", "1", MakeImage("one"));
  ASSERT_OK(Pull(registry.address() + "/app:1"));
  const std::string base = registry.address() + "/base:1";  // only here
  ASSERT_OK(images_->Tag(registry.address() + "/app:1", base));
  BuildRequest build;
  build.context_dir = dir_.path();
  build.tags = {"built:1"};
  const auto built_for = [&](const std::string& from,
                             const std::string& platform) {
    build.dockerfile_text = absl::StrCat("FROM ", from, "\nLABEL a=b\n");
    build.platform = platform;
    return images_->Build(build, nullptr).status();
  };

  // An older machine's will do.
  for (const char* platform : {"", "linux/amd64", "linux/amd64/v2"}) {
    EXPECT_OK(built_for(base, platform)) << platform;
  }
  const std::string named =
      absl::StrCat("--platform=linux/s390x ", registry.address(), "/app:1");
  for (const absl::Status& refused :
       {built_for(base, "linux/arm64"), built_for(named, "")}) {
    EXPECT_THAT(refused, StatusIs(absl::StatusCode::kNotFound,
                                  HasSubstr("is for linux/amd64 and not")));
  }
}

TEST_F(ExchangeTest, WhenTagsAndReferrersAreListed_NamesAreCompleted) {
  FakeRegistry registry;
  Publish(registry, "app", "1", MakeImage("one"));
  ReferrersRequest request;
  request.reference = registry.address() + "/app:1";
  ASSERT_OK_AND_ASSIGN(const Referrers found, images_->ListReferrers(request));
  EXPECT_EQ(found.digest, DigestOf(MakeImage("one").manifest));
  EXPECT_THAT(found.referrers, IsEmpty());
  TagsRequest tags;
  tags.repository = registry.address() + "/none";
  EXPECT_THAT(images_->ListTags(tags),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("/none")));
}

TEST(CheckMirrorTest, WhenItIsAnAddress_ItIsRefused) {
  for (const char* mirror :
       {"mirror.local:5000", "mirror.local/hub", "[::1]:5000"}) {
    EXPECT_OK(CheckMirror(mirror)) << mirror;
  }
  for (const char* mirror :
       {"", "https://mirror.local", "mirror.local/", "nodots"}) {
    EXPECT_THAT(CheckMirror(mirror),
                StatusIs(absl::StatusCode::kInvalidArgument))
        << mirror;
  }
}

}  // namespace
}  // namespace bulwark::engine
