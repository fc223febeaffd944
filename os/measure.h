// How much of the disk a tree takes.
#ifndef OS_MEASURE_H_
#define OS_MEASURE_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"

namespace bulwark::os {

struct TreeUsage {
  int64_t bytes = 0;    // allocated; a file with several names counts once
  int64_t entries = 0;  // names below the top
};

// `path`, a directory or any other file, and all below it. Follows no link and
// enters no other file system; what goes away meanwhile counts nothing, and
// nothing at all is at a `path` that does not exist. A lower bound after
// `max_entries`, and of what is deeper than paths can be long (path_max(7)).
// Holds two descriptors. Thread-safe; blocks while it reads.
absl::StatusOr<TreeUsage> MeasureTree(const std::string& path,
                                      int64_t max_entries = INT64_MAX);

// What users without privileges may still write on the disk of `path`.
absl::StatusOr<int64_t> FreeBytes(const std::string& path);

}  // namespace bulwark::os

#endif  // OS_MEASURE_H_
