// Reads RocksDB's write-ahead log without RocksDB.
#ifndef STORE_ROCKS_LOG_SCAN_H_
#define STORE_ROCKS_LOG_SCAN_H_

#include <cstdint>

#include "absl/functional/function_ref.h"
#include "absl/strings/string_view.h"

namespace bulwark::store {

struct ScannedRecord {
  absl::string_view payload;
  uint64_t begin = 0;         // where it begins in the file
  bool after_damage = false;  // not all before it is sound
};

struct LogScan {
  // All up to here are complete records with good checksums.
  uint64_t sound_end = 0;
  // How the sound part ends.
  enum class End {
    kClean,    // with the file
    kTorn,     // in a record that the file is too short for, or in zeros up to
               // the file's end: an interrupted append
    kDamaged,  // in others: by a disk that wrote in another order, or by an
               // append that was interrupted in the midst of zeros
  } end = End::kClean;
};

// Calls `record` for each complete record with good checksums, in order. After
// damage the search goes on at every byte, so a record is found wherever it
// begins. Format: RocksDB wiki, "Write Ahead Log File Format" (blocks of
// 32 KiB, no recycled files).
LogScan ScanLog(absl::string_view bytes,
                absl::FunctionRef<void(const ScannedRecord&)> record);

// CRC-32C (Castagnoli) of `bytes`, continuing from `crc`.
uint32_t Crc32c(uint32_t crc, absl::string_view bytes);

}  // namespace bulwark::store

#endif  // STORE_ROCKS_LOG_SCAN_H_
