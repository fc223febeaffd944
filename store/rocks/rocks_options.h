// What can be set about the durable store.
#ifndef STORE_ROCKS_ROCKS_OPTIONS_H_
#define STORE_ROCKS_ROCKS_OPTIONS_H_

#include <cstdint>
#include <functional>
#include <string>

#include "absl/time/time.h"
#include "store/store.h"

namespace rocksdb {
class Env;
}  // namespace rocksdb

namespace bulwark::store {

struct RocksOptions {
  std::string path;  // a directory of the store's own; made if missing
  LogRetention retention;
  // With less space than this left on the disk, no new records are accepted;
  // with a quarter of it, only deletions and what is essential; with a
  // sixteenth, and the reserve used up, only deletions. 0 turns the check off.
  int64_t min_free_bytes = int64_t{64} << 20;
  // Preallocated. When the disk is full all the same, the log takes it bit by
  // bit, so that things can be stopped and deleted; a quarter is left, so that
  // the database can be opened.
  int64_t reserve_bytes = int64_t{32} << 20;
  // How many bytes of the log are on the disk before they are needed, so that a
  // commit's sync writes nothing but its records (wal_files.h). 0: none.
  uint64_t log_room_bytes = uint64_t{256} << 10;
  // How often a checkpoint is made in <path>/checkpoints, when something
  // changes; never if infinite. The newest `checkpoints_kept` stay.
  absl::Duration checkpoint_every = absl::Hours(1);
  int checkpoints_kept = 3;

  // For tests. The environment is borrowed; null means the real one.
  rocksdb::Env* env = nullptr;
  std::function<int64_t()> free_bytes;  // instead of asking the file system
  bool unsafe_no_sync_for_test = false;
};

}  // namespace bulwark::store

#endif  // STORE_ROCKS_ROCKS_OPTIONS_H_
