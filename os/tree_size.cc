// How much of the disk a tree takes.
#include <fts.h>
#include <sys/stat.h>

#include <cerrno>
#include <memory>
#include <set>
#include <utility>

#include "base/status.h"
#include "os/files.h"

namespace bulwark::os {
namespace {

constexpr int64_t kBlock = 512;  // of st_blocks, whatever the file system's

}  // namespace

absl::StatusOr<int64_t> TreeSize(const std::string& path) {
  std::string root = path;
  char* roots[] = {root.data(), nullptr};
  std::unique_ptr<FTS, int (*)(FTS*)> tree(
      fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR | FTS_XDEV, nullptr),
      fts_close);
  if (tree == nullptr) return ErrnoStatus("open", path);
  std::set<std::pair<dev_t, ino_t>> seen;  // of files with several names
  int64_t bytes = 0;
  errno = 0;
  while (FTSENT* entry = fts_read(tree.get())) {
    switch (entry->fts_info) {
      case FTS_DP:  // a directory, again
      case FTS_NS:  // gone
      case FTS_NSOK:
        break;
      case FTS_DNR:
      case FTS_ERR:
        if (entry->fts_errno != ENOENT) {
          return ErrnoStatus(entry->fts_errno, "read", entry->fts_path);
        }
        break;
      default: {
        const struct stat& info = *entry->fts_statp;
        if (info.st_nlink > 1 && !S_ISDIR(info.st_mode) &&
            !seen.emplace(info.st_dev, info.st_ino).second) {
          break;
        }
        bytes += static_cast<int64_t>(info.st_blocks) * kBlock;
      }
    }
    errno = 0;
  }
  if (errno != 0 && errno != ENOENT) return ErrnoStatus("read", path);
  return bytes;
}

}  // namespace bulwark::os
