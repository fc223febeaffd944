// Images of several platforms: full disks, and what is removed to make room.
#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>

#include "engine/image/json.h"
#include "engine/image/testing/index_fixture.h"

namespace bulwark::engine {
namespace {

using ::bulwark::testing::IsOkAndHolds;
using ::bulwark::testing::StatusIs;
using image::Json;
using image::testing::IndexBuilder;
using registry::testing::FakeRegistry;
using ::testing::ElementsAre;
using testing::IndexTest;
using ::testing::IsEmpty;
using testing::Publish;
using ::testing::SizeIs;
using testing::TwoPlatforms;

constexpr auto kResourceExhausted = absl::StatusCode::kResourceExhausted;

// A disk of its own, that goes with the process.
class IndexRoomTest : public IndexTest {
 protected:
  void MakeDisk() {
    images_.reset();
    ASSERT_OK(os::MakeDirs(dir_ / "disk", 0700));
    ASSERT_EQ(unshare(CLONE_NEWNS), 0);
    ASSERT_EQ(mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr), 0);
    ASSERT_EQ(mount("tmpfs", (dir_ / "disk").c_str(), "tmpfs", 0, "size=16m"),
              0);
    Open("disk/state");
  }
  void TearDown() override {
    images_.reset();
    umount((dir_ / "disk").c_str());
  }
  // Gives the image so many names that the record needs more than a megabyte:
  // what is small can still be written when it cannot.
  void Swell(const std::string& digest) {
    images_.reset();
    const std::string path = dir_ / "disk/state/index.json";
    ASSERT_OK_AND_ASSIGN(const std::string text, os::ReadFile(path, 1 << 20));
    ASSERT_OK_AND_ASSIGN(Json record, image::ParseObject(text, "index.json"));
    for (int i = 0; i < 7'000; ++i) {
      record["references"][absl::StrCat("many/", std::string(90, 'x'), i)] =
          digest;
    }
    ASSERT_OK(os::WriteFileDurably(path, image::Dump(record)));
  }
  void Fill() {
    UniqueFd filler(open((dir_ / "disk/filler").c_str(),
                         O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
    const std::string block(4096, 'x');
    int64_t size = 0;
    for (int i = 0; i < 4096; ++i) {
      const ssize_t n = write(filler.get(), block.data(), block.size());
      if (n <= 0) break;
      size += n;
    }
    ASSERT_EQ(ftruncate(filler.get(), size - (128 << 10)), 0);
  }
  std::vector<std::string> Layers() {
    auto names = os::ListDir(dir_ / "disk/state/layers");
    return names.ok() ? *names : std::vector<std::string>{"no folder"};
  }
};

// A container may run on it.
TEST_F(IndexRoomTest, WhenTheDiskIsFull_ADamagedImageKeepsItsLayers) {
  MakeDisk();
  const IndexBuilder index = TwoPlatforms();
  ASSERT_OK(Load(index.Layout("app:1")));
  ASSERT_OK_AND_ASSIGN(const Image image, images_->Get("app:1"));
  Swell(image.digest);
  ASSERT_OK(
      os::WriteFileDurably(absl::StrCat(dir_ / "disk/state/blobs/sha256/",
                                        image::HexOf(image.config_digest)),
                           "rotten"));
  Open("disk/state");
  EXPECT_THAT(images_->List(), IsEmpty());
  Fill();
  for (int round = 0; round < 2; ++round) {
    EXPECT_THAT(Load(index.Layout("app:1")), StatusIs(kResourceExhausted));
    EXPECT_THAT(Layers(), SizeIs(1));
    EXPECT_THAT(images_->List(), IsEmpty());
  }
  ASSERT_EQ(unlink((dir_ / "disk/filler").c_str()), 0);
  ASSERT_OK(Load(index.Layout("app:1")));
  EXPECT_EQ(images_->Get("app:1")->layers, image.layers);
}

TEST_F(IndexRoomTest, WhenTheRecordCannotBeWritten_AllIsAsItWas) {
  MakeDisk();
  const IndexBuilder index = TwoPlatforms();
  ASSERT_OK(Load(index.Layout("app:1")));
  ASSERT_OK_AND_ASSIGN(const Image image, images_->Get("app:1"));
  Swell(image.digest);
  Open("disk/state");
  const auto blobs = os::ListDir(dir_ / "disk/state/blobs/sha256");
  const std::vector<Image> before = images_->List();
  Fill();
  IndexBuilder far;
  far.Image("arm64", "far").Image("s390x", "farther");
  const auto expect_same = [&] {
    const std::vector<Image> now = images_->List();
    ASSERT_THAT(now, SizeIs(1));
    EXPECT_EQ(now[0].references, before[0].references);
    EXPECT_EQ(now[0].indexes, before[0].indexes);
  };
  EXPECT_THAT(Load(far.Layout("far:1")), StatusIs(kResourceExhausted));
  expect_same();
  EXPECT_THAT(os::ListDir(dir_ / "disk/state/blobs/sha256"), blobs);
  EXPECT_THAT(Load(TwoPlatforms("two").Layout("app:1")),
              StatusIs(kResourceExhausted));
  expect_same();
  EXPECT_THAT(os::ListDir(dir_ / "disk/state/blobs/sha256"), blobs);
  EXPECT_THAT(images_->Tag("app:1", "other:1"), StatusIs(kResourceExhausted));
  EXPECT_THAT(images_->Untag("app:1"), StatusIs(kResourceExhausted));
  EXPECT_THAT(images_->Remove("app:1", {}), StatusIs(kResourceExhausted));
  expect_same();
  EXPECT_THAT(Layers(), SizeIs(1));
}

// What is larger than the store reads cannot be kept, or nothing would be
// swept from then on.
TEST_F(IndexRoomTest, WhenAnArchivePadsItsManifests_ItIsRefusedAndAllGoes) {
  const std::string blanks(5 << 20, ' ');
  IndexBuilder padded = TwoPlatforms();
  std::string manifest = padded.documents().at(padded.ManifestOf("arm64"));
  padded.Raw(manifest.insert(1, blanks));
  EXPECT_THAT(Load(padded.Layout("app:1")), StatusIs(kResourceExhausted));
  IndexBuilder large = TwoPlatforms();
  large.Pad(blanks.size());
  EXPECT_THAT(Load(large.Layout("app:1")), StatusIs(kResourceExhausted));
  EXPECT_THAT(images_->List(), IsEmpty());
  ASSERT_OK(Load(TwoPlatforms("good").Layout("app:1")));
  EXPECT_THAT(Prune(true).removed, SizeIs(1));
  EXPECT_THAT(Blobs(), IsEmpty());
}

TEST_F(IndexRoomTest, WhenAnIndexIsDamaged_LayersGoAndWhatIsToldIsTrue) {
  const IndexBuilder index = TwoPlatforms();
  IndexBuilder far;
  far.Image("arm64", "far");
  ASSERT_OK(Load(far.Layout("far:1")));
  ASSERT_OK(Load(index.Layout("app:1")));
  ASSERT_OK(os::WriteFileDurably(BlobPath(far.ManifestOf("arm64")), "rotten"));
  Open();
  const size_t blobs = Blobs().size();
  const int64_t before = images_->Usage({})->images.bytes;
  PruneImagesRequest request;
  request.images = request.all = true;
  int asked = 0;
  request.enough = [&asked] { return ++asked > 1; };
  ASSERT_OK_AND_ASSIGN(const PruneImagesResult some, images_->Prune(request));
  EXPECT_THAT(some.removed, ElementsAre("image docker.io/library/app:1"));
  EXPECT_THAT(os::ListDir(dir_ / "state/layers"), IsOkAndHolds(IsEmpty()));
  EXPECT_THAT(Blobs(), SizeIs(blobs));
  EXPECT_EQ(before - images_->Usage({})->images.bytes, some.bytes);
  // It is damaged no more when it is gone.
  ASSERT_OK(images_->Remove("far:1", {}));
  Prune(true);
  EXPECT_THAT(Blobs(), IsEmpty());
}

TEST_F(IndexRoomTest, WhenAnIndexHasANameByAnImage_ItGoesAfterIt) {
  FakeRegistry registry;
  IndexBuilder index;
  index.Image("arm64", "foreign").Image("s390x", "far");
  Publish(registry, "app", "1", index);
  Publish(registry, "app", "2", index);
  const std::string one = registry.address() + "/app:1";
  const std::string two = registry.address() + "/app:2";
  const auto fetch = [&] {
    ASSERT_OK(Pull(one, true));
    clock_.Advance(absl::Minutes(1));
    ASSERT_OK(Pull(two, false, "linux/arm64"));
  };
  fetch();
  PruneImagesRequest request;
  request.images = request.all = true;
  // In use: neither goes, and neither is told.
  request.in_use = {index.ManifestOf("arm64")};
  for (const bool dry_run : {true, false}) {
    request.dry_run = dry_run;
    ASSERT_OK_AND_ASSIGN(const auto none, images_->Prune(request));
    EXPECT_THAT(none.removed, IsEmpty());
    EXPECT_EQ(none.bytes, 0);
  }
  request.in_use.clear();
  EXPECT_THAT(Prune(true).removed, ElementsAre("image " + two, "image " + one));
  EXPECT_THAT(Blobs(), IsEmpty());
  fetch();
  request.enough = [] { return false; };
  ASSERT_OK_AND_ASSIGN(const auto all, images_->Prune(request));
  EXPECT_THAT(all.removed, ElementsAre("image " + two, "image " + one));
  EXPECT_THAT(Blobs(), IsEmpty());
  EXPECT_THAT(images_->List(), IsEmpty());
}

TEST_F(IndexRoomTest, WhenAnIndexGetsANameOrAUserMeanwhile_ItIsNotToldAsGone) {
  FakeRegistry registry;
  IndexBuilder index;
  index.Image("arm64", "foreign");
  Publish(registry, "app", "1", index);
  const std::string name = registry.address() + "/app:1";
  ASSERT_OK(Pull(name, true));
  PruneImagesRequest request;
  request.images = request.all = true;
  request.enough = [&] {
    EXPECT_OK(images_->Tag(name, "other:1"));
    return false;
  };
  ASSERT_OK_AND_ASSIGN(const auto none, images_->Prune(request));
  EXPECT_THAT(none.removed, IsEmpty());
  EXPECT_EQ(none.bytes, 0);
  ASSERT_OK(images_->Untag("other:1"));
  // While it is sent.
  PushRequest push;
  push.reference = name;
  push.target = registry.address() + "/copy:1";
  push.all_platforms = true;
  request.enough = nullptr;
  int told = 0;
  ASSERT_OK(images_->Push(push, [&](const Progress&) {
    const auto pruned = images_->Prune(request);
    EXPECT_OK(pruned);
    if (pruned.ok()) {
      EXPECT_THAT(pruned->removed, IsEmpty());
    }
    ++told;
    return true;
  }));
  EXPECT_GT(told, 0);
  EXPECT_OK(PushAll(name, registry.address() + "/copy:2"));
  ExpectThere(registry, "copy", "2", index);
}

TEST_F(IndexRoomTest, WhenRemovedWhileItIsRead_NoIndexStaysWithoutAName) {
  FakeRegistry registry;
  Publish(registry, "app", "1", TwoPlatforms());
  const std::string name = registry.address() + "/app:1";
  ASSERT_OK(Pull(name, false));
  bool removed = false;
  ASSERT_OK(images_->Verify({}, [&](int64_t, int64_t) {
    if (!removed) {
      removed = true;
      EXPECT_OK(images_->Remove(name, {}));
    }
    return true;
  }));
  ASSERT_TRUE(removed);
  for (const Image& image : images_->List()) EXPECT_FALSE(image.is_index);
}

TEST_F(IndexRoomTest, WhenTwoPartsOfOneIndexCome_TheirSizesAreAdded) {
  const IndexBuilder index = TwoPlatforms();
  for (const char* missing : {"arm64", "amd64"}) {
    ASSERT_OK(Load(index.Layout(
        "app:1", {index.LayerOf(missing), index.ManifestOf(missing)})));
  }
  const auto size = [this] {
    for (const Image& image : images_->List()) {
      if (image.is_index) return image.size_bytes;
    }
    return int64_t{0};
  };
  const int64_t now = size();
  EXPECT_GT(now, 0);
  Open();
  EXPECT_EQ(now, size());
}

// Not as if the archive had no other platform.
TEST_F(IndexRoomTest, WhenAPartCannotBeStored_TheLoadFails) {
  MakeDisk();
  const IndexBuilder index = TwoPlatforms();
  ASSERT_OK(Load(index.Layout("app:1", {index.LayerOf("arm64")})));
  // Nothing can be moved to there any more.
  const std::string blobs = dir_ / "disk/state/blobs/sha256";
  ASSERT_EQ(mount(blobs.c_str(), blobs.c_str(), nullptr, MS_BIND, nullptr), 0);
  EXPECT_FALSE(Load(index.Layout("app:1")).ok());
  ASSERT_EQ(umount(blobs.c_str()), 0);
  EXPECT_OK(Load(index.Layout("app:1")));
}

TEST_F(IndexRoomTest, WhenAnArchiveHasManyNamesOfOneIndex_AllAreGiven) {
  ASSERT_OK(Load(TwoPlatforms().Layout("app:0")));
  SaveRequest save;
  save.all_platforms = true;
  save.format = ImageFormat::kOci;
  for (int i = 0; i < 50; ++i) {
    save.references.push_back(absl::StrCat("app:", i));
    ASSERT_OK(images_->Tag("app:0", save.references.back()));
  }
  const UniqueFd fd(memfd_create("archive", MFD_CLOEXEC));
  ASSERT_OK(images_->Save(save, fd.get(), nullptr));
  lseek(fd.get(), 0, SEEK_SET);
  Open("other");
  ASSERT_OK_AND_ASSIGN(const auto loaded, images_->Load(fd.get(), nullptr));
  ASSERT_THAT(loaded, SizeIs(1));
  EXPECT_THAT(loaded[0].references, SizeIs(50));
  EXPECT_THAT(loaded[0].indexes, SizeIs(50));
}

}  // namespace
}  // namespace bulwark::engine
