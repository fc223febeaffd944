#include "store/rocks/wal_files.h"

#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/strip.h"
#include "base/check.h"

namespace bulwark::store {
namespace {

using ::rocksdb::FileOptions;
using ::rocksdb::IODebugContext;
using ::rocksdb::IOOptions;
using ::rocksdb::IOStatus;
using ::rocksdb::Slice;

}  // namespace

class WalFiles::File final : public rocksdb::FSWritableFileOwnerWrapper {
 public:
  File(WalFiles& owner, std::string path,
       std::unique_ptr<rocksdb::FSWritableFile> target)
      : FSWritableFileOwnerWrapper(std::move(target)),
        owner_(owner),
        path_(std::move(path)) {
    SetEnd(0);
  }
  ~File() override {
    absl::MutexLock lock(&owner_.mu_);
    owner_.ends_.erase(path_);
  }

  IOStatus Append(const Slice& data, const IOOptions& options,
                  IODebugContext* debug) override {
    const IOStatus written =
        target()->PositionedAppend(data, end_, options, debug);
    if (!written.ok()) {
      torn_ = true;
      owner_.options_.before_error();
      return written;
    }
    SetEnd(end_ + data.size());
    // Not before: what is left of a disk is for records.
    if (end_ > room_) MakeRoom(options, debug);
    return written;
  }
  IOStatus Append(const Slice& data, const IOOptions& options,
                  const rocksdb::DataVerificationInfo&,
                  IODebugContext* debug) override {
    return Append(data, options, debug);
  }
  // Leaves the zeros, which it would cut off: a checkpoint may be copying the
  // log by its length. Not behind half a record, though, which nobody wants.
  IOStatus Close(const IOOptions& options, IODebugContext* debug) override {
    if (torn_ || zeros_ > end_) {
      target()
          ->Truncate(torn_ ? end_ : zeros_, options, debug)
          .PermitUncheckedError();
    }
    return target()->Close(options, debug);
  }
  uint64_t GetFileSize(const IOOptions&, IODebugContext*) override {
    return end_;
  }

 private:
  void SetEnd(uint64_t end) {
    end_ = end;
    absl::MutexLock lock(&owner_.mu_);
    owner_.ends_[path_] = end;
  }
  // What a full disk takes of it is not needed, and used by later records.
  void MakeRoom(const IOOptions& options, IODebugContext* debug) {
    room_ = end_ + owner_.options_.room_bytes;
    if (room_ == end_) return;
    const std::string zeros(owner_.options_.room_bytes, '\0');
    if (target()->PositionedAppend(zeros, end_, options, debug).ok()) {
      zeros_ = room_;
    }
  }

  WalFiles& owner_;
  const std::string path_;
  uint64_t end_ = 0;    // of the records
  uint64_t room_ = 0;   // no zeros are written before the records reach it
  uint64_t zeros_ = 0;  // up to here they were written
  bool torn_ = false;   // half a record may follow the last
};

WalFiles::WalFiles(Options options, std::shared_ptr<rocksdb::FileSystem> target)
    : FileSystemWrapper(std::move(target)), options_(std::move(options)) {
  CHECK(options_.before_error != nullptr);
}

IOStatus WalFiles::NewWritableFile(
    const std::string& path, const FileOptions& options,
    std::unique_ptr<rocksdb::FSWritableFile>* result, IODebugContext* debug) {
  const IOStatus made = target()->NewWritableFile(path, options, result, debug);
  absl::string_view name = path;
  if (made.ok() && absl::EndsWith(name, ".log") &&
      absl::ConsumePrefix(&name, options_.directory) &&
      absl::ConsumePrefix(&name, "/") && !absl::StrContains(name, '/')) {
    *result = std::make_unique<File>(*this, path, std::move(*result));
  }
  return made;
}

IOStatus WalFiles::GetFileSize(const std::string& path,
                               const IOOptions& options, uint64_t* size,
                               IODebugContext* debug) {
  {
    absl::MutexLock lock(&mu_);
    if (const auto open = ends_.find(path); open != ends_.end()) {
      *size = open->second;
      return IOStatus::OK();
    }
  }
  return target()->GetFileSize(path, options, size, debug);
}

}  // namespace bulwark::store
