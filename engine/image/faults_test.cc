// The image store on a full disk, killed at any moment, and used by many.
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/clock.h"
#include "base/testing/status_matchers.h"
#include "base/testing/temp_dir.h"
#include "engine/image/digest.h"
#include "engine/image/json.h"
#include "engine/image/local_images.h"
#include "engine/image/testing/tar_builder.h"
#include "os/files.h"

namespace bulwark::engine {
namespace {

using ::bulwark::testing::IsOkAndHolds;
using ::bulwark::testing::StatusIs;
using ::bulwark::testing::TempDir;
using image::DigestOf;
using image::Json;
using image::testing::TarBuilder;
using ::testing::IsEmpty;
using ::testing::SizeIs;

std::string Layer(const std::string& file, size_t size) {
  return TarBuilder().File(file, std::string(size, 'x')).Build();
}

std::string Archive(const std::string& name,
                    const std::vector<std::string>& layers) {
  TarBuilder tar;
  Json ids = Json::array();
  Json names = Json::array();
  for (const std::string& layer : layers) {
    tar.File(absl::StrCat("layer", names.size()), layer);
    names.push_back(absl::StrCat("layer", names.size()));
    ids.push_back(DigestOf(layer));
  }
  tar.File("config", image::Dump(Json{{"os", "linux"},
                                      {"architecture", "amd64"},
                                      {"rootfs", {{"diff_ids", ids}}}}));
  tar.File(
      "manifest.json",
      image::Dump(Json::array({Json{
          {"Config", "config"}, {"RepoTags", {name}}, {"Layers", names}}})));
  return tar.Build();
}

absl::StatusOr<std::vector<Image>> Load(LocalImages* images,
                                        absl::string_view archive) {
  UniqueFd fd(memfd_create("archive", MFD_CLOEXEC));
  RETURN_IF_ERROR(os::WriteAll(fd.get(), archive, "memfd"));
  lseek(fd.get(), 0, SEEK_SET);
  return images->Load(fd.get(), nullptr);
}

class FaultsTest : public ::testing::Test {
 protected:
  std::unique_ptr<LocalImages> Open() {
    LocalImagesConfig config;
    config.state_dir = dir_ / "disk/state";
    config.clock = &clock_;
    config.entropy = &entropy_;
    auto opened = LocalImages::Open(config);
    EXPECT_OK(opened);
    return opened.ok() ? *std::move(opened) : nullptr;
  }

  // Every file that the image promises is there, with its size.
  static void ExpectWhole(const Image& image, const std::string& file,
                          size_t size) {
    for (const std::string& layer : image.layers) {
      EXPECT_THAT(os::ReadFile(absl::StrCat(layer, "/", file), 64 << 20),
                  IsOkAndHolds(SizeIs(size)));
    }
  }

  TempDir dir_;
  RealClock clock_;
  RealEntropy entropy_;
};

TEST_F(FaultsTest, WhenTheDiskIsFull_FailsCleanlyAndRecovers) {
  ASSERT_OK(os::MakeDirs(dir_ / "disk", 0700));
  // In a mount namespace of our own: it goes with the process.
  ASSERT_EQ(unshare(CLONE_NEWNS), 0);
  ASSERT_EQ(mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr), 0);
  ASSERT_EQ(mount("tmpfs", (dir_ / "disk").c_str(), "tmpfs", 0, "size=8m"), 0);
  {
    std::unique_ptr<LocalImages> images = Open();
    ASSERT_OK(Load(images.get(), Archive("small", {Layer("f", 100'000)})));
    const std::string large = Archive("large", {Layer("f", 3 << 20)});
    ASSERT_OK(
        os::WriteFileDurably(dir_ / "disk/filler", std::string(5 << 20, 'x')));

    const std::string blobs = dir_ / "disk/state/blobs/sha256";
    ASSERT_OK_AND_ASSIGN(const auto before, os::ListDir(blobs));
    EXPECT_THAT(Load(images.get(), large),
                StatusIs(absl::StatusCode::kResourceExhausted));
    EXPECT_THAT(os::ListDir(blobs), IsOkAndHolds(before));

    // What was there still works, and nothing of the failure remains.
    EXPECT_THAT(os::ListDir(dir_ / "disk/state/ingest"),
                IsOkAndHolds(IsEmpty()));
    ASSERT_OK_AND_ASSIGN(Image small, images->Get("small"));
    ExpectWhole(small, "f", 100'000);
    EXPECT_THAT(images->List(), SizeIs(1));
    ASSERT_EQ(unlink((dir_ / "disk/filler").c_str()), 0);
    EXPECT_OK(Load(images.get(), large));
    ASSERT_OK_AND_ASSIGN(Image image, images->Get("large"));
    ExpectWhole(image, "f", 3 << 20);
  }
  EXPECT_EQ(umount((dir_ / "disk").c_str()), 0);
}

TEST_F(FaultsTest, WhenTheDiskIsFull_ImagesCanBeRemoved) {
  ASSERT_OK(os::MakeDirs(dir_ / "disk", 0700));
  ASSERT_EQ(unshare(CLONE_NEWNS), 0);
  ASSERT_EQ(mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr), 0);
  ASSERT_EQ(mount("tmpfs", (dir_ / "disk").c_str(), "tmpfs", 0, "size=4m"), 0);
  {
    std::unique_ptr<LocalImages> images = Open();
    ASSERT_OK(Load(images.get(), Archive("app", {Layer("f", 1 << 20)})));
    UniqueFd filler(open((dir_ / "disk/filler").c_str(),
                         O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
    const std::string block(4096, 'x');
    while (write(filler.get(), block.data(), block.size()) > 0) {
    }

    ASSERT_OK(images->Remove("app", {}));

    EXPECT_THAT(images->List(), IsEmpty());
    EXPECT_THAT(os::ListDir(dir_ / "disk/state/layers"),
                IsOkAndHolds(IsEmpty()));
  }
  EXPECT_EQ(umount((dir_ / "disk").c_str()), 0);
}

TEST_F(FaultsTest, WhenKilledAtAnyMoment_WhatIsNamedIsWhole) {
  std::vector<std::string> archives;
  for (int i = 0; i < 4; ++i) {
    archives.push_back(
        Archive(absl::StrCat("app", i),
                {Layer("f", 200'000 + i), Layer("f", 200'000 + i + 10)}));
  }
  for (int round = 0; round < 25; ++round) {
    pid_t pid = fork();
    ASSERT_GE(pid, 0);
    if (pid == 0) {  // loads and removes until it is killed
      std::unique_ptr<LocalImages> images = Open();
      for (int i = 0; images != nullptr; ++i) {
        Load(images.get(), archives[i % 4]).IgnoreError();
        if (i % 3 == 2) {
          images->Remove(absl::StrCat("app", i % 4), {}).IgnoreError();
        }
      }
      _exit(1);
    }
    clock_.Sleep(absl::Milliseconds(5 + entropy_.Next() % 60));
    ASSERT_EQ(kill(pid, SIGKILL), 0);
    int status = 0;
    ASSERT_EQ(waitpid(pid, &status, 0), pid);
    ASSERT_TRUE(WIFSIGNALED(status));

    std::unique_ptr<LocalImages> images = Open();
    ASSERT_NE(images, nullptr);
    EXPECT_THAT(os::ListDir(dir_ / "disk/state/ingest"),
                IsOkAndHolds(IsEmpty()));
    auto names = os::ReadFile(dir_ / "disk/state/index.json", 1 << 20);
    for (const Image& image : images->List()) {
      ASSERT_THAT(image.layers, SizeIs(2));
      for (size_t i = 0; i < 2; ++i) {
        auto text = os::ReadFile(image.layers[i] + "/f", 1 << 20);
        ASSERT_OK(text);
        EXPECT_GE(text->size(), 200'000);
      }
    }
    // Nothing that the index names was lost to damage.
    if (names.ok()) {
      ASSERT_OK_AND_ASSIGN(Json index, image::ParseObject(*names, "index"));
      EXPECT_EQ(image::StringList(index, "images").size(),
                images->List().size());
    }
  }
  // And the store goes on.
  std::unique_ptr<LocalImages> images = Open();
  EXPECT_OK(Load(images.get(), archives[0]));
  ASSERT_OK(images->Tag("app0", "kept"));
  for (const char* name : {"app0", "app1", "app2", "app3"}) {
    images->Remove(name, {}).IgnoreError();
  }
  EXPECT_THAT(images->List(), SizeIs(1));
  EXPECT_THAT(os::ListDir(dir_ / "disk/state/layers"), IsOkAndHolds(SizeIs(2)));
}

TEST_F(FaultsTest, WhenKilledWhileImportingAndRenaming_WhatIsNamedIsWhole) {
  const std::string tar = Layer("f", 300'000);
  for (int round = 0; round < 15; ++round) {
    const pid_t pid = fork();
    ASSERT_GE(pid, 0);
    if (pid == 0) {  // imports, renames and removes until it is killed
      std::unique_ptr<LocalImages> images = Open();
      for (int i = 0; images != nullptr; ++i) {
        ImportRequest request;
        request.reference = absl::StrCat("app", i % 3);
        request.message = absl::StrCat(round, ".", i);
        UniqueFd fd(memfd_create("tar", MFD_CLOEXEC));
        os::WriteAll(fd.get(), tar, "tar").IgnoreError();
        lseek(fd.get(), 0, SEEK_SET);
        images->Import(request, fd.get(), nullptr).IgnoreError();
        images->Tag(request.reference, "kept").IgnoreError();
        images->Untag(request.reference).IgnoreError();
        if (i % 4 == 3) images->Remove("kept", {}).IgnoreError();
      }
      _exit(1);
    }
    clock_.Sleep(absl::Milliseconds(5 + entropy_.Next() % 60));
    ASSERT_EQ(kill(pid, SIGKILL), 0);
    int status = 0;
    ASSERT_EQ(waitpid(pid, &status, 0), pid);
    ASSERT_TRUE(WIFSIGNALED(status));

    std::unique_ptr<LocalImages> images = Open();
    ASSERT_NE(images, nullptr);
    EXPECT_THAT(os::ListDir(dir_ / "disk/state/ingest"),
                IsOkAndHolds(IsEmpty()));
    // Every blob and every layer, byte by byte.
    EXPECT_THAT(images->Verify({}, nullptr), IsOkAndHolds(IsEmpty()));
  }
  std::unique_ptr<LocalImages> images = Open();
  PruneImagesRequest prune;
  prune.images = prune.all = true;
  ASSERT_OK(images->Prune(prune));
  EXPECT_THAT(os::ListDir(dir_ / "disk/state/layers"), IsOkAndHolds(IsEmpty()));
  EXPECT_THAT(os::ListDir(dir_ / "disk/state/blobs/sha256"),
              IsOkAndHolds(IsEmpty()));
}

TEST_F(FaultsTest, WhenManyLoadAndRemove_AnImageThatIsReturnedIsWhole) {
  std::unique_ptr<LocalImages> images = Open();
  const std::string shared = Layer("f", 50'000);
  std::vector<std::thread> threads;
  std::atomic<int> loads{0};
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      const std::string name = absl::StrCat("app", t);
      const std::string archive = Archive(
          name, {shared,
                 TarBuilder().File("f", std::string(50'000, 'a' + t)).Build()});
      for (int i = 0; i < 12; ++i) {
        auto loaded = Load(images.get(), archive);
        ASSERT_OK(loaded);
        ExpectWhole((*loaded)[0], "f", 50'000);
        ASSERT_OK(images->Remove(name, {}));
        ++loads;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(loads, 48);
  EXPECT_THAT(images->List(), IsEmpty());
  EXPECT_THAT(os::ListDir(dir_ / "disk/state/layers"), IsOkAndHolds(IsEmpty()));
  EXPECT_THAT(os::ListDir(dir_ / "disk/state/blobs/sha256"),
              IsOkAndHolds(IsEmpty()));
}

}  // namespace
}  // namespace bulwark::engine
