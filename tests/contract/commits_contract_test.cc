// The contract over the fake and over the store on disk. Needs root.
#include "tests/contract/commits_contract.h"

#include "base/clock.h"
#include "base/entropy.h"
#include "base/testing/status_matchers.h"
#include "engine/fake/images/fake_commits.h"
#include "engine/fake/images/fake_images.h"
#include "engine/image/local_images.h"
#include "os/files.h"

namespace bulwark::engine::testing {
namespace {

class FakeHarness final : public CommitsHarness {
 public:
  Images& images() override { return images_; }
  ImageCommits& commits() override { return commits_; }
  Image MakeBase() override {
    ImageConfig config;
    config.entrypoint = {"/e"};
    config.command = {"c"};
    config.env = {"X=1", "Y=2"};
    images_.Publish("base:1", 1, config);
    PullRequest pull;
    pull.reference = "base:1";
    auto image = images_.Pull(pull, nullptr);
    EXPECT_OK(image.status());
    return *image;
  }

 private:
  FakeImages images_;
  FakeCommits commits_{images_};
};

class LocalHarness final : public CommitsHarness {
 public:
  LocalHarness() {
    auto opened = LocalImages::Open({dir_ / "state", {}, &clock_, &entropy_});
    EXPECT_OK(opened.status());
    images_ = *std::move(opened);
  }
  Images& images() override { return *images_; }
  ImageCommits& commits() override { return *images_; }
  Image MakeBase() override {
    BuildRequest request;
    request.context_dir = dir_ / "context";
    request.tags = {"base:1"};
    EXPECT_OK(os::MakeDirs(request.context_dir, 0755));
    EXPECT_OK(os::WriteFileDurably(
        request.context_dir + "/Dockerfile",
        "FROM scratch\nCOPY Dockerfile /\nENV X=1 Y=2\nENTRYPOINT [\"/e\"]\n"
        "CMD [\"c\"]\n",
        0644));
    auto image = images_->Build(request, nullptr);
    EXPECT_OK(image.status());
    return *image;
  }

 private:
  ::bulwark::testing::TempDir dir_;
  RealClock clock_;
  SeededEntropy entropy_{5};
  std::unique_ptr<LocalImages> images_;
};

INSTANTIATE_TEST_SUITE_P(Fake, CommitsContractTest, ::testing::Values([] {
                           return std::make_unique<FakeHarness>();
                         }));
INSTANTIATE_TEST_SUITE_P(Local, CommitsContractTest, ::testing::Values([] {
                           return std::make_unique<LocalHarness>();
                         }));

}  // namespace
}  // namespace bulwark::engine::testing
