// Images of several platforms: full disks, and what is removed to make room.
#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>

#include "engine/image/json.h"
#include "engine/image/testing/index_fixture.h"

namespace bulwark::engine {
namespace {

using ::bulwark::testing::StatusIs;
using image::Json;
using image::testing::IndexBuilder;
using testing::IndexTest;
using ::testing::IsEmpty;
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

}  // namespace
}  // namespace bulwark::engine
