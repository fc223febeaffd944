#include "tests/contract/backups_contract.h"

#include <gmock/gmock.h>

#include <filesystem>
#include <fstream>
#include <sstream>
#include <vector>

#include "base/testing/status_matchers.h"

namespace bulwark::volumes {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using testing::StatusIs;

constexpr char kOwner[] = "default/data";
constexpr char kPassword[] = "correct horse";
constexpr char kOtherPassword[] = "battery staple";
const Wanted kWanted = [] { return true; };
const Wanted kUnwanted = [] { return false; };

// Nothing that can be packed into less room.
std::string Noise(size_t size) {
  std::ifstream random("/dev/urandom", std::ios::binary);
  std::string bytes(size, '\0');
  random.read(bytes.data(), static_cast<std::streamsize>(size));
  return bytes;
}

}  // namespace

BackupsContract::BackupsContract() {
  repository_ = {world_->repository_path(), SecretText(kPassword)};
  Write({{"file", "one"}});
}

void BackupsContract::Write(const Files& files) {
  fs::remove_all(dir_ / "source");
  fs::create_directories(dir_ / "source/data");
  for (const auto& [path, text] : files) {
    const fs::path to = fs::path(dir_ / "source/data") / path;
    fs::create_directories(to.parent_path());
    std::ofstream(to, std::ios::binary) << text;
  }
}

absl::StatusOr<BackupInfo> BackupsContract::Backup(const std::string& owner,
                                                   int keep) {
  return Backup(owner, keep, kWanted);
}

absl::StatusOr<BackupInfo> BackupsContract::Backup(const std::string& owner,
                                                   int keep,
                                                   const Wanted& wanted) {
  const auto check = [](const BackupProgress& progress) {
    EXPECT_GE(progress.current_bytes, 0);
  };
  return backups().Backup(repository_, dir_ / "source", owner, keep, check,
                          wanted);
}

std::vector<std::string> BackupsContract::Ids(const std::string& owner) {
  const auto all = backups().List(repository_, owner);
  EXPECT_OK(all);
  if (!all.ok()) return {""};
  std::vector<std::string> ids;
  for (const BackupInfo& info : *all) ids.push_back(info.id);
  return ids;
}

absl::Status BackupsContract::Restore(const std::string& owner,
                                      const std::string& id) {
  return Restore(owner, id, kWanted);
}

absl::Status BackupsContract::Restore(const std::string& owner,
                                      const std::string& id,
                                      const Wanted& wanted) {
  fs::remove_all(dir_ / "target");
  fs::create_directories(dir_ / "target/data");
  return backups().Restore(repository_, owner, id, dir_ / "target", wanted);
}

BackupsContract::Files BackupsContract::Restored() {
  Files files;
  const fs::path top = dir_ / "target/data";
  for (const auto& entry : fs::recursive_directory_iterator(top)) {
    if (!entry.is_regular_file()) continue;
    std::stringstream text;
    text << std::ifstream(entry.path(), std::ios::binary).rdbuf();
    files[fs::relative(entry.path(), top)] = text.str();
  }
  return files;
}

TEST_P(BackupsContract, WhenPreparedAgain_IsTheSameRepository) {
  ASSERT_OK(backups().Prepare(repository_));
  ASSERT_OK_AND_ASSIGN(const BackupInfo made, Backup(kOwner));
  ASSERT_OK(backups().Prepare(repository_));
  EXPECT_THAT(Ids(kOwner), ElementsAre(made.id));
}

TEST_P(BackupsContract, WhenRestored_IsWhatItWasThen) {
  const Files before = {{"file", "one"}, {"sub/deep/file", Noise(100'000)}};
  const Files after = {{"file", "two"}, {"new", ""}};
  ASSERT_OK(backups().Prepare(repository_));
  Write(before);
  ASSERT_OK_AND_ASSIGN(const BackupInfo first, Backup(kOwner));
  Write(after);
  ASSERT_OK_AND_ASSIGN(const BackupInfo second, Backup(kOwner));
  EXPECT_NE(first.id, second.id);
  EXPECT_LE(first.create_time, second.create_time);
  EXPECT_GE(first.size_bytes, 100'000);

  ASSERT_OK(Restore(kOwner, first.id));
  EXPECT_EQ(Restored(), before);
  ASSERT_OK(Restore(kOwner, second.id));
  EXPECT_EQ(Restored(), after);
  ASSERT_OK(Restore(kOwner, ""));  // the newest
  EXPECT_EQ(Restored(), after);
}

TEST_P(BackupsContract, WhenListed_IsTheOwnersNewestFirst) {
  ASSERT_OK(backups().Prepare(repository_));
  EXPECT_THAT(Ids(kOwner), IsEmpty());
  ASSERT_OK_AND_ASSIGN(const BackupInfo first, Backup(kOwner));
  ASSERT_OK_AND_ASSIGN(const BackupInfo other, Backup("default/other"));
  ASSERT_OK_AND_ASSIGN(const BackupInfo second, Backup(kOwner));
  ASSERT_OK_AND_ASSIGN(const std::vector<BackupInfo> all,
                       backups().List(repository_, kOwner));
  ASSERT_EQ(all.size(), 2u);
  EXPECT_EQ(all[0].id, second.id);
  EXPECT_EQ(all[1].id, first.id);
  EXPECT_EQ(all[1].create_time, first.create_time);
  EXPECT_EQ(all[1].size_bytes, first.size_bytes);
  EXPECT_THAT(Ids("default/other"), ElementsAre(other.id));
  EXPECT_THAT(Ids("default/none"), IsEmpty());
}

TEST_P(BackupsContract, WhenOnlySomeAreKept_TheOwnersOldestGo) {
  ASSERT_OK(backups().Prepare(repository_));
  ASSERT_OK_AND_ASSIGN(const BackupInfo other, Backup("default/other"));
  ASSERT_OK(Backup(kOwner));
  ASSERT_OK_AND_ASSIGN(const BackupInfo second, Backup(kOwner, 2));
  ASSERT_OK_AND_ASSIGN(const BackupInfo third, Backup(kOwner, 2));
  EXPECT_THAT(Ids(kOwner), ElementsAre(third.id, second.id));
  EXPECT_THAT(Ids("default/other"), ElementsAre(other.id));
}

TEST_P(BackupsContract, WhenThereIsNoSuchBackup_IsNotFound) {
  ASSERT_OK(backups().Prepare(repository_));
  EXPECT_THAT(Restore(kOwner, ""),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr(kOwner)));
  ASSERT_OK(Backup(kOwner));
  ASSERT_OK_AND_ASSIGN(const BackupInfo other, Backup("default/other"));
  EXPECT_THAT(Restore(kOwner, "12345678"),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("12345678")));
  EXPECT_THAT(Restore(kOwner, other.id),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr(other.id)));
  EXPECT_THAT(Restored(), IsEmpty());
}

TEST_P(BackupsContract, WhenThePasswordIsWrong_NothingOpensAndNothingIsTold) {
  ASSERT_OK(backups().Prepare(repository_));
  ASSERT_OK_AND_ASSIGN(const BackupInfo made, Backup(kOwner));
  repository_.password = SecretText(kOtherPassword);
  for (const absl::Status& status :
       {backups().Prepare(repository_), Backup(kOwner).status(),
        backups().List(repository_, kOwner).status(), Restore(kOwner, "")}) {
    EXPECT_THAT(status, StatusIs(absl::StatusCode::kPermissionDenied,
                                 HasSubstr(repository_.path)));
    EXPECT_THAT(status.ToString(), Not(HasSubstr(kOtherPassword)));
  }
  EXPECT_THAT(Restored(), IsEmpty());
  repository_.password = SecretText();
  EXPECT_THAT(Backup(kOwner), StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(backups().Prepare(repository_),
              StatusIs(absl::StatusCode::kInvalidArgument));
  repository_.password = SecretText(kPassword);
  EXPECT_THAT(Ids(kOwner), ElementsAre(made.id));
}

TEST_P(BackupsContract, WhenTheRepositoryIsGone_NoOtherIsMadeUnasked) {
  ASSERT_OK(backups().Prepare(repository_));
  ASSERT_OK(Backup(kOwner));
  world_->Lose();
  for (int i = 0; i < 2; ++i) {
    for (const absl::Status& status :
         {Backup(kOwner).status(), Restore(kOwner, ""),
          backups().List(repository_, kOwner).status()}) {
      EXPECT_THAT(status, StatusIs(absl::StatusCode::kNotFound,
                                   HasSubstr(repository_.path)));
    }
  }
  ASSERT_OK(backups().Prepare(repository_));
  EXPECT_THAT(Ids(kOwner), IsEmpty());
}

TEST_P(BackupsContract, WhenTheTargetIsFull_ListsNoHalfBackupAndRecovers) {
  world_->SetRoom(2 << 20);
  ASSERT_OK(backups().Prepare(repository_));
  ASSERT_OK_AND_ASSIGN(const BackupInfo small, Backup(kOwner));
  const Files large = {{"file", Noise(8 << 20)}};
  Write(large);
  EXPECT_THAT(Backup(kOwner), StatusIs(absl::StatusCode::kResourceExhausted,
                                       HasSubstr(repository_.path)));
  EXPECT_THAT(Ids(kOwner), ElementsAre(small.id));
  ASSERT_OK(Restore(kOwner, ""));
  EXPECT_EQ(Restored(), (Files{{"file", "one"}}));

  world_->SetRoom(64 << 20);
  ASSERT_OK(Backup(kOwner));
  ASSERT_OK(Restore(kOwner, ""));
  EXPECT_EQ(Restored(), large);
}

TEST_P(BackupsContract, WhenInterrupted_ListsNoHalfBackupAndRecovers) {
  ASSERT_OK(backups().Prepare(repository_));
  ASSERT_OK_AND_ASSIGN(const BackupInfo first, Backup(kOwner));
  Write({{"file", Noise(4 << 20)}});
  EXPECT_THAT(Backup(kOwner, 1, kUnwanted),
              StatusIs(absl::StatusCode::kCancelled));
  EXPECT_THAT(Ids(kOwner), ElementsAre(first.id));
  EXPECT_THAT(Restore(kOwner, "", kUnwanted),
              StatusIs(absl::StatusCode::kCancelled));
  // Nothing is locked.
  ASSERT_OK_AND_ASSIGN(const BackupInfo second, Backup(kOwner, 1));
  EXPECT_THAT(Ids(kOwner), ElementsAre(second.id));
  ASSERT_OK(Restore(kOwner, ""));
}

}  // namespace bulwark::volumes
