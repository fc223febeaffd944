// Images of several platforms: indexes that lie, parts that are lost, older
// stores.
#include "engine/image/json.h"
#include "engine/image/testing/index_fixture.h"

namespace bulwark::engine {
namespace {

using ::bulwark::testing::IsOkAndHolds;
using ::bulwark::testing::StatusIs;
using image::DigestOf;
using image::Json;
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
constexpr auto kDataLoss = absl::StatusCode::kDataLoss;

TEST_F(IndexTest, WhenAPullFails_NothingIsNamedAndPruneSeesTheRest) {
  FakeRegistry registry;
  const IndexBuilder index = TwoPlatforms();
  Publish(registry, "app", "1", index);
  FakeRegistry broken;
  for (const auto& [digest, text] : index.documents()) {
    broken.PutManifest("app", digest, text, image::kOciManifest);
  }
  // Of the other platform the layer is not there.
  for (const auto& [digest, blob] : index.blobs()) {
    if (digest != index.LayerOf("arm64")) broken.PutBlob("app", blob);
  }
  broken.PutManifest("app", "1", index.Text(), image::kOciIndex);
  EXPECT_FALSE(Pull(broken.address() + "/app:1", true).ok());
  EXPECT_THAT(images_->List(), IsEmpty());
  EXPECT_THAT(Blobs(), Not(IsEmpty()));
  // As after a kill: what was fetched whole is used, or swept.
  Open();
  EXPECT_GT(images_->Usage({})->images.reclaimable_bytes, 0);
  EXPECT_GT(Prune(false).bytes, 0);
  EXPECT_THAT(Blobs(), IsEmpty());
}

TEST_F(IndexTest, WhenTheStoreIsOfBefore_ItIsReadAndAllIsPulledAgain) {
  FakeRegistry registry;
  const IndexBuilder index = TwoPlatforms();
  Publish(registry, "app", "1", index);
  const std::string name = registry.address() + "/app:1";
  ASSERT_OK(Pull(name, false));
  images_.reset();
  const std::string path = dir_ / "state/index.json";
  ASSERT_OK_AND_ASSIGN(const std::string text, os::ReadFile(path, 1 << 20));
  ASSERT_OK_AND_ASSIGN(Json record, image::ParseObject(text, "index.json"));
  record.erase("sources");
  record.erase("indexes");
  ASSERT_OK(os::WriteFileDurably(path, image::Dump(record)));
  Open();
  ASSERT_OK_AND_ASSIGN(const Image image, images_->Get(name));
  EXPECT_THAT(image.indexes, IsEmpty());
  // Not the one platform that is here under the name of all, nor a copy of it.
  ASSERT_OK(images_->Tag(name, "copy:1"));
  for (const std::string& of_before : {name, std::string("copy:1")}) {
    EXPECT_THAT(PushAll(of_before, registry.address() + "/copy:1"),
                StatusIs(kFailedPrecondition, HasSubstr("--all-platforms")));
  }
  // Unless somebody says that it is all.
  ASSERT_OK(images_->Tag(image.digest, "copy:1"));
  EXPECT_THAT(PushAll("copy:1", registry.address() + "/copy:0"),
              IsOkAndHolds(image.digest));
  ASSERT_OK(Pull(name, true));
  EXPECT_OK(PushAll(name, registry.address() + "/copy:1"));
}

TEST_F(IndexTest, WhenTheRecordIsStrange_WhatItNamesIsLeftOut) {
  images_.reset();
  const std::string known = DigestOf("nothing");
  ASSERT_OK(os::WriteFileDurably(
      dir_ / "state/index.json",
      image::Dump(Json{{"version", 1},
                       {"images", Json::array()},
                       {"references", {{"a:1", known}}},
                       {"sources", {{"a:1", "x"}, {"b:1", known}, {"c", 5}}},
                       {"indexes", {{"y", 7}, {known, {"z", 3}}}}})));
  Open();
  EXPECT_THAT(images_->Get("a:1"), StatusIs(kNotFound));
  EXPECT_THAT(Prune(true).bytes, 0);
}

TEST_F(IndexTest, WhenAPartRots_VerifyNamesItAndBringsItBack) {
  FakeRegistry registry;
  const IndexBuilder index = TwoPlatforms();
  Publish(registry, "app", "1", index);
  const std::string name = registry.address() + "/app:1";
  ASSERT_OK(Pull(name, true));
  for (const std::string& digest :
       {index.LayerOf("arm64"), index.ManifestOf("arm64"), index.Digest()}) {
    ASSERT_OK(os::WriteFileDurably(BlobPath(digest), "rotten"));
    VerifyRequest request;
    request.references = {name};
    ASSERT_OK_AND_ASSIGN(std::vector<ImageDamage> damage,
                         images_->Verify(request, nullptr));
    ASSERT_THAT(damage, SizeIs(1));
    EXPECT_EQ(damage[0].digest, digest);
    EXPECT_THAT(damage[0].references, Contains(name));
    EXPECT_FALSE(PushAll(name, registry.address() + "/copy:1").ok());
    // After a start nothing is swept that the lost part may need.
    Open();
    EXPECT_EQ(Prune(false).removed.size(), 0u);
    request.repair = true;
    ASSERT_OK_AND_ASSIGN(damage, images_->Verify(request, nullptr));
    ASSERT_THAT(damage, SizeIs(1));
    EXPECT_TRUE(damage[0].repaired) << damage[0].repair_error;
    EXPECT_OK(PushAll(name, registry.address() + "/copy:1"));
    EXPECT_THAT(images_->List(), SizeIs(1));
    EXPECT_THAT(images_->Get(name)->references, ElementsAre(name));
  }
}

TEST_F(IndexTest, WhenAnImageNamesNoPlatform_ItIsRepaired) {
  FakeRegistry registry;
  IndexBuilder index;
  index.Image("", "for whatever");
  index.Entry(0).erase("platform");
  Publish(registry, "app", "index", index);
  registry.PutManifest("app", "plain",
                       index.documents().at(index.ManifestOf("")),
                       image::kOciManifest);
  for (const char* tag : {"index", "plain"}) {
    const std::string name = absl::StrCat(registry.address(), "/app:", tag);
    ASSERT_OK_AND_ASSIGN(const Image image, Pull(name, false));
    EXPECT_EQ(image.platform, "linux/");
    std::vector<std::string> digests = {index.LayerOf(""), image.digest};
    if (!image.indexes.empty()) digests.push_back(index.Digest());
    for (const std::string& digest : digests) {
      ASSERT_OK(os::WriteFileDurably(BlobPath(digest), "rotten"));
      VerifyRequest request;
      request.repair = true;
      ASSERT_OK_AND_ASSIGN(const std::vector<ImageDamage> damage,
                           images_->Verify(request, nullptr));
      ASSERT_THAT(damage, SizeIs(1)) << tag;
      EXPECT_TRUE(damage[0].repaired) << tag << damage[0].repair_error;
    }
    ASSERT_OK(images_->Remove(name, {}));
  }
}

TEST_F(IndexTest, WhenTheIndexOfAnImageRots_TheImageIsTold) {
  FakeRegistry registry;
  const IndexBuilder index = TwoPlatforms();
  Publish(registry, "app", "1", index);
  IndexBuilder far;
  far.Image("s390x", "far");
  Publish(registry, "app", "far", far);
  const std::string name = registry.address() + "/app:1";
  ASSERT_OK(Pull(name, false));
  ASSERT_OK(Pull(registry.address() + "/app:far", true));
  for (const std::string& digest : {index.Digest(), far.Digest()}) {
    ASSERT_OK(os::WriteFileDurably(BlobPath(digest), "rotten"));
  }
  ASSERT_OK_AND_ASSIGN(const ImageDocuments documents,
                       images_->Documents(name));
  EXPECT_THAT(documents.index, IsEmpty());
  EXPECT_EQ(documents.manifest,
            index.documents().at(index.ManifestOf("amd64")));
  EXPECT_THAT(documents.image.indexes, Contains(Pair(name, index.Digest())));
  // Of this one there is nothing else.
  EXPECT_THAT(images_->Documents(registry.address() + "/app:far"),
              StatusIs(kDataLoss, HasSubstr("ctl verify --repair")));
}

TEST_F(IndexTest, WhenTheCallerGoesWhileTheIndexIsRead_ThePullEnds) {
  FakeRegistry registry;
  Publish(registry, "app", "1", TwoPlatforms());
  PullRequest request;
  request.reference = registry.address() + "/app:1";
  request.all_platforms = true;
  int reports = 0;
  EXPECT_THAT(images_->Pull(request,
                            [&reports](const Progress& progress) {
                              reports += progress.status == "reading index";
                              return reports < 2;
                            }),
              StatusIs(absl::StatusCode::kCancelled));
  EXPECT_EQ(registry.Count("GET", "/v2/app/manifests/"), 1);
}

TEST_F(IndexTest, WhenIndexesLieInAnIndex_TheyAreReadToADepth) {
  FakeRegistry registry;
  IndexBuilder inner = TwoPlatforms();
  IndexBuilder outer;
  outer.Nest(inner);
  outer.Image("s390x", "far");
  Publish(registry, "app", "1", outer);
  const std::string name = registry.address() + "/app:1";
  ASSERT_OK_AND_ASSIGN(Image image, Pull(name, false));
  EXPECT_EQ(image.digest, inner.ManifestOf("amd64"));
  EXPECT_THAT(images_->Lookup(name), IsOkAndHolds(image.digest));
  ASSERT_OK_AND_ASSIGN(image, Pull(name, true));
  EXPECT_OK(PushAll(name, registry.address() + "/copy:1"));
  ExpectThere(registry, "copy", "1", outer);
  for (int depth = 0; depth < 5; ++depth) {
    IndexBuilder next;
    next.Nest(outer);
    outer = next;
  }
  Publish(registry, "app", "deep", outer);
  for (const bool all : {false, true}) {
    EXPECT_THAT(Pull(registry.address() + "/app:deep", all),
                StatusIs(kFailedPrecondition, HasSubstr("too large")));
  }
}

TEST_F(IndexTest, WhenTheIndexLies_NothingIsKept) {
  FakeRegistry registry;
  const IndexBuilder good = TwoPlatforms();
  const auto expect = [&](const std::string& tag, IndexBuilder index,
                          absl::StatusCode code, const std::string& text) {
    Publish(registry, "app", tag, index);
    EXPECT_THAT(Pull(registry.address() + "/app:" + tag, true),
                StatusIs(code, HasSubstr(text)))
        << tag;
    EXPECT_THAT(images_->List(), IsEmpty());
  };
  IndexBuilder index = good;
  index.Entry(0)["size"] = 5;
  expect("size", index, kDataLoss, "not the 5");
  index = good;
  index.Entry(1)["digest"] = DigestOf("nothing");
  expect("absent", index, kDataLoss, "which the registry has not");
  index = good;
  index.Entry(1)["digest"] = "sha256:abc";
  expect("digest", index, kDataLoss, "64 hex digits");
  index = good;
  index.Entry(1)["size"] = -1;
  expect("negative", index, kDataLoss, "negative");
  // The same twice is no harm, unless it is not the same.
  index = good;
  index.Repeat(0);
  Publish(registry, "app", "twice", index);
  ASSERT_OK(Pull(registry.address() + "/app:twice", true));
  EXPECT_OK(PushAll(registry.address() + "/app:twice",
                    registry.address() + "/copy:1"));
  ASSERT_OK(images_->Remove(registry.address() + "/app:twice", {}));
  index.Entry(3)["size"] = 1;
  expect("differs", index, kDataLoss, "in another");
  index = good;
  index.Image("s390x", "one for amd64", /*size_of_layer=*/7);
  expect("layer", index, kDataLoss, "in another");
  index = IndexBuilder();
  for (int i = 0; i < 10'000; ++i) index.Fake(absl::StrCat(i));
  const int asked = registry.Count("GET", "/v2/app/manifests/");
  expect("many", index, kFailedPrecondition, "lists 10000 manifests");
  EXPECT_EQ(registry.Count("GET", "/v2/app/manifests/"), asked + 1);
  // Each may be as large as one, not all of them.
  index = IndexBuilder();
  for (int i = 0; i < 20; ++i) {
    index.Fake(absl::StrCat(i)).Entry(i)["size"] = image::kMaxManifestBytes;
  }
  const int before = registry.Count("GET", "/v2/app/manifests/");
  expect("documents", index, kFailedPrecondition, "manifests have more than");
  EXPECT_EQ(registry.Count("GET", "/v2/app/manifests/"), before + 1);
  index = good;
  index.Entry(1)["mediaType"] = std::string(256, 'x');
  expect("type", index, kDataLoss, "media type of manifest 1 has 256 bytes");
  index = good;
  index.Entry(1)["platform"]["variant"] = std::string(256, 'x');
  expect("platform", index, kDataLoss, "platform of manifest 1 has 256 bytes");
  index = good;
  index.Image("s390x", "huge", int64_t{1} << 62);
  expect("huge", index, kFailedPrecondition, "has more than");
  index = good;
  index.Image("s390x", std::string(10, 'x'));
  index.Pad(5 << 20);
  Publish(registry, "app", "padded", index);
  EXPECT_THAT(Pull(registry.address() + "/app:padded", true),
              StatusIs(kDataLoss));
  EXPECT_GE(Prune(true).bytes, 0);
  EXPECT_THAT(Blobs(), IsEmpty());
}

}  // namespace
}  // namespace bulwark::engine
