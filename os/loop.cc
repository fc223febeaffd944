#include "os/loop.h"

#include <fcntl.h>
#include <linux/loop.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <cerrno>
#include <optional>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "base/status.h"
#include "os/files.h"

namespace bulwark::os {
namespace {

// Others may take the free device that the kernel named.
constexpr int kAttempts = 64;
constexpr int kMaxPath = 4096;

std::string SysFile(absl::string_view name, absl::string_view file) {
  return absl::StrCat("/sys/block/", name, "/", file);
}

// A host without devtmpfs has no nodes for devices that are new.
absl::StatusOr<std::string> NodeOf(const std::string& name,
                                   const std::string& node_dir) {
  const std::string usual = absl::StrCat("/dev/", name);
  struct stat info;
  if (stat(usual.c_str(), &info) == 0 && S_ISBLK(info.st_mode)) return usual;
  ASSIGN_OR_RETURN(const std::string text, ReadFile(SysFile(name, "dev"), 64));
  const std::pair<absl::string_view, absl::string_view> parts =
      absl::StrSplit(absl::StripAsciiWhitespace(text), ':');
  int major = 0;
  int minor = 0;
  if (!absl::SimpleAtoi(parts.first, &major) ||
      !absl::SimpleAtoi(parts.second, &minor)) {
    return absl::InternalError(absl::StrCat("read number of ", name));
  }
  const std::string own = absl::StrCat(node_dir, "/", name);
  if (mknod(own.c_str(), S_IFBLK | 0600, makedev(major, minor)) != 0 &&
      errno != EEXIST) {
    return ErrnoStatus("make device node", own);
  }
  return own;
}

// Asks the device itself, which knows the file whatever it is called. Nothing
// if it cannot be asked.
std::optional<bool> Has(const std::string& device, const struct stat& wanted) {
  UniqueFd fd(open(device.c_str(), O_RDONLY | O_CLOEXEC));
  loop_info64 info = {};
  if (!fd.ok() || ioctl(fd.get(), LOOP_GET_STATUS64, &info) != 0) {
    return std::nullopt;
  }
  return info.lo_inode == wanted.st_ino && info.lo_device == wanted.st_dev;
}

// EBUSY: somebody else was faster.
int Configure(int device, int file, bool read_only) {
  loop_config config = {};
  config.fd = static_cast<uint32_t>(file);
  config.block_size = 512;
  config.info.lo_flags = LO_FLAGS_AUTOCLEAR | LO_FLAGS_DIRECT_IO |
                         (read_only ? LO_FLAGS_READ_ONLY : 0);
  if (ioctl(device, LOOP_CONFIGURE, &config) == 0) return 0;
  if (errno != EINVAL) return errno;
  config.info.lo_flags &= ~static_cast<uint32_t>(LO_FLAGS_DIRECT_IO);
  return ioctl(device, LOOP_CONFIGURE, &config) == 0 ? 0 : errno;
}

}  // namespace

absl::StatusOr<LoopDevice> AttachLoop(const std::string& file, bool read_only,
                                      const std::string& node_dir) {
  const int mode = (read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC;
  UniqueFd backing(open(file.c_str(), mode | O_NOFOLLOW));
  if (!backing.ok()) return ErrnoStatus("open", file);
  UniqueFd control(open("/dev/loop-control", O_RDWR | O_CLOEXEC));
  if (!control.ok()) {
    return Annotate(ErrnoStatus("open", "/dev/loop-control"),
                    "make loop device (is the kernel module `loop` loaded?)");
  }
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    const int number = ioctl(control.get(), LOOP_CTL_GET_FREE);
    if (number < 0) return ErrnoStatus("get a free loop device for", file);
    ASSIGN_OR_RETURN(std::string path,
                     NodeOf(absl::StrCat("loop", number), node_dir));
    UniqueFd device(open(path.c_str(), mode));
    if (!device.ok()) return ErrnoStatus("open", path);
    const int error = Configure(device.get(), backing.get(), read_only);
    if (error == 0) return LoopDevice{std::move(device), std::move(path)};
    if (error != EBUSY) {
      return ErrnoStatus(error, absl::StrCat("make ", path, " of"), file);
    }
  }
  return absl::ResourceExhaustedError(
      absl::StrCat("make loop device of ", file, ": others take them all"));
}

absl::StatusOr<std::string> LoopBackingFile(const std::string& device) {
  const std::string name = device.substr(device.rfind('/') + 1);
  ASSIGN_OR_RETURN(std::string file,
                   ReadFile(SysFile(name, "loop/backing_file"), kMaxPath + 1));
  while (!file.empty() && file.back() == '\n') file.pop_back();
  return file;
}

absl::StatusOr<std::string> FindLoop(const std::string& file,
                                     const std::string& node_dir) {
  struct stat wanted;
  if (stat(file.c_str(), &wanted) != 0) return ErrnoStatus("look at", file);
  ASSIGN_OR_RETURN(const std::vector<std::string> names, ListDir("/sys/block"));
  for (const std::string& name : names) {
    // Only those in use have this.
    if (access(SysFile(name, "loop/backing_file").c_str(), F_OK) != 0) continue;
    const absl::StatusOr<std::string> node = NodeOf(name, node_dir);
    const std::string device = node.value_or(absl::StrCat("/dev/", name));
    std::optional<bool> has;
    if (node.ok()) has = Has(device, wanted);
    // One that may not be opened here is known by its file's name.
    if (!has.has_value()) {
      const absl::StatusOr<std::string> backing = LoopBackingFile(device);
      has = backing.ok() && *backing == file;
    }
    if (*has) return device;
  }
  return std::string();
}

absl::Status RefreshLoopSize(const std::string& device) {
  UniqueFd fd(open(device.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd.ok()) return ErrnoStatus("open", device);
  if (ioctl(fd.get(), LOOP_SET_CAPACITY, 0) != 0) {
    return ErrnoStatus("tell the new size to", device);
  }
  return absl::OkStatus();
}

}  // namespace bulwark::os
