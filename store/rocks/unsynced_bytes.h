// What of a file's contents a power failure would leave.
#ifndef STORE_ROCKS_UNSYNCED_BYTES_H_
#define STORE_ROCKS_UNSYNCED_BYTES_H_

#include <cstdint>
#include <string>
#include <vector>

#include "base/entropy.h"

namespace bulwark::store {

// Follows what is written to one file: how long it is, up to where it was when
// it was last synced, and what has been overwritten of that since. Not
// thread-safe.
class UnsyncedBytes {
 public:
  // A file that is on the disk with `size` bytes.
  explicit UnsyncedBytes(uint64_t size) : size_(size), synced_(size) {}

  uint64_t size() const { return size_; }

  // `size` bytes are about to be written at `offset` of the file at `path`,
  // and not beyond its end, though maybe over it.
  void Write(const std::string& path, uint64_t offset, uint64_t size);
  // Is on the disk at once.
  void Truncate(uint64_t size);
  void Sync();

  // Takes the file at `path` back to what is on the disk. With `all` that is
  // what was synced; else each page that was overwritten has been written back
  // after any of its writes, a random part of the end is there, and maybe with
  // a hole of zeros in it. A file that is not there stays so.
  void Lose(const std::string& path, bool all, Entropy& entropy);

 private:
  // Bytes of one page, as they were.
  struct Before {
    uint64_t offset = 0;
    std::string bytes;
  };

  void UndoOverwrites(const std::string& path, bool all, Entropy& entropy);

  uint64_t size_;
  uint64_t synced_;
  std::vector<Before> before_;  // in the order of the writes
};

}  // namespace bulwark::store

#endif  // STORE_ROCKS_UNSYNCED_BYTES_H_
