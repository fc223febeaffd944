// Names that go, and making room in the image store.
#include <sys/mman.h>
#include <unistd.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/entropy.h"
#include "base/testing/fake_clock.h"
#include "base/testing/status_matchers.h"
#include "base/testing/temp_dir.h"
#include "engine/image/local_images.h"
#include "engine/image/testing/tar_builder.h"
#include "os/files.h"
#include "os/measure.h"

namespace bulwark::engine {
namespace {

using ::bulwark::testing::FakeClock;
using ::bulwark::testing::IsOkAndHolds;
using ::bulwark::testing::StatusIs;
using ::bulwark::testing::TempDir;
using image::testing::TarBuilder;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class PruneTest : public ::testing::Test {
 protected:
  PruneTest() { Reopen(); }

  void Reopen() {
    images_.reset();
    auto opened = LocalImages::Open({dir_ / "state", {}, &clock_, &entropy_});
    ASSERT_OK(opened);
    images_ = *std::move(opened);
  }
  // An image with one layer of its own; its digest.
  std::string Make(const std::string& name) {
    const std::string tar =
        TarBuilder().File("f", name + std::string(50'000, 'x')).Build();
    const UniqueFd fd(memfd_create("tar", MFD_CLOEXEC));
    EXPECT_OK(os::WriteAll(fd.get(), tar, "tar"));
    lseek(fd.get(), 0, SEEK_SET);
    ImportRequest request;
    request.reference = name;
    auto image = images_->Import(request, fd.get(), nullptr);
    EXPECT_OK(image);
    return image.ok() ? image->digest : "";
  }
  void Use(const std::string& name) {
    clock_.Advance(absl::Minutes(1));
    EXPECT_OK(images_->Get(name));
  }
  // What goes of all images until `count` have.
  std::vector<std::string> Collect(int count,
                                   std::vector<std::string> in_use = {},
                                   absl::Duration min_unused = {},
                                   bool only_pulled = false) {
    PruneImagesRequest request;
    request.only_pulled = only_pulled;
    request.images = request.all = true;
    request.in_use = std::move(in_use);
    request.min_unused = min_unused;
    request.enough = [&count] { return count-- <= 0; };
    auto result = images_->Prune(request);
    EXPECT_OK(result);
    return result.ok() ? result->removed : std::vector<std::string>();
  }
  int64_t SizeOnDisk() {
    const auto usage = os::MeasureTree(dir_ / "state");
    EXPECT_OK(usage);
    return usage.ok() ? usage->bytes : 0;
  }

  TempDir dir_;
  FakeClock clock_;
  SeededEntropy entropy_{1};
  std::unique_ptr<LocalImages> images_;
};

// It may be nowhere else.
TEST_F(PruneTest, WhenNoRegistryGaveIt_ANamedImageStays) {
  Make("made-here:1");
  const std::string nameless = Make("");
  EXPECT_THAT(Collect(9, {}, {}, /*only_pulled=*/true),
              ElementsAre("image " + nameless));
  EXPECT_OK(images_->Get("made-here:1"));
}

TEST_F(PruneTest, WhenUntagged_TheImageStaysEvenIfAnotherNameGoes) {
  const std::string digest = Make("app:1");
  const std::string other = Make("other:1");
  ASSERT_OK(images_->Tag("app:1", "app:2"));
  ASSERT_OK(images_->Untag("app:1"));
  EXPECT_THAT(images_->Get("app:1"), StatusIs(absl::StatusCode::kNotFound));
  EXPECT_OK(images_->Get("app:2"));
  ASSERT_OK(images_->Untag("app:2"));
  ASSERT_OK(images_->Untag("other:1"));
  Reopen();
  EXPECT_OK(images_->Get(digest));
  EXPECT_OK(images_->Get(other));
  EXPECT_THAT(images_->Untag("app:1"), StatusIs(absl::StatusCode::kNotFound));
  EXPECT_THAT(images_->Untag(digest),
              StatusIs(absl::StatusCode::kInvalidArgument));
}

TEST_F(PruneTest, WhenRoomIsMade_TheLongestUnusedGoFirst) {
  for (const char* name : {"a", "b", "c"}) Make(name);
  Use("a");
  Use("c");
  Use("b");
  EXPECT_THAT(Collect(0), IsEmpty());
  EXPECT_THAT(Collect(1), ElementsAre("image docker.io/library/a:latest"));
  Use("c");
  EXPECT_THAT(Collect(1), ElementsAre("image docker.io/library/b:latest"));
  EXPECT_THAT(images_->List(), SizeIs(1));
}

TEST_F(PruneTest, WhenOpenedAgain_ItIsKnownWhatWasUsed) {
  for (const char* name : {"a", "b"}) Make(name);
  Use("b");
  Use("a");
  ASSERT_OK(images_->Tag("a", "a:2"));  // writes the index
  Reopen();
  EXPECT_THAT(Collect(1), ElementsAre("image docker.io/library/b:latest"));
}

TEST_F(PruneTest, WhenNeededOrUsedAMomentAgo_Stays) {
  const std::string needed = Make("needed");
  Make("fresh");
  Make("old");
  Use("old");
  clock_.Advance(absl::Hours(1));
  Use("fresh");
  EXPECT_THAT(Collect(9, {needed}, absl::Minutes(10)),
              ElementsAre("image docker.io/library/old:latest"));
  EXPECT_OK(images_->Get(needed));
  EXPECT_OK(images_->Get("fresh"));
}

TEST_F(PruneTest, WhenRoomIsMade_TheDiskHasWhatWasSaid) {
  for (const char* name : {"a", "b", "c"}) Make(name);
  PruneImagesRequest request;
  request.images = request.all = true;
  request.dry_run = true;
  ASSERT_OK_AND_ASSIGN(const PruneImagesResult planned,
                       images_->Prune(request));
  const int64_t before = SizeOnDisk();
  request.dry_run = false;
  int asked = 0;
  request.enough = [&asked] { return ++asked > 2; };
  ASSERT_OK_AND_ASSIGN(const PruneImagesResult some, images_->Prune(request));
  EXPECT_THAT(some.removed, SizeIs(2));
  const int64_t between = SizeOnDisk();
  EXPECT_NEAR(static_cast<double>(before - between),
              static_cast<double>(some.bytes), 20'000);
  request.enough = nullptr;
  ASSERT_OK_AND_ASSIGN(const PruneImagesResult rest, images_->Prune(request));
  EXPECT_NEAR(static_cast<double>(before - SizeOnDisk()),
              static_cast<double>(planned.bytes), 30'000);
  EXPECT_EQ(some.bytes + rest.bytes, planned.bytes);
  EXPECT_THAT(images_->List(), IsEmpty());
}

// Names are not looked up image by image: that took seconds.
TEST_F(PruneTest, WhenThereAreManyImages_ListingThemIsQuick) {
  std::string manifest;
  TarBuilder tar;
  tar.File("layer.tar", TarBuilder().File("f", "x").Build());
  const std::string diff_id =
      image::DigestOf(TarBuilder().File("f", "x").Build());
  constexpr int kImages = 200;
  for (int i = 0; i < kImages; ++i) {
    tar.File(
        absl::StrCat(i, ".json"),
        absl::StrCat(R"({"os":"linux","architecture":"amd64","author":")", i,
                     R"(","rootfs":{"diff_ids":[")", diff_id, R"("]}})"));
    absl::StrAppend(&manifest, i == 0 ? "" : ",", R"({"Config":")", i,
                    R"(.json","Layers":["layer.tar"],"RepoTags":["many/n)", i,
                    R"(:1","many/n)", i, R"(:2","many/n)", i, R"(:3"]})");
  }
  tar.File("manifest.json", absl::StrCat("[", manifest, "]"));
  const std::string archive = tar.Build();
  const UniqueFd fd(memfd_create("tar", MFD_CLOEXEC));
  ASSERT_OK(os::WriteAll(fd.get(), archive, "tar"));
  lseek(fd.get(), 0, SEEK_SET);
  ASSERT_OK(images_->Load(fd.get(), nullptr));
  // Nothing on disk is needed for it.
  ASSERT_EQ(rename((dir_ / "state/blobs").c_str(), (dir_ / "away").c_str()), 0);
  RealClock clock;
  const absl::Duration begin = clock.Steady();
  for (int i = 0; i < 20; ++i) {
    const std::vector<Image> images = images_->List();
    ASSERT_THAT(images, SizeIs(kImages));
    ASSERT_THAT(images[0].references, SizeIs(3));
  }
  // Far more than it takes, and far less than it took.
  EXPECT_LT(clock.Steady() - begin, absl::Seconds(2));
}

}  // namespace
}  // namespace bulwark::engine
