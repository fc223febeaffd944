// Port beside Engine: the files of one container.
//
// A container changes its files as it likes while they are copied; whatever it
// does, nothing outside of it is read or written: paths are resolved inside its
// root, every entry is reached from the descriptor of its folder, and no
// program or library of it is run.
#ifndef ENGINE_CONTAINER_FILES_H_
#define ENGINE_CONTAINER_FILES_H_

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace bulwark::engine {

// Takes the next piece of a tar archive; an error ends the call.
using TarSink = std::function<absl::Status(absl::string_view)>;
// Gives the next piece of a tar archive; empty: the end.
using TarSource = std::function<absl::StatusOr<std::string>()>;

// A difference between a container's root file system and its image.
struct FileChange {
  enum class Kind { kAdded, kChanged, kDeleted };
  Kind kind = Kind::kAdded;
  std::string path;  // absolute
};

// Owners in archives are those inside the container. Device nodes and sockets
// are left out, as is what lies in proc, sysfs and the like. Thread-safe.
// Errors common to all: NOT_FOUND for an unknown id, FAILED_PRECONDITION if it
// has exited.
class ContainerFiles {
 public:
  virtual ~ContainerFiles() = default;

  // The file or folder at `path` (absolute, or relative to the container's
  // working directory) as an archive whose entries begin with the last part of
  // `path`; those of "/" have no such part. NOT_FOUND if there is none. Also of
  // a container that has exited, where the kernel can (Linux 6.5).
  virtual absl::Status CopyFrom(absl::string_view id, const std::string& path,
                                bool follow_link, const TarSink& sink) = 0;

  // Unpacks an archive in the folder at `path`. Unless `keep_ids` everything
  // belongs to the container's root. Returns how many bytes the archive had.
  // INVALID_ARGUMENT names an entry that is not acceptable, as one with "..";
  // what came before it has been written. NOT_FOUND if there is no such folder,
  // PERMISSION_DENIED if it cannot be written.
  virtual absl::StatusOr<int64_t> CopyTo(absl::string_view id,
                                         const std::string& path, bool keep_ids,
                                         const TarSource& source) = 0;

  // The whole root file system, without what is mounted in it. Also of a
  // container that has exited.
  virtual absl::Status Export(absl::string_view id, const TarSink& sink) = 0;

  // Sorted by path. Also of a container that has exited.
  virtual absl::StatusOr<std::vector<FileChange>> Diff(
      absl::string_view id) = 0;

  // The folder of its writable layer, whose files have the owners that the
  // container sees: to read it. Also of a container that has exited.
  virtual absl::StatusOr<std::string> WritableLayer(absl::string_view id) = 0;
};

}  // namespace bulwark::engine

#endif  // ENGINE_CONTAINER_FILES_H_
