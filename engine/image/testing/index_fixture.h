// A store, and registries with images of several platforms.
#ifndef ENGINE_IMAGE_TESTING_INDEX_FIXTURE_H_
#define ENGINE_IMAGE_TESTING_INDEX_FIXTURE_H_

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/testing/fake_clock.h"
#include "base/testing/status_matchers.h"
#include "base/testing/temp_dir.h"
#include "engine/image/digest.h"
#include "engine/image/local_images.h"
#include "engine/image/manifest.h"
#include "engine/image/testing/index_builder.h"
#include "engine/registry/testing/fake_registry.h"
#include "os/files.h"

namespace bulwark::engine::testing {

using image::testing::IndexBuilder;
using registry::testing::FakeRegistry;

inline void Publish(FakeRegistry& registry, const std::string& repository,
                    const std::string& tag, const IndexBuilder& index) {
  for (const auto& [digest, blob] : index.blobs()) {
    registry.PutBlob(repository, blob);
  }
  for (const auto& [digest, text] : index.documents()) {
    registry.PutManifest(repository, digest, text, image::kOciManifest);
  }
  registry.PutManifest(repository, tag, index.Text(), image::kOciIndex);
}

// For this host, for another, and a note about where it came from.
inline IndexBuilder TwoPlatforms(const std::string& content = "one") {
  IndexBuilder index;
  index.Image("amd64", content + " for amd64");
  index.Image("arm64", content + " for arm64");
  index.Attestation(content);
  return index;
}

class IndexTest : public ::testing::Test {
 protected:
  void Open(const std::string& state = "state") {
    images_.reset();
    LocalImagesConfig config;
    config.state_dir = dir_ / state;
    config.clock = &clock_;
    config.entropy = &entropy_;
    auto opened = LocalImages::Open(std::move(config));
    ASSERT_OK(opened);
    images_ = *std::move(opened);
  }
  void SetUp() override { Open(); }

  absl::StatusOr<Image> Pull(const std::string& reference, bool all,
                             const std::string& platform = "") {
    PullRequest request;
    request.reference = reference;
    request.all_platforms = all;
    request.platform = platform;
    request.always = true;
    return images_->Pull(request, nullptr);
  }
  absl::StatusOr<std::string> PushAll(const std::string& reference,
                                      const std::string& target) {
    statuses_.clear();
    PushRequest request;
    request.reference = reference;
    request.target = target;
    request.all_platforms = true;
    return images_->Push(request, [this](const Progress& progress) {
      statuses_.push_back(progress.status);
      return true;
    });
  }
  absl::StatusOr<std::string> SaveAll(const std::string& reference,
                                      ImageFormat format) {
    UniqueFd fd(memfd_create("archive", MFD_CLOEXEC));
    SaveRequest request;
    request.references = {reference};
    request.format = format;
    request.all_platforms = true;
    RETURN_IF_ERROR(images_->Save(request, fd.get(), nullptr));
    lseek(fd.get(), 0, SEEK_SET);
    return os::ReadFd(fd.get(), "archive", 64 << 20);
  }
  absl::StatusOr<std::vector<Image>> Load(const std::string& archive) {
    UniqueFd fd(memfd_create("archive", MFD_CLOEXEC));
    RETURN_IF_ERROR(os::WriteAll(fd.get(), archive, "memfd"));
    lseek(fd.get(), 0, SEEK_SET);
    return images_->Load(fd.get(), nullptr);
  }
  PruneImagesResult Prune(bool all) {
    PruneImagesRequest request;
    request.images = true;
    request.all = all;
    auto result = images_->Prune(request);
    EXPECT_OK(result);
    return result.ok() ? *result : PruneImagesResult();
  }
  std::vector<std::string> Blobs() {
    auto names = os::ListDir(dir_ / "state/blobs/sha256");
    return names.ok() ? *names : std::vector<std::string>{"no folder"};
  }
  std::string BlobPath(const std::string& digest) {
    return dir_ / absl::StrCat("state/blobs/sha256/", image::HexOf(digest));
  }
  // That `repository` has under `tag` all that was published, byte for byte.
  void ExpectThere(FakeRegistry& registry, const std::string& repository,
                   const std::string& tag, const IndexBuilder& index) {
    EXPECT_EQ(registry.Manifest(repository, tag), index.Text());
    EXPECT_EQ(registry.MediaType(repository, tag), image::kOciIndex);
    for (const auto& [digest, text] : index.documents()) {
      EXPECT_EQ(registry.Manifest(repository, digest), text);
    }
    for (const auto& [digest, blob] : index.blobs()) {
      EXPECT_TRUE(registry.HasBlob(repository, digest));
    }
  }

  bulwark::testing::TempDir dir_;
  bulwark::testing::FakeClock clock_;
  SeededEntropy entropy_{7};
  std::unique_ptr<LocalImages> images_;
  std::vector<std::string> statuses_;
};

}  // namespace bulwark::engine::testing

#endif  // ENGINE_IMAGE_TESTING_INDEX_FIXTURE_H_
