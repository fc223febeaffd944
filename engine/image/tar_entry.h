// One entry of a tar archive.
#ifndef ENGINE_IMAGE_TAR_ENTRY_H_
#define ENGINE_IMAGE_TAR_ENTRY_H_

#include <sys/types.h>
#include <time.h>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace bulwark::engine::image {

struct TarEntry {
  enum class Type { kFile, kDirectory, kSymlink, kHardlink, kFifo, kOther };
  Type type = Type::kOther;
  std::string path;  // as written
  std::string link;  // target of a symbolic or hard link
  mode_t mode = 0;   // permission bits with setuid, setgid and sticky
  int64_t uid = 0;
  int64_t gid = 0;
  timespec mtime = {};
  int64_t size = 0;
  std::vector<std::pair<std::string, std::string>> xattrs;
};

}  // namespace bulwark::engine::image

#endif  // ENGINE_IMAGE_TAR_ENTRY_H_
