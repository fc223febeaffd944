#include "store/rocks/unsynced_bytes.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <system_error>

#include "base/check.h"
#include "base/unique_fd.h"

namespace bulwark::store {
namespace {

constexpr uint64_t kPage = 4096;

void WriteAt(const std::string& path, uint64_t offset,
             const std::string& bytes) {
  const UniqueFd fd(open(path.c_str(), O_WRONLY | O_CLOEXEC));
  CHECK(fd.ok());
  CHECK(pwrite(fd.get(), bytes.data(), bytes.size(),
               static_cast<off_t>(offset)) ==
        static_cast<ssize_t>(bytes.size()));
}

}  // namespace

void UnsyncedBytes::Write(const std::string& path, uint64_t offset,
                          uint64_t size) {
  CHECK(offset <= size_);
  const uint64_t end = std::min(offset + size, synced_);
  size_ = std::max(size_, offset + size);
  if (offset >= end) return;
  const UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  CHECK(fd.ok());
  for (uint64_t at = offset; at < end;) {
    const uint64_t next = std::min(end, (at / kPage + 1) * kPage);
    Before before{at, std::string(next - at, '\0')};
    CHECK(pread(fd.get(), before.bytes.data(), before.bytes.size(),
                static_cast<off_t>(at)) ==
          static_cast<ssize_t>(before.bytes.size()));
    before_.push_back(std::move(before));
    at = next;
  }
}

void UnsyncedBytes::Truncate(uint64_t size) {
  size_ = size;
  synced_ = std::min(synced_, size);
  for (Before& before : before_) {
    const uint64_t left = size > before.offset ? size - before.offset : 0;
    if (before.bytes.size() > left) before.bytes.resize(left);
  }
}

void UnsyncedBytes::Sync() {
  synced_ = size_;
  before_.clear();
}

void UnsyncedBytes::Lose(const std::string& path, bool all, Entropy& entropy) {
  if (!std::filesystem::exists(path)) return;
  UndoOverwrites(path, all, entropy);
  const uint64_t unsynced = size_ - synced_;
  if (unsynced == 0) return;
  const uint64_t kept = synced_ + (all ? 0 : entropy.Next() % (unsynced + 1));
  std::error_code gone;  // removed behind our back
  std::filesystem::resize_file(path, kept, gone);
  if (gone) return;
  if (!all && kept > synced_ && entropy.Next() % 2 == 0) {
    // The disk never got these pages.
    const uint64_t from = synced_ + entropy.Next() % (kept - synced_);
    const uint64_t size = entropy.Next() % (kept - from + 1);
    WriteAt(path, from, std::string(size, '\0'));
  }
  size_ = synced_ = kept;
}

void UnsyncedBytes::UndoOverwrites(const std::string& path, bool all,
                                   Entropy& entropy) {
  std::map<uint64_t, std::vector<const Before*>> pages;
  for (const Before& before : before_) {
    pages[before.offset / kPage].push_back(&before);
  }
  for (const auto& [page, writes] : pages) {
    const size_t kept = all ? 0 : entropy.Next() % (writes.size() + 1);
    for (size_t i = writes.size(); i > kept; --i) {
      WriteAt(path, writes[i - 1]->offset, writes[i - 1]->bytes);
    }
  }
  before_.clear();
}

}  // namespace bulwark::store
