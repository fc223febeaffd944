// Images of several platforms: pulled, kept, pushed, saved, loaded, removed.
#include "engine/image/testing/index_fixture.h"

namespace bulwark::engine {
namespace {

using ::bulwark::testing::IsOkAndHolds;
using ::bulwark::testing::StatusIs;
using image::DigestOf;
using image::testing::IndexBuilder;
using registry::testing::FakeRegistry;
using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::IndexTest;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::Pair;
using testing::Publish;
using ::testing::SizeIs;
using testing::TwoPlatforms;

constexpr auto kNotFound = absl::StatusCode::kNotFound;
constexpr auto kFailedPrecondition = absl::StatusCode::kFailedPrecondition;

TEST_F(IndexTest, WhenPulledForThisHost_TheIndexIsKeptAndNothingElse) {
  FakeRegistry registry;
  const IndexBuilder index = TwoPlatforms();
  Publish(registry, "app", "1", index);
  const std::string name = registry.address() + "/app:1";
  ASSERT_OK_AND_ASSIGN(const Image image, Pull(name, false));
  EXPECT_EQ(image.digest, index.ManifestOf("amd64"));
  EXPECT_THAT(image.indexes, ElementsAre(Pair(name, index.Digest())));
  EXPECT_THAT(images_->List(), SizeIs(1));
  // Manifest, configuration, layer, and the index.
  EXPECT_THAT(Blobs(), SizeIs(4));
  ASSERT_OK_AND_ASSIGN(const ImageDocuments documents,
                       images_->Documents(name));
  EXPECT_EQ(documents.index, index.Text());
  EXPECT_EQ(documents.image.digest, image.digest);
  EXPECT_THAT(
      PushAll(name, registry.address() + "/copy:1"),
      StatusIs(kFailedPrecondition,
               AllOf(HasSubstr("linux/arm64"), Not(HasSubstr("linux/amd64")),
                     HasSubstr("ctl pull --all-platforms " + name))));
  EXPECT_THAT(SaveAll(name, ImageFormat::kOci), StatusIs(kFailedPrecondition));
  // It is one image for those who do not ask for more.
  PushRequest plain;
  plain.reference = name;
  plain.target = registry.address() + "/copy:1";
  EXPECT_THAT(images_->Push(plain, nullptr), IsOkAndHolds(image.digest));

  Open();
  EXPECT_THAT(images_->Get(name)->indexes,
              ElementsAre(Pair(name, index.Digest())));
  ASSERT_OK(images_->Remove(name, {}));
  EXPECT_THAT(Blobs(), IsEmpty());
}

TEST_F(IndexTest, WhenPulledForAll_ItIsPushedByteForByte) {
  FakeRegistry from, to;
  const IndexBuilder index = TwoPlatforms();
  Publish(from, "app", "1", index);
  const std::string name = from.address() + "/app:1";
  ASSERT_OK_AND_ASSIGN(const Image image, Pull(name, true));
  EXPECT_EQ(image.digest, index.ManifestOf("amd64"));
  EXPECT_THAT(image.layers, SizeIs(1));
  Open();

  EXPECT_THAT(PushAll(name, to.address() + "/mine:2"),
              IsOkAndHolds(index.Digest()));
  ExpectThere(to, "mine", "2", index);
  // What is there is not sent again; what is next door is not, either.
  const int64_t sent = to.UploadedBytes();
  EXPECT_OK(PushAll(name, to.address() + "/mine:3"));
  EXPECT_EQ(to.UploadedBytes(), sent);
  EXPECT_OK(PushAll(name, from.address() + "/other:1"));
  EXPECT_THAT(statuses_, Contains("mounted"));
  EXPECT_EQ(from.UploadedBytes(), 0);
  ExpectThere(from, "other", "1", index);
  // By digest it can only become what it is.
  EXPECT_OK(PushAll(name, to.address() + "/mine@" + index.Digest()));
  // As a name that is not kept, but has the digest.
  const std::string by_digest = from.address() + "/app@" + index.Digest();
  EXPECT_OK(PushAll(by_digest, to.address() + "/mine:4"));
  EXPECT_OK(SaveAll(by_digest, ImageFormat::kOci));
  EXPECT_EQ(images_->Documents(by_digest)->index, index.Text());
  EXPECT_THAT(PushAll(name, to.address() + "/mine@" + image.digest),
              StatusIs(absl::StatusCode::kInvalidArgument));
  PushRequest request;
  request.reference = name;
  request.all_platforms = true;
  request.format = ImageFormat::kDocker;
  EXPECT_THAT(images_->Push(request, nullptr),
              StatusIs(absl::StatusCode::kInvalidArgument));
}

TEST_F(IndexTest, WhenItIsNoIndex_TheOneImageIsAll) {
  FakeRegistry registry;
  const IndexBuilder index = TwoPlatforms();
  Publish(registry, "app", "1", index);
  const std::string only = index.ManifestOf("amd64");
  registry.PutManifest("app", "single", index.documents().at(only),
                       image::kOciManifest);
  const std::string name = registry.address() + "/app:single";
  ASSERT_OK_AND_ASSIGN(const Image image, Pull(name, true));
  EXPECT_THAT(image.indexes, IsEmpty());
  EXPECT_THAT(PushAll(name, registry.address() + "/copy:1"),
              IsOkAndHolds(only));
}

TEST_F(IndexTest, WhenNothingIsForThisHost_ItIsKeptButDoesNotRun) {
  FakeRegistry registry;
  IndexBuilder index;
  index.Image("arm64", "foreign").Image("s390x", "far");
  Publish(registry, "app", "1", index);
  const std::string name = registry.address() + "/app:1";
  EXPECT_THAT(Pull(name, false), StatusIs(kNotFound, HasSubstr("platform")));
  EXPECT_THAT(Pull(name, true, "linux/riscv64"), StatusIs(kNotFound));
  ASSERT_OK_AND_ASSIGN(const Image kept, Pull(name, true));
  EXPECT_TRUE(kept.is_index);
  EXPECT_EQ(kept.digest, index.Digest());
  for (int round = 0; round < 2; ++round) {
    EXPECT_THAT(
        images_->Get(name),
        StatusIs(kNotFound, HasSubstr("available: linux/arm64, linux/s390x")));
    const std::vector<Image> list = images_->List();
    ASSERT_THAT(list, SizeIs(1));
    EXPECT_TRUE(list[0].is_index);
    EXPECT_THAT(list[0].references, ElementsAre(name));
    EXPECT_EQ(list[0].platform, "linux/arm64,linux/s390x");
    EXPECT_EQ(images_->Documents(name)->index, index.Text());
    Open();
  }
  EXPECT_OK(PushAll(name, registry.address() + "/copy:1"));
  ExpectThere(registry, "copy", "1", index);
  ASSERT_OK(images_->Tag(name, "again:1"));
  ASSERT_OK(images_->Remove(name, {}));
  EXPECT_OK(PushAll("again:1", registry.address() + "/copy:2"));
  EXPECT_THAT(Prune(false).removed, IsEmpty());
  EXPECT_THAT(Prune(true).removed,
              ElementsAre("image docker.io/library/again:1"));
  EXPECT_THAT(Blobs(), IsEmpty());
}

TEST_F(IndexTest, WhenItLosesItsNames_ItStaysUntilItIsPruned) {
  FakeRegistry registry;
  const IndexBuilder index = TwoPlatforms();
  Publish(registry, "app", "1", index);
  const std::string name = registry.address() + "/app:1";
  ASSERT_OK_AND_ASSIGN(const Image image, Pull(name, true));
  const size_t blobs = Blobs().size();
  ASSERT_OK(images_->Tag(name, "again:1"));
  ASSERT_OK(images_->Remove(name, {}));
  EXPECT_THAT(Blobs(), SizeIs(blobs));
  ASSERT_OK(images_->Untag("again:1"));
  EXPECT_THAT(Prune(true).bytes, Not(0)) << "it was reported as freed";
  EXPECT_THAT(Blobs(), IsEmpty());

  ASSERT_OK(Pull(name, true));
  ASSERT_OK(images_->Untag(name));
  // Both the image and the index are here, without a name.
  Open();
  EXPECT_THAT(images_->List(), SizeIs(2));
  EXPECT_OK(PushAll(index.Digest(), registry.address() + "/copy:1"));
  ASSERT_OK(images_->Tag(index.Digest(), "found:1"));
  EXPECT_EQ(images_->Get("found:1")->digest, image.digest);
  EXPECT_EQ(images_->Usage({})->images.reclaimable_bytes, 0);
  ASSERT_OK(images_->Remove(index.Digest(), {}));
  EXPECT_THAT(images_->List(), IsEmpty());
  EXPECT_THAT(Blobs(), IsEmpty());
}

TEST_F(IndexTest, WhenTheImageIsInUse_TheRestOfTheIndexGoesWithTheName) {
  FakeRegistry registry;
  Publish(registry, "app", "1", TwoPlatforms());
  const std::string name = registry.address() + "/app:1";
  ASSERT_OK_AND_ASSIGN(const Image image, Pull(name, true));
  ASSERT_OK(images_->Remove(name, {image.digest}));
  EXPECT_OK(images_->Get(image.digest));
  EXPECT_THAT(Blobs(), SizeIs(3));
}

TEST_F(IndexTest, WhenTheTagMoves_TheOldIndexIsPrunedAndTheNewOneStays) {
  FakeRegistry registry;
  Publish(registry, "app", "1", TwoPlatforms("old"));
  const std::string name = registry.address() + "/app:1";
  ASSERT_OK(Pull(name, true));
  const IndexBuilder index = TwoPlatforms("new");
  Publish(registry, "app", "1", index);
  ASSERT_OK(Pull(name, true));
  // A plain pull of the same index takes nothing away.
  ASSERT_OK(Pull(name, false));
  PruneImagesRequest request;
  request.images = true;
  request.dry_run = true;
  ASSERT_OK_AND_ASSIGN(const PruneImagesResult said, images_->Prune(request));
  EXPECT_THAT(said.removed, SizeIs(2));
  EXPECT_EQ(images_->Usage({})->images.reclaimable_bytes, said.bytes);
  const int64_t before = images_->Usage({})->images.bytes;
  EXPECT_EQ(Prune(false).bytes, said.bytes);
  EXPECT_EQ(before - images_->Usage({})->images.bytes, said.bytes);
  EXPECT_OK(PushAll(name, registry.address() + "/copy:1"));
  ExpectThere(registry, "copy", "1", index);
}

TEST_F(IndexTest, WhenSavedAndLoaded_TheIndexIsTheSame) {
  FakeRegistry registry;
  const IndexBuilder index = TwoPlatforms();
  Publish(registry, "app", "1", index);
  const std::string name = registry.address() + "/app:1";
  ASSERT_OK(Pull(name, true));
  for (const ImageFormat format : {ImageFormat::kOci, ImageFormat::kDocker}) {
    ASSERT_OK_AND_ASSIGN(const std::string archive, SaveAll(name, format));
    EXPECT_THAT(SaveAll(name, format), IsOkAndHolds(archive));
    Open(absl::StrCat("other", static_cast<int>(format)));
    ASSERT_OK_AND_ASSIGN(const std::vector<Image> loaded, Load(archive));
    ASSERT_THAT(loaded, SizeIs(1));
    EXPECT_EQ(loaded[0].digest, index.ManifestOf("amd64"));
    EXPECT_THAT(loaded[0].indexes, ElementsAre(Pair(name, index.Digest())));
    const std::string tag = absl::StrCat("f", static_cast<int>(format));
    EXPECT_THAT(PushAll(name, registry.address() + "/copy:" + tag),
                IsOkAndHolds(index.Digest()));
    ExpectThere(registry, "copy", tag, index);
    Open();
  }
}

TEST_F(IndexTest, WhenAnArchiveLeavesPlatformsOut_WhatItHasIsKept) {
  const IndexBuilder index = TwoPlatforms();
  // Without the layer of the other platform, as `docker save --platform` does.
  ASSERT_OK(Load(index.Layout("app:1", {index.LayerOf("arm64")})));
  EXPECT_EQ(images_->Get("app:1")->digest, index.ManifestOf("amd64"));
  EXPECT_THAT(PushAll("app:1", "localhost:1/app:1"),
              StatusIs(kFailedPrecondition, AllOf(HasSubstr("linux/arm64"),
                                                  Not(HasSubstr("amd64")))));
  // Only the other platform: kept, not run.
  ASSERT_OK_AND_ASSIGN(
      const std::vector<Image> loaded,
      Load(index.Layout("far:1",
                        {index.LayerOf("amd64"), index.ManifestOf("amd64")})));
  ASSERT_THAT(loaded, SizeIs(1));
  EXPECT_TRUE(loaded[0].is_index);
  // What is no manifest is left out, and this host's image is taken.
  IndexBuilder odd = TwoPlatforms("odd");
  odd.Raw("{\"no\": \"manifest\"}");
  ASSERT_OK(Load(odd.Layout("odd:1")));
  EXPECT_EQ(images_->Get("odd:1")->digest, odd.ManifestOf("amd64"));
  EXPECT_FALSE(PushAll("odd:1", "localhost:1/app:1").ok());
  // A layer of this host's image that is missing is damage.
  EXPECT_FALSE(Load(index.Layout("bad:1", {index.LayerOf("amd64")})).ok());
}

TEST_F(IndexTest, WhenAnIndexIsMadeOfImages_ItIsPushedAndRuns) {
  FakeRegistry registry;
  const IndexBuilder from = TwoPlatforms();
  Publish(registry, "app", "1", from);
  const std::string name = registry.address() + "/app:1";
  for (const char* platform : {"amd64", "arm64"}) {
    ASSERT_OK(Pull(name, false, absl::StrCat("linux/", platform)));
    ASSERT_OK(images_->Tag(name, absl::StrCat("app:", platform)));
  }
  ASSERT_OK_AND_ASSIGN(
      const Image image,
      images_->MakeIndex({"app:both", {"app:arm64", "app:amd64"}}));
  EXPECT_EQ(image.digest, from.ManifestOf("amd64"));
  const std::string full = "docker.io/library/app:both";
  const std::string digest = images_->Get("app:both")->indexes.at(full);
  for (const char* platform : {"amd64", "arm64"}) {
    ASSERT_OK(images_->Remove(absl::StrCat("app:", platform), {}));
  }
  ASSERT_OK(images_->Remove(name, {}));
  EXPECT_THAT(PushAll("app:both", registry.address() + "/made:1"),
              IsOkAndHolds(digest));
  ASSERT_OK_AND_ASSIGN(const Image back, Pull(registry.address() + "/made:1",
                                              false, "linux/arm64"));
  EXPECT_EQ(back.digest, from.ManifestOf("arm64"));
  ASSERT_OK(images_->Tag(back.references[0], "app:arm64"));
  EXPECT_THAT(images_->MakeIndex({"app:x", {"app:arm64", "app:arm64"}}),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("two images are for linux/arm64")));
  EXPECT_THAT(images_->MakeIndex({"app:x", {}}),
              StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(images_->MakeIndex({"app:x", {"nothing"}}), StatusIs(kNotFound));
}

}  // namespace
}  // namespace bulwark::engine
