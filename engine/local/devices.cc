#include "engine/local/devices.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <cerrno>

#include "absl/strings/str_cat.h"
#include "base/log.h"
#include "base/status.h"
#include "engine/devices/device_policy.h"
#include "engine/devices/device_program.h"
#include "os/files.h"

namespace bulwark::engine {
namespace {

constexpr int kMaxDepth = 4;
constexpr size_t kMaxNodes = 512;

absl::Status Give(const std::string& path, absl::string_view why) {
  return absl::InvalidArgumentError(
      absl::StrCat("give device ", path, ": ", why));
}

bool IsDevice(const struct stat& info) {
  return S_ISCHR(info.st_mode) || S_ISBLK(info.st_mode);
}

absl::Status AddNode(const struct stat& info, const std::string& access,
                     std::vector<FoundDevice>& found) {
  if (found.size() >= kMaxNodes) {
    return absl::InvalidArgumentError(
        absl::StrCat("give devices: more than ", kMaxNodes,
                     "; name those that are needed, not whole folders"));
  }
  found.push_back({S_ISBLK(info.st_mode), major(info.st_rdev),
                   minor(info.st_rdev), access});
  return absl::OkStatus();
}

// The nodes of a folder; links of it lead nowhere in the container.
absl::Status AddFolder(const std::string& folder, const std::string& access,
                       int depth, std::vector<FoundDevice>& found) {
  if (depth == 0) return absl::OkStatus();
  ASSIGN_OR_RETURN(const std::vector<std::string> names, os::ListDir(folder));
  for (const std::string& name : names) {
    const std::string path = absl::StrCat(folder, "/", name);
    struct stat info;
    if (lstat(path.c_str(), &info) != 0) continue;  // gone meanwhile
    if (IsDevice(info)) {
      RETURN_IF_ERROR(AddNode(info, access, found));
    } else if (S_ISDIR(info.st_mode)) {
      RETURN_IF_ERROR(AddFolder(path, access, depth - 1, found));
    }
  }
  return absl::OkStatus();
}

DevicePolicy PolicyOf(const std::vector<FoundDevice>& devices) {
  DevicePolicy policy;
  AddUsualDevices(policy);
  for (const FoundDevice& device : devices) {
    DeviceMatch match = {true, device.block, device.major, device.minor};
    for (const char c : device.access) {
      match.access |= c == 'r'   ? kDeviceRead
                      : c == 'w' ? kDeviceWrite
                                 : kDeviceMknod;
    }
    policy.rules.push_back(match);
  }
  return policy;
}

absl::StatusOr<UniqueFd> Load(const std::vector<FoundDevice>& devices) {
  return LoadDeviceProgram(CompileDeviceProgram(PolicyOf(devices)));
}

}  // namespace

absl::StatusOr<std::vector<FoundDevice>> FindDevices(
    const std::vector<DeviceMount>& devices) {
  std::vector<FoundDevice> found;
  for (const DeviceMount& device : devices) {
    const std::string& path = device.host_path;
    struct stat info;
    if (stat(path.c_str(), &info) != 0) {
      const int error = errno;
      if (error == ENOENT || error == ENOTDIR) {
        return Give(path,
                    "it is not there; is its driver loaded (modprobe), and is "
                    "the name right?");
      }
      return ErrnoStatus(error, "give device", path);
    }
    if (IsDevice(info)) {
      RETURN_IF_ERROR(AddNode(info, device.access, found));
      continue;
    }
    if (!S_ISDIR(info.st_mode)) {
      return Give(path, "it is no device; files are given as volumes");
    }
    const size_t before = found.size();
    RETURN_IF_ERROR(AddFolder(path, device.access, kMaxDepth, found));
    if (found.size() == before) return Give(path, "no device is in the folder");
  }
  return found;
}

std::map<std::string, DeviceNode> NodesOf(
    const std::vector<DeviceMount>& devices) {
  std::map<std::string, DeviceNode> nodes;
  for (const DeviceMount& device : devices) {
    struct stat info;
    if (stat(device.host_path.c_str(), &info) != 0 || !IsDevice(info)) continue;
    nodes[device.host_path] = {info.st_mode & S_IFMT, info.st_rdev};
  }
  return nodes;
}

void DeviceFilter::Prepare() {
  absl::StatusOr<UniqueFd> usual = Load({});
  available_ = usual.status();
  if (usual.ok()) {
    usual_ = *std::move(usual);
  } else {
    LOG_WARN("devices of containers are not filtered", {{"error", available_}});
  }
}

absl::Status DeviceFilter::Apply(const std::vector<FoundDevice>& devices,
                                 const std::string& cgroup) const {
  if (!available_.ok()) {
    if (devices.empty()) return absl::OkStatus();
    return absl::FailedPreconditionError(
        absl::StrCat("give devices: the kernel has no filter of devices (",
                     available_.message(),
                     "); it needs CONFIG_CGROUP_BPF, and a bulwarkd with "
                     "CAP_BPF or CAP_SYS_ADMIN"));
  }
  const UniqueFd group(
      open(cgroup.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!group.ok()) return ErrnoStatus("open", cgroup);
  if (devices.empty()) {
    return AttachDeviceProgram(usual_.get(), group.get());
  }
  ASSIGN_OR_RETURN(const UniqueFd program, Load(devices));
  return AttachDeviceProgram(program.get(), group.get());
}

}  // namespace bulwark::engine
