// The contract over the fake and over the store on disk.
#include "tests/contract/images_contract.h"

#include <sys/mman.h>
#include <unistd.h>

#include <fstream>

#include "absl/strings/str_cat.h"
#include "base/clock.h"
#include "base/entropy.h"
#include "base/testing/status_matchers.h"
#include "base/testing/temp_dir.h"
#include "engine/fake/images/fake_images.h"
#include "engine/image/digest.h"
#include "engine/image/json.h"
#include "engine/image/local_images.h"
#include "engine/image/testing/index_builder.h"
#include "engine/image/testing/tar_builder.h"
#include "os/files.h"

namespace bulwark::engine::testing {
namespace {

using image::DigestOf;
using image::Dump;
using image::Json;
using image::testing::IndexBuilder;
using image::testing::TarBuilder;

class FakeHarness final : public ImagesHarness {
 public:
  Images& images() override { return images_; }
  std::string Add(const std::string& reference) override {
    const std::string digest = images_.Publish(reference).digest;
    PullRequest request;
    request.reference = reference;
    request.always = true;
    EXPECT_OK(images_.Pull(request, nullptr).status());
    return digest;
  }
  std::string AddIndex(const std::string& reference,
                       bool for_this_host) override {
    const std::string digest = images_.PublishIndex(reference, for_this_host);
    PullRequest request;
    request.reference = reference;
    request.all_platforms = true;
    EXPECT_OK(images_.Pull(request, nullptr).status());
    return digest;
  }
  void Build(const std::string& reference) override {
    BuildRequest request;
    request.tags = {reference};
    EXPECT_OK(images_.Build(request, nullptr).status());
  }

 private:
  FakeImages images_;
};

class LocalHarness final : public ImagesHarness {
 public:
  LocalHarness() {
    auto opened = LocalImages::Open({dir_ / "state", {}, &clock_, &entropy_});
    EXPECT_OK(opened.status());
    images_ = *std::move(opened);
  }
  Images& images() override { return *images_; }

  std::string Add(const std::string& reference) override {
    const std::string layer =
        TarBuilder()
            .File("data", absl::StrCat(reference, std::string(50000, 'x')))
            .Build();
    const std::string config = Dump(Json{
        {"os", "linux"},
        {"architecture", "amd64"},
        {"rootfs", {{"type", "layers"}, {"diff_ids", {DigestOf(layer)}}}}});
    Json item = {{"Config", "config.json"}, {"Layers", {"layer.tar"}}};
    item["RepoTags"] = Json::array({reference});
    const std::string archive =
        TarBuilder()
            .File("layer.tar", layer)
            .File("config.json", config)
            .File("manifest.json", Dump(Json::array({item})))
            .Build();
    return Load(archive);
  }
  std::string AddIndex(const std::string& reference,
                       bool for_this_host) override {
    IndexBuilder index;
    if (for_this_host) index.Image("amd64", "here");
    index.Image("arm64", "elsewhere");
    Load(index.Layout(reference));
    return index.Digest();
  }

  void Build(const std::string& reference) override {
    const std::string context = dir_ / "context";
    EXPECT_OK(os::MakeDirs(context, 0755));
    std::ofstream(context + "/Dockerfile") << "FROM scratch\nCOPY file /\n";
    std::ofstream(context + "/file") << "content";
    BuildRequest request;
    request.context_dir = context;
    request.tags = {reference};
    EXPECT_OK(images_->Build(request, nullptr).status());
  }

 private:
  std::string Load(const std::string& archive) {
    UniqueFd fd(memfd_create("archive", MFD_CLOEXEC));
    EXPECT_OK(os::WriteAll(fd.get(), archive, "memfd"));
    lseek(fd.get(), 0, SEEK_SET);
    auto loaded = images_->Load(fd.get(), nullptr);
    EXPECT_OK(loaded.status());
    return loaded.ok() ? loaded->front().digest : "";
  }

  bulwark::testing::TempDir dir_;
  RealClock clock_;
  RealEntropy entropy_;
  std::unique_ptr<LocalImages> images_;
};

INSTANTIATE_TEST_SUITE_P(Fake, ImagesContractTest, ::testing::Values([] {
                           return std::make_unique<FakeHarness>();
                         }));
INSTANTIATE_TEST_SUITE_P(Local, ImagesContractTest, ::testing::Values([] {
                           return std::make_unique<LocalHarness>();
                         }));

}  // namespace
}  // namespace bulwark::engine::testing
