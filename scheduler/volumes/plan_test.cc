#include "scheduler/volumes/plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "scheduler/conditions.h"
#include "scheduler/volumes/mounted.h"

namespace bulwark::scheduler {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

volumes::Usage Full(int percent, int inode_percent = 0) {
  volumes::Usage usage;
  usage.capacity_bytes = 1000;
  usage.available_bytes = 1000 - 10 * percent;
  usage.capacity_inodes = 100;
  usage.used_inodes = inode_percent;
  return usage;
}

TEST(NearlyFullTest, TellsOnceAtEachLevel) {
  v1::Volume volume;
  volume.mutable_spec()->set_driver(v1::VolumeSpec::IMAGE);
  const struct {
    int full;
    const char* reason;
    bool worse;
  } kSteps[] = {
      {10, "HasRoom", false},        {79, "HasRoom", false},
      {80, "Above80Percent", true},  {85, "Above80Percent", false},
      {78, "Above80Percent", false},  // it lingers
      {81, "Above80Percent", false}, {91, "Above90Percent", true},
      {88, "Above90Percent", false}, {86, "Above80Percent", false},
      {76, "HasRoom", false},        {95, "Above90Percent", true},
  };
  for (const auto& step : kSteps) {
    const v1::Condition after = NearlyFullCondition(volume, Full(step.full));
    EXPECT_EQ(after.reason(), step.reason) << step.full;
    EXPECT_EQ(IsWorse(FindCondition(volume.status().conditions(), "NearlyFull"),
                      after),
              step.worse)
        << step.full;
    SetCondition(*volume.mutable_status()->mutable_conditions(), after,
                 absl::UnixEpoch());
  }
}

TEST(NearlyFullTest, CountsInodesToo) {
  EXPECT_EQ(FullPercent(Full(10, 93)), 93);
  EXPECT_EQ(FullPercent(volumes::Usage()), 0);
}

TEST(NearlyFullTest, SaysWhatIsFull) {
  v1::Volume volume;
  EXPECT_THAT(NearlyFullCondition(volume, Full(90)).message(),
              HasSubstr("the disk under it"));
  volume.mutable_spec()->set_driver(v1::VolumeSpec::TMPFS);
  EXPECT_THAT(NearlyFullCondition(volume, Full(90)).message(),
              HasSubstr("larger size"));
}

TEST(ReadyTest, HasAReasonForEachCause) {
  EXPECT_EQ(ReadyCondition(absl::OkStatus()).status(), v1::Condition::TRUE);
  const v1::Condition full =
      ReadyCondition(absl::ResourceExhaustedError("make x: no space"));
  EXPECT_EQ(full.reason(), "NoSpace");
  EXPECT_THAT(full.message(), HasSubstr("free some disk space"));
  EXPECT_EQ(ReadyCondition(absl::DataLossError("x")).reason(), "Damaged");
  EXPECT_EQ(ReadyCondition(absl::InternalError("x")).reason(), "Failed");
}

TEST(SnapshotsTest, KeepsWhoMadeThemAndHidesOurOwn) {
  v1::VolumeStatus status;
  v1::VolumeSnapshot& known = *status.add_snapshots();
  known.set_name("a");
  known.mutable_actor()->set_name("ann");
  status.add_snapshots()->set_name("gone");
  volumes::SnapshotInfo a, b, own;
  a.name = "a";
  b.name = "b";
  own.name = OwnSnapshot("backup", "x");
  RecordSnapshots({a, own, b}, status);
  ASSERT_EQ(status.snapshots_size(), 2);
  EXPECT_EQ(status.snapshots(0).actor().name(), "ann");
  EXPECT_EQ(status.snapshots(1).name(), "b");
}

v1::Template Mounts(const std::string& volume, bool per_replica) {
  v1::Template t;
  v1::VolumeMount& mount = *t.add_sidecars()->add_volumes();
  mount.set_volume(volume);
  mount.set_per_replica(per_replica);
  t.add_containers()->add_volumes()->set_host_path("/etc");
  return t;
}

TEST(MountedTest, FindsVolumesOfSlots) {
  const v1::Template t = Mounts("data", true);
  v1::Replica replica;
  replica.mutable_spec()->set_service("db");
  replica.mutable_spec()->set_slot(2);
  EXPECT_THAT(VolumesOf(t, replica), ElementsAre("db-data-2"));
  EXPECT_EQ(FirstMounted(t, "db", {"db-data-12"}), "db-data-12");
  EXPECT_EQ(
      FirstMounted(t, "db", {"data", "db-data-", "db-data-x", "b-data-1"}), "");
  EXPECT_THAT(NamedVolumes(t), IsEmpty());
  EXPECT_TRUE(KindsOf(t, "data").as_pattern);
  EXPECT_FALSE(KindsOf(t, "data").itself);
}

TEST(MountedTest, FindsSharedVolumes) {
  const v1::Template t = Mounts("data", false);
  v1::Replica replica;
  replica.mutable_spec()->set_job("nightly");
  EXPECT_EQ(OwnerOf(replica), "nightly");
  EXPECT_THAT(VolumesOf(t, replica), ElementsAre("data"));
  EXPECT_THAT(NamedVolumes(t), ElementsAre("data"));
  EXPECT_EQ(FirstMounted(t, "db", {"data"}), "data");
  EXPECT_EQ(FirstMounted(t, "db", {}), "");
  EXPECT_TRUE(KindsOf(t, "data").itself);
}

}  // namespace
}  // namespace bulwark::scheduler
