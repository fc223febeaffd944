// What files hold, remembered between builds.
#ifndef ENGINE_BUILD_FILE_DIGESTS_H_
#define ENGINE_BUILD_FILE_DIGESTS_H_

#include <sys/stat.h>

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <tuple>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

namespace bulwark::engine::build {

// Digests of contents, by what the kernel changes with them: among that, the
// time of the last change, which nobody can set. Thread-safe.
class FileDigests {
 public:
  // Of the file that looks so now.
  std::optional<std::string> Find(const struct stat& file) const
      ABSL_LOCKS_EXCLUDED(mu_);

  // `file`: as it looked at `began`, when reading it began. Not kept if it had
  // changed just before: it could again without looking different.
  void Put(const struct stat& file, absl::Time began, std::string digest)
      ABSL_LOCKS_EXCLUDED(mu_);

 private:
  // Device, inode, size, and times of modification and of change in ns.
  using Key = std::tuple<uint64_t, uint64_t, int64_t, int64_t, int64_t>;
  static Key KeyOf(const struct stat& file);

  mutable absl::Mutex mu_;
  std::map<Key, std::string> digests_ ABSL_GUARDED_BY(mu_);
};

}  // namespace bulwark::engine::build

#endif  // ENGINE_BUILD_FILE_DIGESTS_H_
