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

const Wanted kWanted = [] { return true; };

std::vector<std::string> Ids(Volumes& volumes) {
  std::vector<std::string> ids;
  for (const VolumeInfo& v : volumes.List()) ids.push_back(v.id);
  return ids;
}

std::vector<std::string> Snapshots(Volumes& volumes, const std::string& id) {
  std::vector<std::string> names;
  const auto all = volumes.ListSnapshots(id);
  EXPECT_OK(all);
  if (!all.ok()) return names;
  for (const SnapshotInfo& s : *all) names.push_back(s.name);
  return names;
}

}  // namespace

TEST_P(VolumeContract, WhenEnsuredTwice_IsTheSameVolume) {
  ASSERT_OK_AND_ASSIGN(VolumeInfo first, volumes().Ensure(Spec("b")));
  world_->Write(first, "kept");
  ASSERT_OK_AND_ASSIGN(VolumeInfo second, volumes().Ensure(Spec("b")));
  EXPECT_EQ(first.id, "b");
  EXPECT_EQ(first.path, second.path);
  EXPECT_EQ(first.path[0], '/');
  EXPECT_EQ(world_->Read(second), "kept");
  ASSERT_OK_AND_ASSIGN(VolumeInfo other, volumes().Ensure(Spec("a")));
  EXPECT_NE(other.path, first.path);
  EXPECT_EQ(other.driver, world_->driver);
  EXPECT_THAT(Ids(volumes()), ElementsAre("a", "b"));
}

TEST_P(VolumeContract, WhenDeleted_IsGone) {
  ASSERT_OK_AND_ASSIGN(VolumeInfo info, volumes().Ensure(Spec("a")));
  world_->Write(info, "gone");
  EXPECT_OK(volumes().Delete("a"));
  EXPECT_THAT(Ids(volumes()), IsEmpty());
  EXPECT_OK(volumes().Delete("a"));
  EXPECT_OK(volumes().Delete("never-was"));
  ASSERT_OK_AND_ASSIGN(info, volumes().Ensure(Spec("a")));
  EXPECT_EQ(world_->Read(info), "");
}

TEST_P(VolumeContract, WhenTheDaemonDies_VolumesAreFoundAgain) {
  ASSERT_OK_AND_ASSIGN(VolumeInfo info, volumes().Ensure(Spec("a")));
  world_->Write(info, "kept");
  world_->Restart();
  EXPECT_THAT(Ids(volumes()), ElementsAre("a"));
  ASSERT_OK_AND_ASSIGN(info, volumes().Ensure(Spec("a")));
  EXPECT_EQ(world_->Read(info), "kept");
}

TEST_P(VolumeContract, WhenAnIdIsNoSafeName_Refuses) {
  for (const std::string& id :
       {std::string(), std::string("."), std::string(".."),
        std::string(".trash"), std::string("a/b"), std::string("../etc"),
        std::string("A"), std::string("a\0b", 3), std::string(65, 'a')}) {
    EXPECT_THAT(volumes().Ensure(Spec(id)),
                StatusIs(absl::StatusCode::kInvalidArgument));
    EXPECT_THAT(volumes().Delete(id),
                StatusIs(absl::StatusCode::kInvalidArgument));
  }
  EXPECT_THAT(Ids(volumes()), IsEmpty());
  ASSERT_OK(volumes().Ensure(Spec(std::string(64, 'a'))));
  if (!has_snapshots()) return;
  const std::string id(64, 'a');
  for (const std::string& name : {std::string(".."), std::string("a/b")}) {
    EXPECT_THAT(volumes().Snapshot(id, name, kWanted),
                StatusIs(absl::StatusCode::kInvalidArgument));
    EXPECT_THAT(volumes().DeleteSnapshot(id, name),
                StatusIs(absl::StatusCode::kInvalidArgument));
    EXPECT_THAT(volumes().Stage(id, name, "", kWanted),
                StatusIs(absl::StatusCode::kInvalidArgument));
  }
}

TEST_P(VolumeContract, WhenThereIsNoVolume_SaysSo) {
  EXPECT_THAT(volumes().GetUsage("a"), StatusIs(absl::StatusCode::kNotFound));
  EXPECT_THAT(volumes().ListSnapshots("a"),
              StatusIs(absl::StatusCode::kNotFound));
  EXPECT_THAT(volumes().Snapshot("a", "s", kWanted),
              StatusIs(absl::StatusCode::kNotFound));
  EXPECT_THAT(volumes().OpenSnapshot("a", "s"),
              StatusIs(absl::StatusCode::kNotFound));
  EXPECT_THAT(volumes().Stage("a", "t", "", kWanted),
              StatusIs(absl::StatusCode::kNotFound));
  EXPECT_THAT(volumes().Swap("a", "t"), StatusIs(absl::StatusCode::kNotFound));
  EXPECT_THAT(volumes().Clone("a", "s", Spec("b"), kWanted),
              StatusIs(absl::StatusCode::kNotFound));
  EXPECT_OK(volumes().DeleteSnapshot("a", "s"));
  EXPECT_OK(volumes().DropStage("a"));
  EXPECT_THAT(Ids(volumes()), IsEmpty());
}

TEST_P(VolumeContract, WhenInMemory_HasNoSnapshots) {
  if (has_snapshots()) return;
  ASSERT_OK(volumes().Ensure(Spec("a")));
  EXPECT_THAT(volumes().Snapshot("a", "s", kWanted),
              StatusIs(absl::StatusCode::kFailedPrecondition));
  EXPECT_THAT(volumes().Clone("a", "s", Spec("b"), kWanted),
              StatusIs(absl::StatusCode::kFailedPrecondition));
  EXPECT_THAT(volumes().Stage("a", "t", "", kWanted),
              StatusIs(absl::StatusCode::kFailedPrecondition));
  EXPECT_THAT(Snapshots(volumes(), "a"), IsEmpty());
}

TEST_P(VolumeContract, WhenASnapshotIsThere_ItStaysAsItWas) {
  if (!has_snapshots()) return;
  ASSERT_OK_AND_ASSIGN(VolumeInfo info, volumes().Ensure(Spec("a")));
  world_->Write(info, "one");
  ASSERT_OK(volumes().Snapshot("a", "s1", kWanted));
  world_->Write(info, "two");
  ASSERT_OK(volumes().Snapshot("a", "s1", kWanted));
  ASSERT_OK(volumes().Snapshot("a", "s2", kWanted));
  EXPECT_THAT(Snapshots(volumes(), "a"), ElementsAre("s1", "s2"));
  EXPECT_OK(volumes().OpenSnapshot("a", "s1"));
  EXPECT_THAT(volumes().OpenSnapshot("a", "s3"),
              StatusIs(absl::StatusCode::kNotFound));
  world_->Restart();
  ASSERT_OK(volumes().DeleteSnapshot("a", "s1"));
  ASSERT_OK(volumes().DeleteSnapshot("a", "s1"));
  EXPECT_THAT(Snapshots(volumes(), "a"), ElementsAre("s2"));
  EXPECT_EQ(world_->Read(info), "two");
  // They go with the volume.
  ASSERT_OK(volumes().Delete("a"));
  ASSERT_OK(volumes().Ensure(Spec("a")));
  EXPECT_THAT(Snapshots(volumes(), "a"), IsEmpty());
}

TEST_P(VolumeContract, WhenAStageIsSwapped_TheContentIsTheSnapshots) {
  if (!has_snapshots()) return;
  ASSERT_OK_AND_ASSIGN(VolumeInfo info, volumes().Ensure(Spec("a")));
  world_->Write(info, "good");
  ASSERT_OK(volumes().Snapshot("a", "s", kWanted));
  world_->Write(info, "damaged");
  EXPECT_THAT(volumes().Swap("a", "t"),
              StatusIs(absl::StatusCode::kFailedPrecondition));
  EXPECT_THAT(volumes().Stage("a", "t", "none", kWanted),
              StatusIs(absl::StatusCode::kNotFound));
  ASSERT_OK_AND_ASSIGN(auto view, volumes().Stage("a", "t", "s", kWanted));
  EXPECT_EQ(view, nullptr);
  EXPECT_EQ(world_->Read(info), "damaged");
  EXPECT_THAT(volumes().Swap("a", "other"),
              StatusIs(absl::StatusCode::kFailedPrecondition));
  for (int i = 0; i < 3; ++i) {
    ASSERT_OK(volumes().Swap("a", "t"));
    EXPECT_EQ(world_->Read(info), "good");
    world_->Restart();
    ASSERT_OK(volumes().Ensure(Spec("a")));
  }
  // What is written after the swap is not taken back by its repetition.
  world_->Write(info, "newer");
  ASSERT_OK(volumes().Swap("a", "t"));
  EXPECT_EQ(world_->Read(info), "newer");
  ASSERT_OK(volumes().DropStage("a"));
  ASSERT_OK(volumes().DropStage("a"));
  EXPECT_EQ(world_->Read(info), "newer");
  EXPECT_THAT(volumes().Swap("a", "t"),
              StatusIs(absl::StatusCode::kFailedPrecondition));
  EXPECT_THAT(Snapshots(volumes(), "a"), ElementsAre("s"));
}

TEST_P(VolumeContract, WhenAStageIsDropped_TheContentStays) {
  if (!has_snapshots()) return;
  ASSERT_OK_AND_ASSIGN(VolumeInfo info, volumes().Ensure(Spec("a")));
  world_->Write(info, "old");
  {
    ASSERT_OK_AND_ASSIGN(auto view, volumes().Stage("a", "t", "", kWanted));
    ASSERT_NE(view, nullptr);
    world_->Fill("a", *view, "half");
  }
  world_->Restart();
  // Another try begins anew.
  {
    ASSERT_OK_AND_ASSIGN(auto view, volumes().Stage("a", "t2", "", kWanted));
    world_->Fill("a", *view, "whole");
  }
  EXPECT_EQ(world_->Read(info), "old");
  EXPECT_THAT(volumes().Swap("a", "t"),
              StatusIs(absl::StatusCode::kFailedPrecondition));
  ASSERT_OK(volumes().DropStage("a"));
  EXPECT_THAT(volumes().Swap("a", "t2"),
              StatusIs(absl::StatusCode::kFailedPrecondition));
  EXPECT_EQ(world_->Read(info), "old");
  {
    ASSERT_OK_AND_ASSIGN(auto view, volumes().Stage("a", "t3", "", kWanted));
    world_->Fill("a", *view, "whole");
  }
  ASSERT_OK(volumes().Swap("a", "t3"));
  EXPECT_EQ(world_->Read(info), "whole");
}

TEST_P(VolumeContract, WhenCloned_TheTwoGoTheirOwnWays) {
  if (!has_snapshots()) return;
  ASSERT_OK_AND_ASSIGN(VolumeInfo info, volumes().Ensure(Spec("a")));
  world_->Write(info, "one");
  ASSERT_OK(volumes().Snapshot("a", "s", kWanted));
  EXPECT_THAT(volumes().Clone("a", "none", Spec("b"), kWanted),
              StatusIs(absl::StatusCode::kNotFound));
  ASSERT_OK_AND_ASSIGN(VolumeInfo clone,
                       volumes().Clone("a", "s", Spec("b"), kWanted));
  EXPECT_EQ(clone.id, "b");
  EXPECT_EQ(world_->Read(clone), "one");
  world_->Write(clone, "two");
  ASSERT_OK(volumes().Clone("a", "s", Spec("b"), kWanted));
  EXPECT_EQ(world_->Read(clone), "two");
  EXPECT_EQ(world_->Read(info), "one");
  EXPECT_THAT(Snapshots(volumes(), "b"), IsEmpty());
  ASSERT_OK(volumes().Delete("a"));
  EXPECT_EQ(world_->Read(clone), "two");
  EXPECT_THAT(Ids(volumes()), ElementsAre("b"));
}

GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(VolumeContract);

}  // namespace bulwark::volumes
