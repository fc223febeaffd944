// File systems in files. Internal to the driver.
//
// The file is allocated in full (fallocate): what the file system inside was
// promised, the disk under it has. A sparse file on a disk that fills up would
// fail the writes of a file system that still counts free blocks, and lose
// what applications were told is written.
#ifndef VOLUMES_IMAGE_IMAGE_FILE_H_
#define VOLUMES_IMAGE_IMAGE_FILE_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "volumes/volume.h"

namespace bulwark::volumes {

inline constexpr int64_t kMinImage = int64_t{16} << 20;

// `size` in whole blocks, at least kMinImage.
int64_t RoundImageSize(int64_t size);

// Makes an ext4 in a new file, with an empty directory "data" that containers
// bind: the top has the file system's own lost+found. Durable.
absl::Status MakeImage(const std::string& path, int64_t size,
                       const std::string& mount_point,
                       const std::string& node_dir);

// The same content in a new file, holes kept. Durable.
absl::Status CopyImage(const std::string& from, const std::string& to,
                       const Wanted& wanted);

absl::StatusOr<int64_t> FileSize(const std::string& path);
// What it takes on the disk.
absl::StatusOr<int64_t> AllocatedSize(const std::string& path);

// Makes the file at least `size` long and allocates what it lacks, also where
// the file system gave blocks back. Fails with nothing changed.
absl::Status AllocateImage(const std::string& path, int64_t size);

// Repairs what a mount alone would not (e2fsck -p). DATA_LOSS if it cannot.
absl::Status CheckImage(const std::string& path);

// Whether some mount of it is alive, here or in another namespace.
absl::StatusOr<bool> IsInUse(const std::string& path,
                             const std::string& node_dir);

// Mounts the image on a directory that is made for it; nothing if it is mounted
// there already. FAILED_PRECONDITION if something else is. An image that lives
// on in another namespace is joined there, never opened twice.
absl::Status MountImage(const std::string& path, const std::string& mount_point,
                        bool read_only, const std::string& node_dir);

// Whether something is mounted there, and from which device.
absl::StatusOr<std::string> DeviceMountedAt(const std::string& mount_point);

// Whether the file system takes all of its file.
absl::StatusOr<bool> FillsFile(const std::string& path);
// Makes it so, under its users: PERMISSION_DENIED without CAP_SYS_RESOURCE.
absl::Status GrowMounted(const std::string& path,
                         const std::string& mount_point);
// The same for one that is not in use.
absl::Status GrowUnmounted(const std::string& path);

// Writes wait between the two; what was written before is in the file. Thawing
// what is not frozen does nothing.
absl::Status Freeze(const std::string& mount_point);
absl::Status Thaw(const std::string& mount_point);

}  // namespace bulwark::volumes

#endif  // VOLUMES_IMAGE_IMAGE_FILE_H_
