// The files of the write-ahead log, as the database writes them.
#ifndef STORE_ROCKS_WAL_FILES_H_
#define STORE_ROCKS_WAL_FILES_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "absl/synchronization/mutex.h"
#include "rocksdb/file_system.h"

namespace bulwark::store {

// Keeps room behind the log's end, so that the sync of a commit seldom has to
// wait for the file system's journal: a record overwrites zeros that are on the
// disk already, and neither the file's length nor its blocks change. What is
// behind the last record of a log is zeros then, or nothing, or an append that
// was interrupted. Room that cannot be had, on a full disk, is done without;
// what there is of it is for the records that come.
//
// The log is the files *.log of one directory. Its tables, *.sst, into which
// the log goes now and then, are given space on a full disk as well; all else
// is passed on. Thread-safe; a file has one writer, and any number that sync.
class WalFiles final : public rocksdb::FileSystemWrapper {
 public:
  struct Options {
    std::string directory;
    uint64_t room_bytes = 0;  // written ahead
    // The disk is full: makes a little space, which somebody else may take
    // first; false if it cannot.
    std::function<bool()> make_space;
    // Runs in the thread of an append that failed before RocksDB knows of it.
    std::function<void()> before_error;
  };

  WalFiles(Options options, std::shared_ptr<rocksdb::FileSystem> target);

  static const char* kClassName() { return "WalFiles"; }
  const char* Name() const override { return kClassName(); }

  rocksdb::IOStatus NewWritableFile(
      const std::string& path, const rocksdb::FileOptions& options,
      std::unique_ptr<rocksdb::FSWritableFile>* result,
      rocksdb::IODebugContext* debug) override;
  // That of its records while a log is open: who copies it by its length, for a
  // checkpoint, must not read where records are written meanwhile.
  rocksdb::IOStatus GetFileSize(const std::string& path,
                                const rocksdb::IOOptions& options,
                                uint64_t* size,
                                rocksdb::IODebugContext* debug) override;

 private:
  class File;

  const Options options_;
  absl::Mutex mu_;
  // Where the records of the open logs end, by path.
  std::map<std::string, uint64_t> ends_ ABSL_GUARDED_BY(mu_);
};

}  // namespace bulwark::store

#endif  // STORE_ROCKS_WAL_FILES_H_
