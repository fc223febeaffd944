#include "tests/contract/commits_contract.h"

#include <gmock/gmock.h>

#include <fstream>

#include "base/testing/status_matchers.h"
#include "os/files.h"

namespace bulwark::engine::testing {
namespace {

using ::bulwark::testing::IsOkAndHolds;
using ::bulwark::testing::StatusIs;
using ::testing::ElementsAre;

}  // namespace

void CommitsContractTest::SetUp() {
  harness_ = GetParam()();
  base_ = harness_->MakeBase();
  request_.base = base_.digest;
  request_.upper_dir = upper_.path();
}

TEST_P(CommitsContractTest, WhenFilesWereWritten_TheImageHasOneMoreLayer) {
  std::ofstream(upper_ / "n") << "new";
  request_.tags = {"made:1"};
  request_.config.command = {"d"};
  request_.config.env = {"X=3"};
  request_.changes = {"USER app", "ENV W=4"};
  ASSERT_OK_AND_ASSIGN(const Image image, harness_->commits().Commit(request_));
  ASSERT_EQ(image.layers.size(), base_.layers.size() + 1);
  EXPECT_EQ(image.layers[0], base_.layers[0]);
  EXPECT_THAT(os::ReadFile(image.layers.back() + "/n", 100),
              IsOkAndHolds("new"));
  EXPECT_THAT(image.config.entrypoint, ElementsAre("/e"));
  EXPECT_THAT(image.config.command, ElementsAre("d"));
  EXPECT_THAT(image.config.env, ElementsAre("Y=2", "X=3", "W=4"));
  EXPECT_EQ(image.config.user, "app");
  ASSERT_OK_AND_ASSIGN(const Image found, harness_->images().Get("made:1"));
  EXPECT_EQ(found.digest, image.digest);
  EXPECT_NE(image.digest, base_.digest);
  EXPECT_THAT(os::ReadFile(upper_ / "n", 100), IsOkAndHolds("new"));
}

TEST_P(CommitsContractTest, WhenNothingWasWritten_TheLayersAreTheSame) {
  request_.config.entrypoint = {"/other"};
  ASSERT_OK_AND_ASSIGN(const Image image, harness_->commits().Commit(request_));
  EXPECT_EQ(image.layers, base_.layers);
  EXPECT_THAT(image.config.entrypoint, ElementsAre("/other"));
  // It was for the other one.
  EXPECT_THAT(image.config.command, ElementsAre());
  ASSERT_OK(harness_->images().Get(image.digest).status());
}

TEST_P(CommitsContractTest, WhenSomethingIsWrong_NothingIsMade) {
  const size_t images = harness_->images().List().size();
  for (const char* change :
       {"RUN true", "COPY a b", "FROM x", "NONSENSE", ""}) {
    request_.changes = {change};
    EXPECT_THAT(harness_->commits().Commit(request_),
                StatusIs(absl::StatusCode::kInvalidArgument))
        << change;
  }
  request_.changes.clear();
  request_.tags = {"a:b:c"};
  EXPECT_THAT(harness_->commits().Commit(request_),
              StatusIs(absl::StatusCode::kInvalidArgument));
  request_.tags.clear();
  request_.base = "sha256:" + std::string(64, '0');
  EXPECT_THAT(harness_->commits().Commit(request_),
              StatusIs(absl::StatusCode::kNotFound));
  EXPECT_EQ(harness_->images().List().size(), images);
}

}  // namespace bulwark::engine::testing
