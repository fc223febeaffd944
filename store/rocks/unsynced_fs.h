// A file system for tests that forgets what was not fsynced.
#ifndef STORE_ROCKS_UNSYNCED_FS_H_
#define STORE_ROCKS_UNSYNCED_FS_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "base/entropy.h"
#include "rocksdb/file_system.h"
#include "store/rocks/unsynced_bytes.h"

namespace bulwark::store {

// Passes everything to the real file system, and remembers per file which bytes
// were synced, and per directory which new, removed and renamed entries
// were. After Crash() nothing can be changed any more; Restart() then takes the
// real files back to a state that a power failure could have left. kill -9
// cannot show a missing fsync: this can. Files must not be renamed while they
// are written at offsets. Thread-safe.
class UnsyncedFs final : public rocksdb::FileSystemWrapper {
 public:
  enum class Loss {
    kEverything,  // all that was not synced is gone
    kSome,        // a random part of it is (UnsyncedBytes::Lose()), and some of
                  // the latest directory operations did not happen
  };

  // Removed and replaced files are kept in `attic`, an existing directory on
  // the same file system, until their directory is synced.
  UnsyncedFs(std::string attic, uint64_t seed);

  // From now on every changing operation fails, and nothing is written.
  void Crash();
  // Crashes at the `n`-th changing operation from now; an append is then cut
  // somewhere in its middle.
  void CrashAfter(int64_t n);
  bool crashed() const;
  // Changing operations so far.
  int64_t operations() const;

  // Crashes, and takes the real files back. Nothing works afterwards: for a
  // process that ends now, and whose files may still be open.
  void CutPower(Loss loss);
  // Applies the loss and works again. All files must be closed.
  void Restart(Loss loss);

  // While set, writes fail half done with "no space".
  void SetFull(bool full);
  // While set, syncs fail although the data may reach the disk.
  void SetSyncFails(bool fails);
  // What was written and not synced is not read any more, as after pages that
  // could not be written back are dropped.
  void DropUnsynced();

  enum class Moment { kBeforeAppend, kAfterSync };
  // Runs at these moments of each log of the database, in the thread that asks,
  // without a lock.
  void OnLog(std::function<void(Moment)> hook);

  const char* Name() const override { return "UnsyncedFs"; }

  rocksdb::IOStatus NewWritableFile(
      const std::string& path, const rocksdb::FileOptions& options,
      std::unique_ptr<rocksdb::FSWritableFile>* result,
      rocksdb::IODebugContext* debug) override;
  rocksdb::IOStatus ReopenWritableFile(
      const std::string& path, const rocksdb::FileOptions& options,
      std::unique_ptr<rocksdb::FSWritableFile>* result,
      rocksdb::IODebugContext* debug) override;
  rocksdb::IOStatus ReuseWritableFile(
      const std::string& path, const std::string& old_path,
      const rocksdb::FileOptions& options,
      std::unique_ptr<rocksdb::FSWritableFile>* result,
      rocksdb::IODebugContext* debug) override;
  rocksdb::IOStatus NewRandomRWFile(
      const std::string& path, const rocksdb::FileOptions& options,
      std::unique_ptr<rocksdb::FSRandomRWFile>* result,
      rocksdb::IODebugContext* debug) override;
  rocksdb::IOStatus NewDirectory(const std::string& path,
                                 const rocksdb::IOOptions& options,
                                 std::unique_ptr<rocksdb::FSDirectory>* result,
                                 rocksdb::IODebugContext* debug) override;
  rocksdb::IOStatus DeleteFile(const std::string& path,
                               const rocksdb::IOOptions& options,
                               rocksdb::IODebugContext* debug) override;
  rocksdb::IOStatus Truncate(const std::string& path, size_t size,
                             const rocksdb::IOOptions& options,
                             rocksdb::IODebugContext* debug) override;
  rocksdb::IOStatus CreateDir(const std::string& path,
                              const rocksdb::IOOptions& options,
                              rocksdb::IODebugContext* debug) override;
  rocksdb::IOStatus CreateDirIfMissing(const std::string& path,
                                       const rocksdb::IOOptions& options,
                                       rocksdb::IODebugContext* debug) override;
  rocksdb::IOStatus RenameFile(const std::string& from, const std::string& to,
                               const rocksdb::IOOptions& options,
                               rocksdb::IODebugContext* debug) override;
  rocksdb::IOStatus LinkFile(const std::string& from, const std::string& to,
                             const rocksdb::IOOptions& options,
                             rocksdb::IODebugContext* debug) override;

 private:
  class File;
  class Directory;

  // A directory operation that is not durable yet, and how to undo it.
  struct Entry {
    enum class Op { kCreated, kRemoved, kRenamed };
    Op op;
    std::string directory;
    std::string path;
    std::string from;   // kRenamed
    std::string saved;  // in the attic: what `path` was before; "" = nothing
    std::shared_ptr<UnsyncedBytes> saved_bytes;
  };

  // Counts one changing operation. Not OK once crashed.
  rocksdb::IOStatus Step() ABSL_LOCKS_EXCLUDED(mu_);
  rocksdb::IOStatus Wrap(const std::string& path, bool existed,
                         std::unique_ptr<rocksdb::FSWritableFile>* result);
  void Tell(Moment moment) ABSL_LOCKS_EXCLUDED(mu_);
  // Moves what is at `path`, if anything, to the attic, into `entry`.
  void Save(const std::string& path, Entry& entry)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void Add(Entry entry) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void Lose(Loss loss) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void Undo(const Entry& entry) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void SyncDirectory(const std::string& path);

  const std::string attic_;

  mutable absl::Mutex mu_;
  SeededEntropy entropy_;
  std::map<std::string, std::shared_ptr<UnsyncedBytes>> files_
      ABSL_GUARDED_BY(mu_);
  std::vector<Entry> entries_ ABSL_GUARDED_BY(mu_);  // in order
  int64_t operations_ ABSL_GUARDED_BY(mu_) = 0;
  int64_t crash_at_ ABSL_GUARDED_BY(mu_) = -1;
  int64_t saved_ ABSL_GUARDED_BY(mu_) = 0;
  bool crashed_ ABSL_GUARDED_BY(mu_) = false;
  std::function<void(Moment)> on_log_ ABSL_GUARDED_BY(mu_);
  bool full_ ABSL_GUARDED_BY(mu_) = false;
  bool sync_fails_ ABSL_GUARDED_BY(mu_) = false;
};

}  // namespace bulwark::store

#endif  // STORE_ROCKS_UNSYNCED_FS_H_
