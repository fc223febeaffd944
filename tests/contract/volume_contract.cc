#include "tests/contract/volume_contract.h"

#include <gmock/gmock.h>

#include <string>
#include <vector>

#include "base/testing/status_matchers.h"

namespace bulwark::volumes {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using testing::StatusIs;

std::vector<std::string> Ids(Volumes& volumes) {
  std::vector<std::string> ids;
  for (const VolumeInfo& v : volumes.List()) ids.push_back(v.id);
  return ids;
}

}  // namespace

TEST_P(VolumeContract, WhenEnsuredTwice_IsTheSameVolume) {
  ASSERT_OK_AND_ASSIGN(VolumeInfo first, volumes_->Ensure("b"));
  ASSERT_OK_AND_ASSIGN(VolumeInfo second, volumes_->Ensure("b"));
  EXPECT_EQ(first.id, "b");
  EXPECT_EQ(first.path, second.path);
  EXPECT_EQ(first.path[0], '/');
  ASSERT_OK_AND_ASSIGN(VolumeInfo other, volumes_->Ensure("a"));
  EXPECT_NE(other.path, first.path);
  EXPECT_THAT(Ids(*volumes_), ElementsAre("a", "b"));
}

TEST_P(VolumeContract, WhenDeleted_IsGone) {
  ASSERT_OK(volumes_->Ensure("a"));
  EXPECT_OK(volumes_->Delete("a"));
  EXPECT_THAT(Ids(*volumes_), IsEmpty());
  EXPECT_OK(volumes_->Delete("a"));
  EXPECT_OK(volumes_->Delete("never-was"));
  EXPECT_OK(volumes_->Ensure("a"));
}

TEST_P(VolumeContract, WhenAnIdIsNoSafeName_Refuses) {
  for (const std::string& id :
       {std::string(), std::string("."), std::string(".."),
        std::string(".trash"), std::string("a/b"), std::string("../etc"),
        std::string("A"), std::string("a\0b", 3), std::string(65, 'a')}) {
    EXPECT_THAT(volumes_->Ensure(id),
                StatusIs(absl::StatusCode::kInvalidArgument));
    EXPECT_THAT(volumes_->Delete(id),
                StatusIs(absl::StatusCode::kInvalidArgument));
  }
  EXPECT_THAT(Ids(*volumes_), IsEmpty());
  EXPECT_OK(volumes_->Ensure(std::string(64, 'a')));
}

GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(VolumeContract);

}  // namespace bulwark::volumes
