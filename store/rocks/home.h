// The directory of a durable store: who owns it, and its space.
#ifndef STORE_ROCKS_HOME_H_
#define STORE_ROCKS_HOME_H_

#include <cstdint>
#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "base/clock.h"
#include "base/unique_fd.h"
#include "rocksdb/env.h"

namespace bulwark::store {

// Holds the lock of the directory, and knows its parts:
//
//   LOCK         held by the process that uses the store; holds its pid
//   INSTANCE     written when the store is complete; holds its id
//   db/          RocksDB's
//   reserve      space that is given up, bit by bit, when the disk is full
//   checkpoints/ consistent copies of db/
//
// Thread-compatible.
class Home {
 public:
  // Makes the directory (0700) and db/ durable, and takes the lock.
  // FAILED_PRECONDITION, with the owner's pid, if another process holds it. Of
  // an owner that is dead a child may hold it for a moment, from its fork to
  // its exec: that is waited for.
  static absl::StatusOr<std::unique_ptr<Home>> Open(const std::string& path,
                                                    int64_t reserve_bytes,
                                                    rocksdb::Env* env,
                                                    Clock& clock);

  const std::string& path() const { return path_; }
  std::string db() const { return path_ + "/db"; }
  std::string checkpoints() const { return path_ + "/checkpoints"; }

  // The id in INSTANCE; "" if the store was never completed.
  absl::StatusOr<std::string> Instance() const;
  // Writes INSTANCE, durably.
  absl::Status SetInstance(const std::string& id);
  // Whether db/ holds a database that RocksDB would open, not replace.
  bool HasDatabase() const;

  // What unprivileged writers could still use, in bytes. Not the reserve.
  absl::StatusOr<int64_t> FreeBytes() const;
  // Allocates the reserve, unless it is there, if that leaves `spare` bytes.
  void FillReserve(int64_t spare);
  // Whether there is more of it than opening the database needs.
  bool HasReserve() const;
  // Gives a piece of that back, for who has to write on a full disk, and is
  // quick: others may want it as much. False if there is no more. Thread-safe.
  bool ShrinkReserve() ABSL_LOCKS_EXCLUDED(reserve_mu_);
  // Gives all of it back. Returns whether there was any.
  bool ReleaseReserve();
  // RESOURCE_EXHAUSTED if there is too little space for the database to be
  // opened, even without the reserve, which is then given back.
  absl::Status EnsureRoomToOpen();

  // Makes the entries of directory `path` durable.
  absl::Status SyncDirectory(const std::string& path) const;

 private:
  Home(std::string path, int64_t reserve_bytes, rocksdb::Env* env)
      : path_(std::move(path)), reserve_bytes_(reserve_bytes), env_(env) {}

  absl::Status MakeDirectories();
  absl::Status Lock(Clock& clock);
  std::string reserve() const { return path_ + "/reserve"; }
  // Of the reserve, in bytes; what opening needs does not count.
  int64_t SpareReserve() const;

  const std::string path_;
  const int64_t reserve_bytes_;
  rocksdb::Env* const env_;
  UniqueFd lock_;
  absl::Mutex reserve_mu_;
  // It was said that the disk is full.
  bool on_reserve_ ABSL_GUARDED_BY(reserve_mu_) = false;
};

}  // namespace bulwark::store

#endif  // STORE_ROCKS_HOME_H_
