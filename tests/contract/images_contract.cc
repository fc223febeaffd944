#include "tests/contract/images_contract.h"

#include <gmock/gmock.h>

#include "absl/strings/str_cat.h"
#include "base/testing/status_matchers.h"

namespace bulwark::engine::testing {

using ::bulwark::testing::StatusIs;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Pair;
using ::testing::SizeIs;

GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(ImagesContractTest);

namespace {

constexpr char kOne[] = "docker.io/library/one:1";
constexpr char kTwo[] = "docker.io/library/two:1";

PruneImagesRequest PruneOf(bool all, std::vector<std::string> in_use = {}) {
  PruneImagesRequest request;
  request.in_use = std::move(in_use);
  request.images = true;
  request.all = all;
  return request;
}

}  // namespace

ImagesUsage ImagesContractTest::Usage(std::vector<std::string> in_use) {
  absl::StatusOr<ImagesUsage> usage = images().Usage(in_use);
  EXPECT_OK(usage.status());
  return usage.ok() ? *usage : ImagesUsage();
}

TEST_P(ImagesContractTest, WhenEmpty_TakesNothing) {
  const ImagesUsage usage = Usage();
  EXPECT_EQ(usage.images.count, 0);
  EXPECT_EQ(usage.images.bytes, 0);
  EXPECT_EQ(usage.build_cache.count, 0);
  ASSERT_OK_AND_ASSIGN(PruneImagesResult result, images().Prune(PruneOf(true)));
  EXPECT_THAT(result.removed, IsEmpty());
  EXPECT_EQ(result.bytes, 0);
}

TEST_P(ImagesContractTest, CountsImagesAndThoseInUse) {
  const std::string one = harness_->Add(kOne);
  harness_->Add(kTwo);
  ASSERT_OK(images().Tag(kOne, "docker.io/library/again:1"));
  const ImagesUsage usage = Usage({one, "sha256:unknown"});
  EXPECT_EQ(usage.images.count, 2);
  EXPECT_EQ(usage.images.active, 1);
  EXPECT_GT(usage.images.bytes, 0);
  // What has a name goes only with `all`.
  EXPECT_EQ(usage.images.reclaimable_bytes, 0);
}

TEST_P(ImagesContractTest, WhenAnImageHasAName_OnlyAllRemovesIt) {
  harness_->Add(kOne);
  ASSERT_OK_AND_ASSIGN(PruneImagesResult kept, images().Prune(PruneOf(false)));
  EXPECT_THAT(kept.removed, IsEmpty());
  ASSERT_OK_AND_ASSIGN(PruneImagesResult gone, images().Prune(PruneOf(true)));
  EXPECT_THAT(gone.removed, ElementsAre(absl::StrCat("image ", kOne)));
  EXPECT_GT(gone.bytes, 0);
  EXPECT_THAT(images().List(), IsEmpty());
  EXPECT_THAT(images().Get(kOne), StatusIs(absl::StatusCode::kNotFound));
  EXPECT_EQ(Usage().images.bytes, 0);
}

TEST_P(ImagesContractTest, WhenInUse_StaysWithItsNames) {
  const std::string one = harness_->Add(kOne);
  harness_->Add(kTwo);
  ASSERT_OK_AND_ASSIGN(PruneImagesResult result,
                       images().Prune(PruneOf(true, {one})));
  EXPECT_THAT(result.removed, ElementsAre(absl::StrCat("image ", kTwo)));
  EXPECT_OK(images().Get(kOne).status());
}

TEST_P(ImagesContractTest, WhenItLostItsNameInUse_GoesOnceItIsNot) {
  const std::string one = harness_->Add(kOne);
  ASSERT_OK(images().Remove(kOne, {one}));
  EXPECT_OK(images().Get(one).status());
  EXPECT_EQ(Usage({one}).images.reclaimable_bytes, 0);
  EXPECT_GT(Usage().images.reclaimable_bytes, 0);
  ASSERT_OK_AND_ASSIGN(PruneImagesResult kept,
                       images().Prune(PruneOf(false, {one})));
  EXPECT_THAT(kept.removed, IsEmpty());
  ASSERT_OK_AND_ASSIGN(PruneImagesResult gone, images().Prune(PruneOf(false)));
  EXPECT_THAT(gone.removed, ElementsAre(absl::StrCat("image ", one)));
  EXPECT_THAT(images().Get(one), StatusIs(absl::StatusCode::kNotFound));
}

TEST_P(ImagesContractTest, WhenAnImageIsRemoved_OthersWithoutANameStay) {
  const std::string one = harness_->Add(kOne);
  const std::string two = harness_->Add(kTwo);
  ASSERT_OK(images().Tag(kTwo, "docker.io/library/again:1"));
  ASSERT_OK(images().Untag(kOne));
  ASSERT_OK(images().Remove(kTwo, {}));
  // It has another name.
  EXPECT_OK(images().Get(two).status());
  ASSERT_OK(images().Remove("docker.io/library/again:1", {}));
  EXPECT_THAT(images().Get(two), StatusIs(absl::StatusCode::kNotFound));
  ASSERT_OK_AND_ASSIGN(const Image kept, images().Get(one));
  EXPECT_THAT(kept.references, IsEmpty());
}

TEST_P(ImagesContractTest, WhenDryRun_SaysTheSameAndRemovesNothing) {
  harness_->Add(kOne);
  PruneImagesRequest request = PruneOf(true);
  request.dry_run = true;
  ASSERT_OK_AND_ASSIGN(PruneImagesResult said, images().Prune(request));
  EXPECT_THAT(images().List(), SizeIs(1));
  request.dry_run = false;
  const int64_t before = Usage().images.bytes;
  ASSERT_OK_AND_ASSIGN(PruneImagesResult done, images().Prune(request));
  EXPECT_EQ(said.removed, done.removed);
  EXPECT_EQ(said.bytes, done.bytes);
  EXPECT_EQ(before - Usage().images.bytes, said.bytes);
}

TEST_P(ImagesContractTest, WhenItCameFromAnIndex_TheNameRemembersWhich) {
  const std::string index = harness_->AddIndex(kOne, true);
  ASSERT_OK_AND_ASSIGN(const Image one, images().Get(kOne));
  EXPECT_NE(one.digest, index);
  EXPECT_FALSE(one.is_index);
  EXPECT_THAT(one.indexes, ElementsAre(Pair(kOne, index)));
  ASSERT_OK(images().Tag(kOne, kTwo));
  EXPECT_EQ(images().Get(kTwo)->indexes.at(kTwo), index);
  ASSERT_OK(images().Remove(kOne, {}));
  EXPECT_EQ(images().Get(kTwo)->indexes.at(kTwo), index);
  // Another image takes the name, and with it goes what it stood for.
  harness_->Add(kTwo);
  EXPECT_THAT(images().Get(kTwo)->indexes, IsEmpty());
}

TEST_P(ImagesContractTest, WhenAnIndexHasNothingForThisHost_IsListedOnly) {
  const std::string index = harness_->AddIndex(kOne, false);
  EXPECT_THAT(images().Get(kOne), StatusIs(absl::StatusCode::kNotFound,
                                           HasSubstr("no image for platform")));
  ASSERT_THAT(images().List(), SizeIs(1));
  EXPECT_TRUE(images().List()[0].is_index);
  EXPECT_EQ(images().List()[0].digest, index);
  EXPECT_EQ(Usage().images.count, 1);
  EXPECT_EQ(Usage().images.reclaimable_bytes, 0);
  ASSERT_OK(images().Tag(kOne, kTwo));
  ASSERT_OK(images().Untag(kOne));
  ASSERT_OK_AND_ASSIGN(PruneImagesResult kept, images().Prune(PruneOf(false)));
  EXPECT_THAT(kept.removed, IsEmpty());
  ASSERT_OK(images().Remove(kTwo, {}));
  EXPECT_THAT(images().List(), IsEmpty());
  EXPECT_EQ(Usage().images.bytes, 0);
}

TEST_P(ImagesContractTest, WhenTheBuildCacheIsPruned_ImagesStay) {
  harness_->Build(kOne);
  EXPECT_GT(Usage().build_cache.count, 0);
  PruneImagesRequest request;
  request.build_cache = true;
  ASSERT_OK_AND_ASSIGN(PruneImagesResult result, images().Prune(request));
  EXPECT_THAT(result.removed, ElementsAre(HasSubstr("build step")));
  EXPECT_EQ(Usage().build_cache.count, 0);
  EXPECT_OK(images().Get(kOne).status());
  // Again: nothing is left.
  ASSERT_OK_AND_ASSIGN(result, images().Prune(request));
  EXPECT_THAT(result.removed, IsEmpty());
}

}  // namespace bulwark::engine::testing
