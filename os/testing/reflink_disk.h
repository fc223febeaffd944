// A disk in a file whose file system can share blocks between files.
#ifndef OS_TESTING_REFLINK_DISK_H_
#define OS_TESTING_REFLINK_DISK_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/testing/temp_dir.h"

namespace bulwark::os {

// The file systems that a ReflinkDisk may have.
inline constexpr const char* kReflinkTypes[] = {"xfs", "btrfs"};

// Gone with its owner: the mount, its loop device and the file. Needs root, and
// a mount namespace of the test's own (PrivateMounts()).
class ReflinkDisk {
 public:
  ReflinkDisk() = default;
  ReflinkDisk(const ReflinkDisk&) = delete;
  ReflinkDisk& operator=(const ReflinkDisk&) = delete;
  ~ReflinkDisk();

  // Makes it. FAILED_PRECONDITION if this kernel has no such file system.
  absl::Status Make(const std::string& type);

  // Where it is mounted.
  std::string path() const { return dir_ / "disk"; }
  // What is free on it, after everything was written to it.
  absl::StatusOr<int64_t> FreeBytes() const;

 private:
  testing::TempDir dir_;
};

// From here on this process's mounts are nobody else's.
absl::Status PrivateMounts();

struct Extents {
  int64_t bytes = 0;   // of the file that lie on the disk
  int64_t shared = 0;  // of those, in blocks that another file has too
};

// Where the contents of a file lie (FS_IOC_FIEMAP). Writes it to the disk
// first.
absl::StatusOr<Extents> ExtentsOf(const std::string& path);

}  // namespace bulwark::os

#endif  // OS_TESTING_REFLINK_DISK_H_
