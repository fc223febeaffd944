// Copies that share blocks where the file system can.
#ifndef OS_COPY_H_
#define OS_COPY_H_

#include <functional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "os/measure.h"

namespace bulwark::os {

// Asked now and then: false ends a copy with CANCELLED.
using Wanted = std::function<bool()>;

// The contents of file `from`, holes kept, become those of `to`, a new empty
// file: by FICLONE, else by copying what is allocated. Not fsynced.
absl::Status CopyFile(int from, int to, const std::string& name,
                      const Wanted& wanted = nullptr);

// Whether files in `directory` can share blocks.
bool CanReflink(const std::string& directory);

// The tree below directory `from` becomes that below `to`, which must exist and
// be empty; the top's own owner, mode, times and attributes too. Keeps owners,
// modes, times, extended attributes, holes, symbolic links, special files and
// hard links within the tree. Follows no link and enters no other mount. While
// others write, each file is as it was at some moment of the copy; what
// vanishes meanwhile is left out. Not fsynced (SyncFs). Returns what is below
// `from`, as MeasureTree does but without the top itself.
//   RESOURCE_EXHAUSTED   no space, or more than 200 directories deep
//   CANCELLED            `wanted` said no
absl::StatusOr<TreeUsage> CopyTree(const std::string& from,
                                   const std::string& to,
                                   const Wanted& wanted = nullptr);

}  // namespace bulwark::os

#endif  // OS_COPY_H_
