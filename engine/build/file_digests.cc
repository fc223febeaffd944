#include "engine/build/file_digests.h"

#include <utility>

namespace bulwark::engine::build {
namespace {

constexpr size_t kMost = 100'000;
// The kernel's clock for files goes in steps of up to 10 ms.
constexpr absl::Duration kStep = absl::Milliseconds(20);

}  // namespace

FileDigests::Key FileDigests::KeyOf(const struct stat& file) {
  return {file.st_dev, file.st_ino, file.st_size,
          absl::ToUnixNanos(absl::TimeFromTimespec(file.st_mtim)),
          absl::ToUnixNanos(absl::TimeFromTimespec(file.st_ctim))};
}

std::optional<std::string> FileDigests::Find(const struct stat& file) const {
  absl::MutexLock lock(&mu_);
  const auto it = digests_.find(KeyOf(file));
  if (it == digests_.end()) return std::nullopt;
  return it->second;
}

void FileDigests::Put(const struct stat& file, absl::Time began,
                      std::string digest) {
  if (absl::TimeFromTimespec(file.st_ctim) > began - kStep) return;
  absl::MutexLock lock(&mu_);
  // Most are of files that have gone since.
  if (digests_.size() >= kMost) digests_.clear();
  digests_[KeyOf(file)] = std::move(digest);
}

}  // namespace bulwark::engine::build
