#include "engine/oci/cgroup/cgroup_settings.h"

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "base/status.h"
#include "engine/oci/cgroup/cgroup_settings_list.h"

namespace bulwark::engine::oci {
namespace {

template <typename T>
absl::Status Wrong(absl::string_view field, const T& value,
                   absl::string_view why) {
  return absl::InvalidArgumentError(
      absl::StrCat("read ", ResourceField(field), ": ", value, ": ", why));
}

// Not below -1, which is "no limit".
absl::Status CheckLimit(absl::string_view field,
                        const std::optional<int64_t>& value) {
  if (!value.has_value() || *value >= -1) return absl::OkStatus();
  return Wrong(field, *value, "not a number of bytes, and not -1 (no limit)");
}

absl::Status CheckMemory(const Resources& resources) {
  const auto& memory = resources.memory;
  RETURN_IF_ERROR(CheckLimit("memory.limit", memory.limit));
  RETURN_IF_ERROR(CheckLimit("memory.reservation", memory.reservation));
  RETURN_IF_ERROR(CheckLimit("memory.swap", memory.swap));
  RETURN_IF_ERROR(CheckLimit("memory.kernel", memory.kernel));
  RETURN_IF_ERROR(CheckLimit("memory.kernelTCP", memory.kernel_tcp));
  const int64_t limit = memory.limit.value_or(0);
  const int64_t swap = memory.swap.value_or(0);
  if (swap > 0 && (limit == -1 || limit > swap)) {
    return Wrong("memory.swap", swap,
                 "below memory.limit, which it includes: raise it, or say -1");
  }
  if (memory.swappiness.value_or(0) > 100) {
    return Wrong("memory.swappiness", *memory.swappiness, "not in 0 to 100");
  }
  return absl::OkStatus();
}

// As cpuset(7) writes lists: "0-3,7", with ":" and "/" for steps.
absl::Status CheckList(absl::string_view field, absl::string_view list) {
  if (list.find_first_not_of("0123456789,-:/") == absl::string_view::npos) {
    return absl::OkStatus();
  }
  return Wrong(field, list, "not a list of numbers and ranges (\"0-2,7\")");
}

absl::Status CheckCpu(const Resources& resources) {
  const auto& cpu = resources.cpu;
  const int64_t quota = cpu.quota.value_or(0);
  if (quota > 0 && quota < 1000) {
    return Wrong("cpu.quota", quota, "below the kernel's least, 1000 us");
  }
  const uint64_t period = cpu.period.value_or(0);
  if (period != 0 && (period < 1000 || period > 1000000)) {
    return Wrong("cpu.period", period, "not in 1000 to 1000000 us");
  }
  if (cpu.idle.has_value() && *cpu.idle != 0 && *cpu.idle != 1) {
    return Wrong("cpu.idle", *cpu.idle, "neither 0 nor 1");
  }
  RETURN_IF_ERROR(CheckList("cpu.cpus", cpu.cpus));
  return CheckList("cpu.mems", cpu.mems);
}

absl::Status CheckWeight(absl::string_view field,
                         const std::optional<uint16_t>& weight) {
  const uint16_t value = weight.value_or(0);
  if (value == 0 || (value >= 10 && value <= 1000)) return absl::OkStatus();
  return Wrong(field, value, "not in 10 to 1000");
}

absl::Status CheckNumber(absl::string_view field, int64_t major,
                         int64_t minor) {
  if (major >= 0 && minor >= 0) return absl::OkStatus();
  return Wrong(field, DeviceNumber(major, minor), "not a device's number");
}

absl::Status CheckBlockIo(const Resources& resources) {
  const auto& io = resources.block_io;
  RETURN_IF_ERROR(CheckWeight("blockIO.weight", io.weight));
  RETURN_IF_ERROR(CheckWeight("blockIO.leafWeight", io.leaf_weight));
  for (size_t i = 0; i < io.weight_devices.size(); ++i) {
    const WeightDevice& device = io.weight_devices[i];
    const std::string field = absl::StrCat("blockIO.weightDevice[", i, "]");
    RETURN_IF_ERROR(CheckNumber(field, device.major, device.minor));
    RETURN_IF_ERROR(CheckWeight(field + ".weight", device.weight));
    RETURN_IF_ERROR(CheckWeight(field + ".leafWeight", device.leaf_weight));
  }
  for (const Throttle& throttle : Throttles(resources)) {
    for (size_t i = 0; i < throttle.devices->size(); ++i) {
      const ThrottleDevice& device = (*throttle.devices)[i];
      RETURN_IF_ERROR(CheckNumber(absl::StrCat(throttle.field, "[", i, "]"),
                                  device.major, device.minor));
    }
  }
  return absl::OkStatus();
}

// "64KB", "2MB", "1GB": part of a file's name.
bool IsPageSize(absl::string_view size) {
  const size_t digits = size.find_first_not_of("0123456789");
  if (digits == 0 || digits == absl::string_view::npos || size[0] == '0') {
    return false;
  }
  const absl::string_view unit = size.substr(digits);
  return unit == "KB" || unit == "MB" || unit == "GB";
}

// A word on a line of its own or with numbers after it.
bool IsWord(absl::string_view word) {
  for (const char c : word) {
    if (!absl::ascii_isgraph(static_cast<unsigned char>(c))) return false;
  }
  return !word.empty();
}

absl::Status CheckOthers(const Resources& resources) {
  for (size_t i = 0; i < resources.hugepages.size(); ++i) {
    const std::string& size = resources.hugepages[i].first;
    if (!IsPageSize(size)) {
      return Wrong(absl::StrCat("hugepageLimits[", i, "].pageSize"), size,
                   "not a size such as \"64KB\", \"2MB\" or \"1GB\"");
    }
  }
  for (const auto& [name, priority] : resources.network.priorities) {
    if (!IsWord(name)) {
      return Wrong("network.priorities.name", name, "not a network interface");
    }
  }
  for (const Resources::Rdma& rdma : resources.rdma) {
    if (!IsWord(rdma.device)) {
      return Wrong("rdma", rdma.device, "not the name of an RDMA device");
    }
  }
  return absl::OkStatus();
}

// Each is a file of the group, and nothing else.
absl::Status CheckUnified(const Resources& resources) {
  for (const auto& [file, value] : resources.unified) {
    if (!IsWord(file) || absl::StrContains(file, '/') ||
        absl::StartsWith(file, ".") || !absl::StrContains(file, '.')) {
      return Wrong("unified", file,
                   "not the name of a file (\"memory.high\") of a group");
    }
    if (file == "cgroup.procs" || file == "cgroup.threads") {
      return Wrong("unified", file,
                   "moves processes: the runtime alone puts the container's "
                   "into its group");
    }
    if (absl::StrContains(value, '\0')) {
      return Wrong(absl::StrCat("unified.", file), "its value", "has a NUL");
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status CheckResources(const Resources& resources) {
  RETURN_IF_ERROR(CheckMemory(resources));
  RETURN_IF_ERROR(CheckCpu(resources));
  RETURN_IF_ERROR(CheckBlockIo(resources));
  RETURN_IF_ERROR(CheckOthers(resources));
  return CheckUnified(resources);
}

std::vector<Throttle> Throttles(const Resources& resources) {
  const auto& io = resources.block_io;
  return {{"blockIO.throttleReadBpsDevice", "blkio.throttle.read_bps_device",
           "rbps", &io.read_bps},
          {"blockIO.throttleWriteBpsDevice", "blkio.throttle.write_bps_device",
           "wbps", &io.write_bps},
          {"blockIO.throttleReadIOPSDevice", "blkio.throttle.read_iops_device",
           "riops", &io.read_iops},
          {"blockIO.throttleWriteIOPSDevice",
           "blkio.throttle.write_iops_device", "wiops", &io.write_iops}};
}

}  // namespace bulwark::engine::oci
