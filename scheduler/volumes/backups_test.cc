#include "scheduler/times.h"
#include "scheduler/volumes/actions.h"
#include "scheduler/volumes/testing/fixture.h"

namespace bulwark::scheduler {
namespace {

using testing::StatusIs;

class BackupTest : public VolumeControllerTest {
 protected:
  void SetUp() override {
    VolumeControllerTest::SetUp();
    SnapshotAndDamage();
    request_.set_volume("data");
    request_.mutable_repository()->set_path("/backup/repo");
    request_.mutable_repository()->set_password_secret("pw");
  }
  absl::Status Backup() {
    return actions_->Backup(request_, caller_,
                            [this](const v1::VolumeProgress& progress) {
                              if (progress.has_backup()) last_ = progress;
                              return true;
                            });
  }
  bool IsTrue(const std::string& type) {
    const v1::Volume volume = Get("data");
    const v1::Condition* c = FindCondition(volume.status().conditions(), type);
    return c != nullptr && c->status() == v1::Condition::TRUE;
  }
  absl::Time TimeOf(const std::string& type) {
    const v1::Volume volume = Get("data");
    const v1::Condition* c = FindCondition(volume.status().conditions(), type);
    return c == nullptr ? absl::InfinitePast()
                        : ToTime(c->last_transition_time());
  }

  v1::BackupVolumeRequest request_;
  v1::VolumeProgress last_;
};

TEST_F(BackupTest, MakesListsAndKeeps) {
  request_.set_keep(2);
  for (int i = 0; i < 3; ++i) ASSERT_OK(Backup());
  EXPECT_EQ(last_.backup().id(), "backup3");
  EXPECT_EQ(ConditionOf("data", "BackedUp"), "Complete");
  v1::ListBackupsRequest list;
  list.set_volume("data");
  *list.mutable_repository() = request_.repository();
  ASSERT_OK_AND_ASSIGN(const auto all, actions_->ListBackups(list, caller_));
  EXPECT_EQ(all.backups_size(), 2);
  EXPECT_EQ(all.backups(0).id(), "backup3");
  ASSERT_OK_AND_ASSIGN(const auto left, volumes_.ListSnapshots("uid-data"));
  EXPECT_EQ(left.size(), 1u);
}

TEST_F(BackupTest, WhenAKnownRepositoryIsGone_NoNewOneIsMade) {
  ASSERT_OK(Backup());
  backups_.Lose("/backup/repo");
  EXPECT_THAT(Backup(), StatusIs(absl::StatusCode::kNotFound));
  EXPECT_THAT(Backup(), StatusIs(absl::StatusCode::kNotFound));
}

// Who watches the age of the last good backup has to see it grow.
TEST_F(BackupTest, WhenOneFails_TheLastGoodOneIsStillKnown) {
  ASSERT_OK(Backup());
  EXPECT_FALSE(IsTrue("BackupFailed"));
  const absl::Time made = TimeOf("BackedUp");
  clock_.Advance(absl::Hours(1));
  backups_.Lose("/backup/repo");
  EXPECT_THAT(Backup(), StatusIs(absl::StatusCode::kNotFound));
  EXPECT_TRUE(IsTrue("BackedUp"));
  EXPECT_EQ(TimeOf("BackedUp"), made);
  EXPECT_TRUE(IsTrue("BackupFailed"));
  EXPECT_EQ(TimeOf("BackupFailed"), clock_.Now());
  // One that is made again ends that.
  clock_.Advance(absl::Hours(1));
  request_.mutable_repository()->set_path("/backup/other");
  ASSERT_OK(Backup());
  EXPECT_EQ(TimeOf("BackedUp"), clock_.Now());
  EXPECT_FALSE(IsTrue("BackupFailed"));
}

TEST_F(BackupTest, WhenDeletedMeanwhile_TheVolumeStaysUntilItIsMade) {
  bool deleted = false;
  ASSERT_OK(actions_->Backup(request_, caller_, [&](const auto& progress) {
    if (deleted || progress.status() != "copying") return true;
    deleted = true;
    MarkDeleted("data");
    Look("data");
    EXPECT_TRUE(Exists("data"));
    return true;
  }));
  ASSERT_TRUE(deleted);
  Look("data");
  EXPECT_FALSE(Exists("data"));
}

TEST_F(BackupTest, WhenTheRequestIsWrong_SaysWhat) {
  request_.mutable_repository()->set_path("relative");
  EXPECT_THAT(Backup(), StatusIs(absl::StatusCode::kInvalidArgument));
  request_.mutable_repository()->set_path("/a/../b");
  EXPECT_THAT(Backup(), StatusIs(absl::StatusCode::kInvalidArgument));
  request_.mutable_repository()->set_path("/ok");
  request_.mutable_repository()->set_password_secret("none");
  EXPECT_THAT(Backup(), StatusIs(absl::StatusCode::kNotFound));
  request_.mutable_repository()->set_password_secret("");
  EXPECT_THAT(Backup(), StatusIs(absl::StatusCode::kInvalidArgument));
  request_.mutable_repository()->set_password_secret("pw");
  request_.set_keep(-1);
  EXPECT_THAT(Backup(), StatusIs(absl::StatusCode::kInvalidArgument));
}

TEST_F(BackupTest, WhenRestored_TheServicesWaitOnlyForTheSwap) {
  ASSERT_OK(Backup());
  v1::RestoreVolumeRequest restore;
  restore.set_volume("data");
  *restore.mutable_backup()->mutable_repository() = request_.repository();
  ASSERT_OK(Drive(*controller_, clock_, "default/data", [&] {
    return actions_->Restore(restore, caller_, nullptr);
  }));
  EXPECT_EQ(backups_.restores(), 1);
  EXPECT_EQ(volumes_.Read("uid-data"), "");  // what the fake restores
  restore.mutable_backup()->set_id("none");
  EXPECT_THAT(
      Drive(*controller_, clock_, "default/data",
            [&] { return actions_->Restore(restore, caller_, nullptr); }),
      StatusIs(absl::StatusCode::kNotFound));
}

}  // namespace
}  // namespace bulwark::scheduler
