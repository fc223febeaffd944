#include "store/rocks/wal_files.h"

#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/strip.h"

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
  File(const Options& options, std::unique_ptr<rocksdb::FSWritableFile> target)
      : FSWritableFileOwnerWrapper(std::move(target)), options_(options) {}

  IOStatus Append(const Slice& data, const IOOptions& options,
                  IODebugContext* debug) override {
    const IOStatus written =
        target()->PositionedAppend(data, end_, options, debug);
    if (!written.ok()) {
      options_.before_error();
      return written;
    }
    end_ += data.size();
    // Not before: what is left of a disk is for records.
    if (end_ > room_) MakeRoom(options, debug);
    return written;
  }
  IOStatus Append(const Slice& data, const IOOptions& options,
                  const rocksdb::DataVerificationInfo&,
                  IODebugContext* debug) override {
    return Append(data, options, debug);
  }
  // Leaves the zeros: it would cut them off, which a checkpoint that copies the
  // log by its length takes for damage.
  IOStatus Close(const IOOptions& options, IODebugContext* debug) override {
    if (room_ > end_) {
      target()->Truncate(room_, options, debug).PermitUncheckedError();
    }
    return target()->Close(options, debug);
  }
  uint64_t GetFileSize(const IOOptions&, IODebugContext*) override {
    return end_;
  }

 private:
  // What a full disk takes of it is not needed, and used by later records.
  void MakeRoom(const IOOptions& options, IODebugContext* debug) {
    room_ = end_ + options_.room_bytes;
    if (room_ == end_) return;
    const std::string zeros(options_.room_bytes, '\0');
    target()
        ->PositionedAppend(zeros, end_, options, debug)
        .PermitUncheckedError();
  }

  const Options& options_;
  uint64_t end_ = 0;   // of the records
  uint64_t room_ = 0;  // no zeros are written before the records reach it
};

WalFiles::WalFiles(Options options, std::shared_ptr<rocksdb::FileSystem> target)
    : FileSystemWrapper(std::move(target)), options_(std::move(options)) {}

IOStatus WalFiles::NewWritableFile(
    const std::string& path, const FileOptions& options,
    std::unique_ptr<rocksdb::FSWritableFile>* result, IODebugContext* debug) {
  const IOStatus made = target()->NewWritableFile(path, options, result, debug);
  absl::string_view name = path;
  if (made.ok() && absl::EndsWith(name, ".log") &&
      absl::ConsumePrefix(&name, options_.directory) &&
      absl::ConsumePrefix(&name, "/") && !absl::StrContains(name, '/')) {
    *result = std::make_unique<File>(options_, std::move(*result));
  }
  return made;
}

}  // namespace bulwark::store
