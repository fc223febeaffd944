#include "store/rocks/wal_files.h"

#include <algorithm>
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

// A quarter of the room is kept, for a record that comes when no more can be
// had.
constexpr uint64_t kAhead = 4;

}  // namespace

class WalFiles::File final : public rocksdb::FSWritableFileOwnerWrapper {
 public:
  File(WalFiles& owner, std::string path, bool log,
       std::unique_ptr<rocksdb::FSWritableFile> target)
      : FSWritableFileOwnerWrapper(std::move(target)),
        owner_(owner),
        path_(std::move(path)),
        log_(log),
        room_bytes_(log ? owner.options_.room_bytes : 0) {
    SetEnd(0);
  }
  ~File() override {
    absl::MutexLock lock(&owner_.mu_);
    owner_.ends_.erase(path_);
  }

  IOStatus Append(const Slice& data, const IOOptions& options,
                  IODebugContext* debug) override {
    const IOStatus written = Write(data, end_, options, debug);
    if (!written.ok()) {
      torn_ = true;
      if (log_) owner_.options_.before_error();
      return written;
    }
    SetEnd(end_ + data.size());
    if (end_ + room_bytes_ / kAhead > room_) MakeRoom(options, debug);
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
  // Each piece of space that is made is used at once, or gone to others.
  IOStatus Write(const Slice& data, uint64_t offset, const IOOptions& options,
                 IODebugContext* debug) {
    IOStatus written;
    do {
      written = target()->PositionedAppend(data, offset, options, debug);
    } while (written.IsNoSpace() && owner_.options_.make_space());
    return written;
  }
  // What a full disk takes of it is not needed, and used by later records.
  void MakeRoom(const IOOptions& options, IODebugContext* debug) {
    room_ = end_ + room_bytes_;
    const uint64_t begin = std::max(end_, zeros_);
    if (room_ <= begin) return;
    const std::string zeros(room_ - begin, '\0');
    if (Write(zeros, begin, options, debug).ok()) zeros_ = room_;
  }

  WalFiles& owner_;
  const std::string path_;
  const bool log_;
  const uint64_t room_bytes_;
  uint64_t end_ = 0;    // of the records
  uint64_t room_ = 0;   // no zeros are written before the records come near
  uint64_t zeros_ = 0;  // up to here they were written
  bool torn_ = false;   // half a record may follow the last
};

WalFiles::WalFiles(Options options, std::shared_ptr<rocksdb::FileSystem> target)
    : FileSystemWrapper(std::move(target)), options_(std::move(options)) {
  CHECK(options_.before_error != nullptr);
  CHECK(options_.make_space != nullptr);
}

IOStatus WalFiles::NewWritableFile(
    const std::string& path, const FileOptions& options,
    std::unique_ptr<rocksdb::FSWritableFile>* result, IODebugContext* debug) {
  const IOStatus made = target()->NewWritableFile(path, options, result, debug);
  absl::string_view name = path;
  const bool log = absl::EndsWith(name, ".log");
  const bool table = absl::EndsWith(name, ".sst");
  if (made.ok() && (log || table) &&
      absl::ConsumePrefix(&name, options_.directory) &&
      absl::ConsumePrefix(&name, "/") && !absl::StrContains(name, '/')) {
    *result = std::make_unique<File>(*this, path, log, std::move(*result));
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
