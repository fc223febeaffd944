#include "scheduler/volumes/controller.h"

#include <atomic>
#include <thread>

#include "scheduler/volumes/plan.h"
#include "scheduler/volumes/testing/fixture.h"

namespace bulwark::scheduler {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::StatusIs;
using Work = bulwark::volumes::v1::VolumeWork;

TEST_F(VolumeControllerTest, MakesWhatIsDeclaredAndMeasuresIt) {
  PutVolume("data", v1::VolumeSpec::IMAGE);
  Look("data");
  EXPECT_EQ(volumes_.SpecOf("uid-data")->size_bytes, 1000);
  EXPECT_EQ(ConditionOf("data", "Ready"), "Made");
  EXPECT_EQ(Get("data").status().path(), "/fake/volumes/uid-data");
  volumes::Usage usage;
  usage.used_bytes = 950;
  usage.capacity_bytes = 1000;
  usage.available_bytes = 50;
  volumes_.SetUsage("uid-data", usage);
  Look("data");  // too soon
  EXPECT_EQ(Get("data").status().used_bytes(), 0);
  clock_.Advance(absl::Seconds(20));
  Look("data");
  EXPECT_EQ(Get("data").status().used_bytes(), 950);
  EXPECT_EQ(ConditionOf("data", "NearlyFull"), "Above90Percent");
  ASSERT_OK_AND_ASSIGN(auto events, store::ListObjects(store_, "event"));
  ASSERT_EQ(events.objects.size(), 1u);
  EXPECT_EQ(events.objects[0].event().reason(), "VolumeNearlyFull");
  EXPECT_EQ(events.objects[0].event().subject().name(), "data");
}

TEST_F(VolumeControllerTest, WhenItCannotBeMade_SaysWhyAndTriesAgain) {
  PutVolume("data");
  volumes_.FailNext(absl::ResourceExhaustedError("make: disk full"));
  EXPECT_THAT(controller_->Reconcile("default/data"),
              StatusIs(absl::StatusCode::kResourceExhausted));
  EXPECT_EQ(ConditionOf("data", "Ready"), "NoSpace");
  Look("data");
  EXPECT_EQ(ConditionOf("data", "Ready"), "Made");
}

TEST_F(VolumeControllerTest, WhenOnlySlotsMountIt_ItIsAPattern) {
  PutVolume("data", v1::VolumeSpec::IMAGE);
  PutUser("data");
  v1::Object service;
  ASSERT_OK_AND_ASSIGN(
      service,
      store::GetObject(store_, store::ObjectKey("service", "default", "web")));
  service.mutable_service()
      ->mutable_spec()
      ->mutable_containers(0)
      ->mutable_volumes(0)
      ->set_per_replica(true);
  Put(service);
  Look("data");
  EXPECT_EQ(ConditionOf("data", "Ready"), "Pattern");
  EXPECT_EQ(volumes_.TimesMade("uid-data"), 0);
}

TEST_F(VolumeControllerTest, WhenDeleted_WaitsForItsLastReplica) {
  PutVolume("data");
  Look("data");
  PutUser("data", v1::ReplicaStatus::STOPPING);
  Look("data");
  EXPECT_THAT(Get("data").status().users(), ElementsAre("service/web"));
  MarkDeleted("data");
  Look("data");
  EXPECT_TRUE(Exists("data"));
  EXPECT_EQ(volumes_.List().size(), 1u);
  PutUser("data", v1::ReplicaStatus::STOPPED);
  Look("data");
  EXPECT_FALSE(Exists("data"));
  EXPECT_THAT(volumes_.List(), IsEmpty());
}

TEST_F(VolumeControllerTest, WhenRestored_HoldsOnlyWhileContentsAreSwapped) {
  SnapshotAndDamage();
  PutUser("data");
  BeginRestore("data", "s");
  ASSERT_OK_AND_ASSIGN(std::set<std::string> held,
                       HeldVolumes(store_, "default"));
  EXPECT_THAT(held, IsEmpty());
  Look("data");  // the new content is ready
  ASSERT_OK_AND_ASSIGN(held, HeldVolumes(store_, "default"));
  EXPECT_THAT(held, ElementsAre("data"));
  EXPECT_EQ(ConditionOf("data", "Restoring"), "Swapping");
  Look("data");
  EXPECT_EQ(volumes_.Read("uid-data"), "damaged");
  EXPECT_THAT(woken_, Contains("default/web"));
  PutUser("data", v1::ReplicaStatus::STOPPED);
  Look("data");
  EXPECT_EQ(volumes_.Read("uid-data"), "good");
  ASSERT_OK_AND_ASSIGN(held, HeldVolumes(store_, "default"));
  EXPECT_THAT(held, IsEmpty());
  Look("data");
  EXPECT_FALSE(GetWork("data").has_value());
  EXPECT_FALSE(volumes_.HasStage("uid-data"));
  EXPECT_OK(controller_->Await("token", nullptr));
  Look("data");
  EXPECT_EQ(ConditionOf("data", "Restoring"), "Over");
}

TEST_F(VolumeControllerTest, WhenKilledAfterAnyStep_TheRestoreIsFinished) {
  for (int steps = 0; steps < 5; ++steps) {
    SnapshotAndDamage();
    BeginRestore("data", "s");
    for (int i = 0; i < steps; ++i) Look("data");
    Restart();
    for (int i = 0; i < 5; ++i) Look("data");
    EXPECT_EQ(volumes_.Read("uid-data"), "good") << steps;
    EXPECT_FALSE(GetWork("data").has_value()) << steps;
    EXPECT_FALSE(volumes_.HasStage("uid-data")) << steps;
  }
}

TEST_F(VolumeControllerTest, WhenKilledBetweenEffectAndRecord_NothingIsLost) {
  SnapshotAndDamage();
  BeginRestore("data", "s");
  Look("data");
  // Swapped, but not recorded.
  ASSERT_OK(volumes_.Swap("uid-data", "token"));
  Restart();
  Look("data");
  EXPECT_EQ(volumes_.Read("uid-data"), "good");
  // A service wrote into it before the stage was removed.
  volumes_.Write("uid-data", "newer");
  Restart();
  for (int i = 0; i < 3; ++i) Look("data");
  EXPECT_EQ(volumes_.Read("uid-data"), "newer");
}

TEST_F(VolumeControllerTest, WhenARestoreFails_TheOldContentStays) {
  SnapshotAndDamage();
  BeginRestore("data", "none");
  Look("data");
  EXPECT_FALSE(GetWork("data").has_value());
  EXPECT_EQ(volumes_.Read("uid-data"), "damaged");
  EXPECT_THAT(controller_->Await("token", nullptr),
              StatusIs(absl::StatusCode::kNotFound));
}

TEST_F(VolumeControllerTest, WhenServicesDoNotEnd_GivesUp) {
  SnapshotAndDamage();
  PutUser("data");
  BeginRestore("data", "s");
  Look("data");
  clock_.Advance(absl::Minutes(16));
  Look("data");
  EXPECT_FALSE(GetWork("data").has_value());
  EXPECT_EQ(volumes_.Read("uid-data"), "damaged");
  EXPECT_THAT(
      controller_->Await("token", nullptr),
      StatusIs(absl::StatusCode::kDeadlineExceeded, HasSubstr("service/web")));
}

TEST_F(VolumeControllerTest, WhenAJobMountsIt_WaitsForItsEnd) {
  SnapshotAndDamage();
  PutJob("data");
  Look("data");
  EXPECT_THAT(Get("data").status().users(), ElementsAre("job/import"));
  BeginRestore("data", "s");
  Look("data");
  Look("data");
  EXPECT_EQ(volumes_.Read("uid-data"), "damaged");
  EXPECT_THAT(woken_, Contains("job/default/import"));
  PutJob("data", v1::ReplicaStatus::STOPPED);
  Look("data");
  EXPECT_EQ(volumes_.Read("uid-data"), "good");
}

TEST_F(VolumeControllerTest, WhenAJobDoesNotEnd_GivesUp) {
  SnapshotAndDamage();
  PutJob("data");
  BeginRestore("data", "s");
  Look("data");
  clock_.Advance(absl::Minutes(16));
  Look("data");
  EXPECT_EQ(volumes_.Read("uid-data"), "damaged");
  EXPECT_THAT(
      controller_->Await("token", nullptr),
      StatusIs(absl::StatusCode::kDeadlineExceeded, HasSubstr("job/import")));
}

TEST_F(VolumeControllerTest, WhenDeleted_WaitsForTheJobThatMountsIt) {
  PutVolume("data");
  Look("data");
  PutJob("data");
  MarkDeleted("data");
  Look("data");
  EXPECT_TRUE(Exists("data"));
  PutJob("data", v1::ReplicaStatus::FAILED);
  Look("data");
  EXPECT_FALSE(Exists("data"));
}

TEST_F(VolumeControllerTest, WhenWorkIsAtHand_RefusesMore) {
  SnapshotAndDamage();
  BeginRestore("data", "s");
  StoredWork second;
  second.key = WorkKey("default", "data");
  second.work.set_token("other");
  EXPECT_THAT(controller_->Begin(second),
              StatusIs(absl::StatusCode::kFailedPrecondition));
}

TEST_F(VolumeControllerTest, ListsSnapshotsWithWhoMadeThem) {
  PutVolume("data");
  caller_.set_name("ann");
  v1::SnapshotVolumeRequest request;
  request.set_volume("data");
  request.set_snapshot("s1");
  ASSERT_OK_AND_ASSIGN(const auto made, actions_->Snapshot(request, caller_));
  EXPECT_EQ(made.snapshot().actor().name(), "ann");
  Look("data");
  ASSERT_EQ(Get("data").status().snapshots_size(), 1);
  EXPECT_EQ(Get("data").status().snapshots(0).actor().name(), "ann");
  EXPECT_THAT(actions_->Snapshot(request, caller_),
              StatusIs(absl::StatusCode::kAlreadyExists));
  request.set_snapshot("../x");
  EXPECT_THAT(actions_->Snapshot(request, caller_),
              StatusIs(absl::StatusCode::kInvalidArgument));
  request.set_snapshot("");
  ASSERT_OK(actions_->Snapshot(request, caller_));
  v1::DeleteSnapshotRequest remove;
  remove.set_volume("data");
  remove.set_snapshot("s1");
  ASSERT_OK(actions_->DeleteSnapshot(remove, caller_));
  EXPECT_EQ(Get("data").status().snapshots_size(), 1);
  EXPECT_THAT(actions_->DeleteSnapshot(remove, caller_),
              StatusIs(absl::StatusCode::kNotFound));
  request.set_volume("none");
  EXPECT_THAT(actions_->Snapshot(request, caller_),
              StatusIs(absl::StatusCode::kNotFound));
}

TEST_F(VolumeControllerTest, WhenMadeTwiceAtOnce_OneHasMadeTheSnapshot) {
  PutVolume("data");
  Look("data");
  for (int round = 0; round < 50; ++round) {
    v1::SnapshotVolumeRequest request;
    request.set_volume("data");
    request.set_snapshot(absl::StrCat("s", round));
    std::atomic<int> made = 0;
    const auto make = [&] {
      const absl::Status status = actions_->Snapshot(request, caller_).status();
      made += status.ok();
      EXPECT_TRUE(status.ok() || absl::IsAlreadyExists(status)) << status;
    };
    std::thread other(make);
    make();
    other.join();
    EXPECT_EQ(made, 1);
  }
}

TEST_F(VolumeControllerTest, ClonesAsItIsOrAsItWas) {
  SnapshotAndDamage();
  v1::CloneVolumeRequest request;
  request.set_source("data");
  request.set_target("copy");
  auto clone = [&] { return actions_->Clone(request, caller_); };
  ASSERT_OK_AND_ASSIGN(const auto now,
                       Drive(*controller_, clock_, "default/copy", clone));
  EXPECT_EQ(volumes_.Read(now.volume().metadata().uid()), "damaged");
  EXPECT_THAT(clone(), StatusIs(absl::StatusCode::kAlreadyExists));
  request.set_target("old");
  request.set_snapshot("s");
  ASSERT_OK_AND_ASSIGN(const auto old,
                       Drive(*controller_, clock_, "default/old", clone));
  EXPECT_EQ(volumes_.Read(old.volume().metadata().uid()), "good");
  EXPECT_EQ(Get("old").spec().driver(), v1::VolumeSpec::LOCAL);
  // Its own snapshot is gone again.
  ASSERT_OK_AND_ASSIGN(const auto left, volumes_.ListSnapshots("uid-data"));
  EXPECT_EQ(left.size(), 1u);
  request.set_target("third");
  request.set_snapshot("none");
  EXPECT_THAT(Drive(*controller_, clock_, "default/third", clone),
              StatusIs(absl::StatusCode::kNotFound));
  EXPECT_FALSE(Exists("third"));
  EXPECT_FALSE(GetWork("third").has_value());
}

TEST_F(VolumeControllerTest, WhileItIsCloned_NeitherItNorTheSnapshotGoes) {
  SnapshotAndDamage();
  StoredWork work;
  work.key = WorkKey("default", "copy");
  work.work.set_token("token");
  work.work.set_volume_uid("uid-data");
  work.work.set_snapshot("s");
  v1::Metadata& target = *work.work.mutable_target()->mutable_metadata();
  target.set_project("default");
  target.set_name("copy");
  target.set_uid("uid-copy");
  ASSERT_OK(controller_->Begin(work));
  v1::DeleteSnapshotRequest remove;
  remove.set_volume("data");
  remove.set_snapshot("s");
  EXPECT_THAT(actions_->DeleteSnapshot(remove, caller_),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       HasSubstr("volume copy is made from it")));
  MarkDeleted("data");
  Look("data");
  EXPECT_TRUE(Exists("data"));
  Look("copy");
  EXPECT_EQ(volumes_.Read("uid-copy"), "good");
  Look("data");
  EXPECT_FALSE(Exists("data"));
  EXPECT_EQ(volumes_.List().size(), 1u);
}

TEST_F(VolumeControllerTest, WhenKilledDuringABackup_ItsSnapshotIsRemoved) {
  PutVolume("data");
  Look("data");
  ASSERT_OK(
      volumes_.Snapshot("uid-data", OwnSnapshot("backup", "dead"), nullptr));
  ASSERT_OK(volumes_.Snapshot("uid-data", "mine", nullptr));
  Restart();
  Look("data");
  ASSERT_OK_AND_ASSIGN(const auto left, volumes_.ListSnapshots("uid-data"));
  ASSERT_EQ(left.size(), 1u);
  EXPECT_EQ(left[0].name, "mine");
}

}  // namespace
}  // namespace bulwark::scheduler
