#include "store/rocks/unsynced_fs.h"

#include <filesystem>
#include <optional>
#include <system_error>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/check.h"

namespace bulwark::store {
namespace {

using ::rocksdb::FileOptions;
using ::rocksdb::IODebugContext;
using ::rocksdb::IOOptions;
using ::rocksdb::IOStatus;
namespace fs = std::filesystem;

IOStatus PowerFailure() { return IOStatus::IOError("power failure"); }

std::string Clean(const std::string& path) {
  std::string clean = fs::path(path).lexically_normal().string();
  while (clean.size() > 1 && clean.back() == '/') clean.pop_back();
  return clean;
}

std::string ParentOf(const std::string& path) {
  return fs::path(path).parent_path().string();
}

void Rename(const std::string& from, const std::string& to) {
  std::error_code error;
  fs::rename(from, to, error);
  CHECK(!error);
}

}  // namespace

class UnsyncedFs::File final : public rocksdb::FSWritableFileOwnerWrapper {
 public:
  File(UnsyncedFs& owner, std::string path,
       std::shared_ptr<UnsyncedBytes> bytes,
       std::unique_ptr<rocksdb::FSWritableFile> target)
      : FSWritableFileOwnerWrapper(std::move(target)),
        owner_(owner),
        path_(std::move(path)),
        bytes_(std::move(bytes)),
        is_log_(absl::EndsWith(path_, ".log")) {}

  IOStatus Append(const rocksdb::Slice& data, const IOOptions& options,
                  IODebugContext* debug) override {
    return Write(data, std::nullopt, options, debug);
  }
  IOStatus Append(const rocksdb::Slice& data, const IOOptions& options,
                  const rocksdb::DataVerificationInfo&,
                  IODebugContext* debug) override {
    return Write(data, std::nullopt, options, debug);
  }
  IOStatus PositionedAppend(const rocksdb::Slice& data, uint64_t offset,
                            const IOOptions& options,
                            IODebugContext* debug) override {
    return Write(data, offset, options, debug);
  }
  IOStatus PositionedAppend(const rocksdb::Slice& data, uint64_t offset,
                            const IOOptions& options,
                            const rocksdb::DataVerificationInfo&,
                            IODebugContext* debug) override {
    return Write(data, offset, options, debug);
  }
  IOStatus Truncate(uint64_t size, const IOOptions& options,
                    IODebugContext* debug) override {
    if (IOStatus s = owner_.Step(); !s.ok()) return s;
    const IOStatus status = target()->Truncate(size, options, debug);
    if (status.ok()) {
      absl::MutexLock lock(&owner_.mu_);
      bytes_->Truncate(size);
    }
    return status;
  }
  IOStatus Sync(const IOOptions& options, IODebugContext* debug) override {
    if (IOStatus s = owner_.Step(); !s.ok()) return s;
    {
      // What counts is this bookkeeping: the real disk need not be waited for.
      absl::MutexLock lock(&owner_.mu_);
      if (owner_.sync_fails_) return IOStatus::IOError("sync failed");
      bytes_->Sync();
    }
    if (is_log_) owner_.Tell(Moment::kAfterSync);
    return IOStatus::OK();
  }
  IOStatus Fsync(const IOOptions& options, IODebugContext* debug) override {
    return Sync(options, debug);
  }
  IOStatus RangeSync(uint64_t, uint64_t, const IOOptions&,
                     IODebugContext*) override {
    return IOStatus::OK();  // promises nothing
  }
  // A real file that has any is cut when it is closed, also after a crash.
  void SetPreallocationBlockSize(size_t) override {}
  void PrepareWrite(size_t, size_t, const IOOptions&,
                    IODebugContext*) override {}
  IOStatus Allocate(uint64_t, uint64_t, const IOOptions&,
                    IODebugContext*) override {
    return IOStatus::OK();
  }

 private:
  // At the end if there is no offset.
  IOStatus Write(const rocksdb::Slice& data, std::optional<uint64_t> offset,
                 const IOOptions& options, IODebugContext* debug) {
    if (is_log_) owner_.Tell(Moment::kBeforeAppend);
    IOStatus fate = owner_.Step();
    rocksdb::Slice part = data;
    {
      absl::MutexLock lock(&owner_.mu_);
      const bool cut = !fate.ok() && owner_.operations_ == owner_.crash_at_;
      if (!fate.ok() && !cut) return fate;
      if (owner_.full_) fate = IOStatus::NoSpace("disk full");
      if (!fate.ok()) {
        part = {data.data(), owner_.entropy_.Next() % (data.size() + 1)};
      }
      bytes_->Write(path_, offset.value_or(bytes_->size()), part.size());
    }
    const IOStatus written =
        offset.has_value()
            ? target()->PositionedAppend(part, *offset, options, debug)
            : target()->Append(part, options, debug);
    return written.ok() ? fate : written;
  }

  UnsyncedFs& owner_;
  const std::string path_;
  const std::shared_ptr<UnsyncedBytes> bytes_;
  const bool is_log_;
};

class UnsyncedFs::Directory final : public rocksdb::FSDirectoryWrapper {
 public:
  Directory(UnsyncedFs& owner, std::string path,
            std::unique_ptr<rocksdb::FSDirectory> target)
      : FSDirectoryWrapper(std::move(target)),
        owner_(owner),
        path_(std::move(path)) {}

  IOStatus Fsync(const IOOptions&, IODebugContext*) override {
    if (IOStatus s = owner_.Step(); !s.ok()) return s;
    owner_.SyncDirectory(path_);
    return IOStatus::OK();
  }
  IOStatus FsyncWithDirOptions(const IOOptions& options, IODebugContext* debug,
                               const rocksdb::DirFsyncOptions&) override {
    return Fsync(options, debug);
  }

 private:
  UnsyncedFs& owner_;
  const std::string path_;
};

UnsyncedFs::UnsyncedFs(std::string attic, uint64_t seed)
    : FileSystemWrapper(rocksdb::FileSystem::Default()),
      attic_(std::move(attic)),
      entropy_(seed) {}

void UnsyncedFs::Crash() {
  absl::MutexLock lock(&mu_);
  crashed_ = true;
}

void UnsyncedFs::CrashAfter(int64_t n) {
  absl::MutexLock lock(&mu_);
  crash_at_ = operations_ + n;
}

bool UnsyncedFs::crashed() const {
  absl::MutexLock lock(&mu_);
  return crashed_;
}

int64_t UnsyncedFs::operations() const {
  absl::MutexLock lock(&mu_);
  return operations_;
}

void UnsyncedFs::SetFull(bool full) {
  absl::MutexLock lock(&mu_);
  full_ = full;
}

void UnsyncedFs::SetSyncFails(bool fails) {
  absl::MutexLock lock(&mu_);
  sync_fails_ = fails;
}

void UnsyncedFs::DropUnsynced() {
  absl::MutexLock lock(&mu_);
  for (const auto& [path, bytes] : files_) bytes->Lose(path, true, entropy_);
}

void UnsyncedFs::OnLog(std::function<void(Moment)> hook) {
  absl::MutexLock lock(&mu_);
  on_log_ = std::move(hook);
}

void UnsyncedFs::Tell(Moment moment) {
  std::function<void(Moment)> hook;
  {
    absl::MutexLock lock(&mu_);
    hook = on_log_;
  }
  if (hook) hook(moment);
}

IOStatus UnsyncedFs::Step() {
  absl::MutexLock lock(&mu_);
  if (crashed_) return PowerFailure();
  ++operations_;
  crashed_ = operations_ == crash_at_;
  return crashed_ ? PowerFailure() : IOStatus::OK();
}

void UnsyncedFs::CutPower(Loss loss) {
  absl::MutexLock lock(&mu_);
  crashed_ = true;
  Lose(loss);
}

void UnsyncedFs::Restart(Loss loss) {
  absl::MutexLock lock(&mu_);
  Lose(loss);
  crashed_ = full_ = sync_fails_ = false;
  crash_at_ = -1;
}

void UnsyncedFs::Lose(Loss loss) {
  const bool all = loss == Loss::kEverything;
  for (const auto& [path, bytes] : files_) bytes->Lose(path, all, entropy_);
  const size_t keep = all ? 0 : entropy_.Next() % (entries_.size() + 1);
  while (entries_.size() > keep) {
    Undo(entries_.back());
    entries_.pop_back();
  }
  entries_.clear();
  files_.clear();
}

void UnsyncedFs::Save(const std::string& path, Entry& entry) {
  if (!fs::exists(fs::symlink_status(path))) return;
  entry.saved = absl::StrCat(attic_, "/", saved_++);
  Rename(path, entry.saved);
  if (auto it = files_.find(path); it != files_.end()) {
    entry.saved_bytes = it->second;
    files_.erase(it);
  }
}

void UnsyncedFs::Add(Entry entry) {
  entry.directory = ParentOf(entry.path);
  entries_.push_back(std::move(entry));
}

void UnsyncedFs::Undo(const Entry& entry) {
  std::error_code error;
  if (entry.op == Entry::Op::kCreated) fs::remove_all(entry.path, error);
  if (entry.op == Entry::Op::kRenamed) Rename(entry.path, entry.from);
  if (entry.saved.empty()) return;
  Rename(entry.saved, entry.path);
  // Its unsynced bytes are lost too.
  if (entry.saved_bytes != nullptr) {
    entry.saved_bytes->Lose(entry.path, true, entropy_);
  }
}

void UnsyncedFs::SyncDirectory(const std::string& path) {
  absl::MutexLock lock(&mu_);
  auto durable = [&path](const Entry& e) { return e.directory == path; };
  for (const Entry& entry : entries_) {
    std::error_code error;
    if (durable(entry) && !entry.saved.empty()) {
      fs::remove_all(entry.saved, error);
    }
  }
  entries_.erase(std::remove_if(entries_.begin(), entries_.end(), durable),
                 entries_.end());
}

IOStatus UnsyncedFs::Wrap(const std::string& path, bool existed,
                          std::unique_ptr<rocksdb::FSWritableFile>* result) {
  absl::MutexLock lock(&mu_);
  std::shared_ptr<UnsyncedBytes>& bytes = files_[path];
  if (bytes == nullptr) {
    std::error_code error;
    const uintmax_t size = fs::file_size(path, error);
    bytes = std::make_shared<UnsyncedBytes>(error ? 0 : size);
  }
  if (!existed) {
    Add({.op = Entry::Op::kCreated, .directory = "", .path = path});
  }
  *result = std::make_unique<File>(*this, path, bytes, std::move(*result));
  return IOStatus::OK();
}

IOStatus UnsyncedFs::NewWritableFile(
    const std::string& raw, const FileOptions& options,
    std::unique_ptr<rocksdb::FSWritableFile>* result, IODebugContext* debug) {
  const std::string path = Clean(raw);
  if (IOStatus s = Step(); !s.ok()) return s;
  {
    // An existing file is replaced: like a removal and a creation.
    absl::MutexLock lock(&mu_);
    Entry entry{.op = Entry::Op::kRemoved, .directory = "", .path = path};
    Save(path, entry);
    if (!entry.saved.empty()) Add(std::move(entry));
  }
  const IOStatus made = target()->NewWritableFile(path, options, result, debug);
  return made.ok() ? Wrap(path, false, result) : made;
}

IOStatus UnsyncedFs::ReopenWritableFile(
    const std::string& raw, const FileOptions& options,
    std::unique_ptr<rocksdb::FSWritableFile>* result, IODebugContext* debug) {
  const std::string path = Clean(raw);
  if (IOStatus s = Step(); !s.ok()) return s;
  const bool existed = fs::exists(path);
  const IOStatus opened =
      target()->ReopenWritableFile(path, options, result, debug);
  return opened.ok() ? Wrap(path, existed, result) : opened;
}

IOStatus UnsyncedFs::ReuseWritableFile(
    const std::string&, const std::string&, const FileOptions&,
    std::unique_ptr<rocksdb::FSWritableFile>*, IODebugContext*) {
  return IOStatus::NotSupported("reuse of a file");
}

IOStatus UnsyncedFs::NewRandomRWFile(const std::string&, const FileOptions&,
                                     std::unique_ptr<rocksdb::FSRandomRWFile>*,
                                     IODebugContext*) {
  return IOStatus::NotSupported("random writes");
}

IOStatus UnsyncedFs::NewDirectory(const std::string& path,
                                  const IOOptions& options,
                                  std::unique_ptr<rocksdb::FSDirectory>* result,
                                  IODebugContext* debug) {
  const IOStatus opened = target()->NewDirectory(path, options, result, debug);
  if (opened.ok()) {
    *result =
        std::make_unique<Directory>(*this, Clean(path), std::move(*result));
  }
  return opened;
}

IOStatus UnsyncedFs::DeleteFile(const std::string& raw, const IOOptions&,
                                IODebugContext*) {
  const std::string path = Clean(raw);
  if (IOStatus s = Step(); !s.ok()) return s;
  absl::MutexLock lock(&mu_);
  Entry entry{.op = Entry::Op::kRemoved, .directory = "", .path = path};
  Save(path, entry);
  if (entry.saved.empty()) return IOStatus::PathNotFound(path);
  Add(std::move(entry));
  return IOStatus::OK();
}

IOStatus UnsyncedFs::Truncate(const std::string&, size_t, const IOOptions&,
                              IODebugContext*) {
  return IOStatus::NotSupported("truncate by path");
}

IOStatus UnsyncedFs::CreateDir(const std::string& raw, const IOOptions& options,
                               IODebugContext* debug) {
  const std::string path = Clean(raw);
  if (IOStatus s = Step(); !s.ok()) return s;
  const IOStatus made = target()->CreateDir(path, options, debug);
  if (!made.ok()) return made;
  absl::MutexLock lock(&mu_);
  Add({.op = Entry::Op::kCreated, .directory = "", .path = path});
  return made;
}

IOStatus UnsyncedFs::CreateDirIfMissing(const std::string& path,
                                        const IOOptions& options,
                                        IODebugContext* debug) {
  if (fs::is_directory(path)) return IOStatus::OK();
  return CreateDir(path, options, debug);
}

IOStatus UnsyncedFs::RenameFile(const std::string& raw_from,
                                const std::string& raw_to, const IOOptions&,
                                IODebugContext*) {
  const std::string from = Clean(raw_from), to = Clean(raw_to);
  if (IOStatus s = Step(); !s.ok()) return s;
  absl::MutexLock lock(&mu_);
  if (!fs::exists(from)) return IOStatus::PathNotFound(from);
  Entry entry{
      .op = Entry::Op::kRenamed, .directory = "", .path = to, .from = from};
  Save(to, entry);
  Rename(from, to);
  if (auto it = files_.find(from); it != files_.end()) {
    files_[to] = it->second;
    files_.erase(from);
  }
  Add(std::move(entry));
  return IOStatus::OK();
}

IOStatus UnsyncedFs::LinkFile(const std::string& raw_from,
                              const std::string& raw_to,
                              const IOOptions& options, IODebugContext* debug) {
  const std::string from = Clean(raw_from), to = Clean(raw_to);
  if (IOStatus s = Step(); !s.ok()) return s;
  const IOStatus linked = target()->LinkFile(from, to, options, debug);
  if (!linked.ok()) return linked;
  absl::MutexLock lock(&mu_);
  if (auto it = files_.find(from); it != files_.end()) files_[to] = it->second;
  Add({.op = Entry::Op::kCreated, .directory = "", .path = to});
  return linked;
}

}  // namespace bulwark::store
