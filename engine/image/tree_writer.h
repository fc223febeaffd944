// Writes tar entries below a directory without ever leaving it.
#ifndef ENGINE_IMAGE_TREE_WRITER_H_
#define ENGINE_IMAGE_TREE_WRITER_H_

#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/unique_fd.h"
#include "engine/image/tar_reader.h"

namespace bulwark::engine::image {

// Thread-compatible. `root_fd` is borrowed.
class TreeWriter {
 public:
  struct Options {
    int max_depth = 256;
    size_t max_path = 4095;
    // Whiteout names (".wh.x") become overlayfs's own marks; else they are
    // ordinary names.
    bool whiteouts = true;
  };

  TreeWriter(int root_fd, const Options& options)
      : root_fd_(root_fd), options_(options) {}

  // Makes what `entry` describes; file contents come from `reader`.
  absl::Status Apply(const TarEntry& entry, TarReader* reader);

  // Sets the times of directories; call once, last.
  absl::Status Finish();

  const std::vector<std::string>& implied_directories() const {
    return implied_;
  }

 private:
  using Parts = std::vector<std::string>;

  absl::StatusOr<Parts> Split(absl::string_view path) const;
  // A descriptor of the directory of parts[0, count); made if missing. Borrowed
  // until the next call.
  absl::StatusOr<int> OpenParent(const Parts& parts, size_t count);
  absl::StatusOr<UniqueFd> WalkTo(const Parts& parts, size_t count);
  absl::StatusOr<UniqueFd> MakeImplied(int parent, const std::string& name,
                                       const std::string& path);
  // What held an entry's name before.
  enum class Previous { kNothing, kDirectory, kWhiteout };
  // Removes what has this name, unless it and the new entry are directories.
  absl::StatusOr<Previous> Clear(int parent, const std::string& name,
                                 bool is_directory);
  absl::Status ApplyWhiteout(const Parts& parts);
  absl::Status ApplyRoot(const TarEntry& entry);
  absl::Status MakeDirectory(int parent, const Parts& parts,
                             const TarEntry& entry);
  absl::Status MakeFile(int parent, const std::string& name,
                        const TarEntry& entry, TarReader* reader);
  absl::Status MakeLinkOrFifo(int parent, const std::string& name,
                              const TarEntry& entry);
  absl::Status MakeHardlink(int parent, const std::string& name,
                            const TarEntry& entry);

  const int root_fd_;
  const Options options_;
  UniqueFd cached_fd_;
  std::string cached_path_;  // what cached_fd_ is; empty: not valid any more
  std::vector<std::string> implied_;
  std::vector<std::pair<std::string, timespec>> directory_times_;
};

}  // namespace bulwark::engine::image

#endif  // ENGINE_IMAGE_TREE_WRITER_H_
