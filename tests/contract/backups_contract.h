// What every implementation of volumes::Backups does, as a test suite.
#ifndef TESTS_CONTRACT_BACKUPS_CONTRACT_H_
#define TESTS_CONTRACT_BACKUPS_CONTRACT_H_

#include <gtest/gtest.h>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "base/testing/temp_dir.h"
#include "volumes/backup.h"

namespace bulwark::volumes {

// One implementation, and the place of a repository that is not made yet.
struct BackupsWorld {
  virtual ~BackupsWorld() = default;
  virtual Backups& backups() = 0;
  virtual std::string repository_path() = 0;
  // The disk with the repository is taken away.
  virtual void Lose() = 0;
  // So much fits on that disk.
  virtual void SetRoom(int64_t bytes) = 0;
};

class BackupsContract : public ::testing::TestWithParam<
                            std::function<std::shared_ptr<BackupsWorld>()>> {
 protected:
  using Files = std::map<std::string, std::string>;  // text by path

  BackupsContract();
  Backups& backups() { return world_->backups(); }
  // The content that is backed up becomes these files and no others.
  void Write(const Files& files);
  absl::StatusOr<BackupInfo> Backup(const std::string& owner, int keep = 0);
  absl::StatusOr<BackupInfo> Backup(const std::string& owner, int keep,
                                    const Wanted& wanted);
  // The ids of the owner's backups; those of an error are "".
  std::vector<std::string> Ids(const std::string& owner);
  // Into an empty content.
  absl::Status Restore(const std::string& owner, const std::string& id);
  absl::Status Restore(const std::string& owner, const std::string& id,
                       const Wanted& wanted);
  Files Restored();

  testing::TempDir dir_;
  std::shared_ptr<BackupsWorld> world_ = GetParam()();
  Repository repository_;
};

}  // namespace bulwark::volumes

#endif  // TESTS_CONTRACT_BACKUPS_CONTRACT_H_
