// Backups in memory.
#ifndef VOLUMES_FAKE_FAKE_BACKUPS_H_
#define VOLUMES_FAKE_FAKE_BACKUPS_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "volumes/backup.h"

namespace bulwark::volumes {

// Repositories, passwords and owners follow the real rules. Of contents the
// regular files are kept, with nothing but their text; a `parent` that is not
// on the disk has none.
class FakeBackups final : public Backups {
 public:
  // The next `count` calls fail with `status`.
  void FailNext(absl::Status status, int count = 1);
  // The disk with that repository is taken away.
  void Lose(const std::string& path);
  // So many bytes fit into all repositories; without it, any number.
  void SetRoom(int64_t bytes);
  int restores();

  absl::Status Prepare(const Repository& repository) override;
  absl::StatusOr<BackupInfo> Backup(
      const Repository& repository, const std::string& parent,
      const std::string& owner, int keep,
      const std::function<void(const BackupProgress&)>& on_progress,
      const Wanted& wanted) override;
  absl::StatusOr<std::vector<BackupInfo>> List(
      const Repository& repository, const std::string& owner) override;
  absl::Status Restore(const Repository& repository, const std::string& owner,
                       const std::string& id, const std::string& parent,
                       const Wanted& wanted) override;

 private:
  struct Kept {
    BackupInfo info;
    std::map<std::string, std::string> files;  // text by path
  };
  struct Stored {
    SecretText password;
    std::map<std::string, std::vector<Kept>> backups;  // newest first
  };
  absl::StatusOr<Stored*> Open(const Repository& repository)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  int64_t UsedBytes() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  absl::Mutex mu_;
  std::map<std::string, Stored> repositories_ ABSL_GUARDED_BY(mu_);
  int64_t room_ ABSL_GUARDED_BY(mu_) = INT64_MAX;
  int made_ ABSL_GUARDED_BY(mu_) = 0;
  int restores_ ABSL_GUARDED_BY(mu_) = 0;
  absl::Status failure_ ABSL_GUARDED_BY(mu_);
  int failures_ ABSL_GUARDED_BY(mu_) = 0;
};

}  // namespace bulwark::volumes

#endif  // VOLUMES_FAKE_FAKE_BACKUPS_H_
