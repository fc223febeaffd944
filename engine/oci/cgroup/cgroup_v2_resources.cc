// linux.resources in the files of version 2. What has another unit there is
// converted as the manual of crun, crun(1), "CGROUP v2", documents it, and runc
// does too: shares of 2 to 262144 onto weights of 1 to 10000, weights of I/O of
// 10 to 1000 onto 1 to 10000. (Since 1.3.2 runc has another formula for
// shares, which Podman's and Docker's users do not see here.)
#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/status.h"
#include "engine/oci/cgroup/cgroup_settings.h"
#include "engine/oci/cgroup/cgroup_settings_list.h"
#include "os/cgroup_values.h"

namespace bulwark::engine::oci {
namespace {

std::string OrMax(int64_t value) {
  return value < 0 ? "max" : absl::StrCat(value);
}

uint64_t IoWeight(uint16_t weight) {
  return 1 + (uint64_t{weight} - 10) * 9999 / 990;
}

absl::Status CheckVersion2(const Resources& resources) {
  const auto& memory = resources.memory;
  if (memory.swappiness.has_value()) {
    return NotInVersion2("memory.swappiness", "a group has none of its own");
  }
  if (memory.disable_oom_killer.value_or(false)) {
    return NotInVersion2("memory.disableOOMKiller", "it cannot be disabled");
  }
  if (memory.kernel_tcp.value_or(-1) > 0) {
    return NotInVersion2("memory.kernelTCP", "memory.limit includes it");
  }
  if (resources.cpu.realtime_runtime.value_or(0) != 0 ||
      resources.cpu.realtime_period.value_or(0) != 0) {
    return NotInVersion2("cpu.realtimeRuntime", "there is no such controller");
  }
  const auto& io = resources.block_io;
  bool leaves = io.leaf_weight.value_or(0) != 0;
  for (const WeightDevice& device : io.weight_devices) {
    leaves |= device.leaf_weight.value_or(0) != 0;
  }
  if (leaves) return NotInVersion2("blockIO.leafWeight", "leaves have none");
  if (resources.network.class_id.value_or(0) != 0) {
    return NotInVersion2("network.classID", "there is no such controller");
  }
  if (!resources.network.priorities.empty()) {
    return NotInVersion2("network.priorities", "there is no such controller");
  }
  return absl::OkStatus();
}

void AddCpuset(const Resources& resources, CgroupSettingsList& list) {
  list.Controller("cpuset");
  const auto& cpu = resources.cpu;
  if (!cpu.cpus.empty()) list.Add("cpuset.cpus", cpu.cpus, "cpu.cpus");
  if (!cpu.mems.empty()) list.Add("cpuset.mems", cpu.mems, "cpu.mems");
}

void AddCpuMax(const Resources& resources, const CgroupCurrent& current,
               CgroupSettingsList& list) {
  const int64_t quota = resources.cpu.quota.value_or(0);
  const uint64_t period = resources.cpu.period.value_or(0);
  // One number alone is the quota; the period stays.
  if (period != 0) {
    const int64_t kept = quota != 0 ? quota : current.cpu_quota.value_or(-1);
    list.Add("cpu.max", absl::StrCat(OrMax(kept), " ", period),
             quota != 0 ? "cpu.quota" : "cpu.period");
  } else if (quota != 0) {
    list.Add("cpu.max", OrMax(quota), "cpu.quota");
  }
}

void AddCpu(const Resources& resources, const CgroupCurrent& current,
            CgroupSettingsList& list) {
  list.Controller("cpu");
  const auto& cpu = resources.cpu;
  if (cpu.shares.value_or(0) != 0) {
    const int64_t shares =
        static_cast<int64_t>(std::clamp<uint64_t>(*cpu.shares, 2, 262144));
    list.Add("cpu.weight", absl::StrCat(os::CpuWeight(shares)), "cpu.shares");
  }
  AddCpuMax(resources, current, list);
  if (cpu.burst.has_value()) {
    list.Add("cpu.max.burst", absl::StrCat(*cpu.burst), "cpu.burst")
        .missing_ok = *cpu.burst == 0;
  }
  if (cpu.idle.has_value()) {
    list.Add("cpu.idle", absl::StrCat(*cpu.idle), "cpu.idle").missing_ok =
        *cpu.idle == 0;
  }
}

// memory.swap is memory and swap together; the file is swap alone. It is set
// first: a limit of memory that is below what is used pushes the rest there.
absl::Status AddMemory(const Resources& resources, const CgroupCurrent& current,
                       CgroupSettingsList& list) {
  list.Controller("memory");
  const auto& memory = resources.memory;
  const int64_t limit = memory.limit.value_or(0);
  const int64_t swap = memory.swap.value_or(0);
  if (swap > 0) {
    const int64_t of = limit != 0 ? limit : current.memory_limit.value_or(-1);
    if (of < 0 || of > swap) {
      return absl::InvalidArgumentError(
          absl::StrCat("read ", ResourceField("memory.swap"), ": ", swap,
                       ": needs a memory.limit that is not above it"));
    }
    list.Add("memory.swap.max", absl::StrCat(swap - of), "memory.swap")
        .missing_ok = swap == of;
  } else if (swap == -1 || limit == -1) {
    list.Add("memory.swap.max", "max", "memory.swap").missing_ok = true;
  }
  if (limit != 0) list.Add("memory.max", OrMax(limit), "memory.limit");
  if (memory.reservation.value_or(0) != 0) {
    // No soft limit is no protection, where version 2 counts from.
    list.Add("memory.low",
             absl::StrCat(std::max<int64_t>(0, *memory.reservation)),
             "memory.reservation");
  }
  return absl::OkStatus();
}

void AddIo(const Resources& resources, CgroupSettingsList& list) {
  list.Controller("io");
  const auto& io = resources.block_io;
  if (io.weight.value_or(0) != 0) {
    CgroupSetting& setting =
        list.Add("io.bfq.weight", absl::StrCat(*io.weight), "blockIO.weight");
    setting.other_file = "io.weight";
    setting.other_value = absl::StrCat("default ", IoWeight(*io.weight));
  }
  for (const WeightDevice& device : io.weight_devices) {
    if (device.weight.value_or(0) == 0) continue;
    const std::string number = DeviceNumber(device.major, device.minor);
    CgroupSetting& setting =
        list.Add("io.bfq.weight", absl::StrCat(number, " ", *device.weight),
                 "blockIO.weightDevice");
    setting.other_file = "io.weight";
    setting.other_value = absl::StrCat(number, " ", IoWeight(*device.weight));
  }
  for (const Throttle& throttle : Throttles(resources)) {
    for (const ThrottleDevice& device : *throttle.devices) {
      // Version 1 takes the limit away with a zero.
      list.Add(
          "io.max",
          absl::StrCat(DeviceNumber(device.major, device.minor), " ",
                       throttle.v2_key, "=",
                       device.rate == 0 ? "max" : absl::StrCat(device.rate)),
          throttle.field);
    }
  }
}

void AddOthers(const Resources& resources, CgroupSettingsList& list) {
  if (resources.pids_limit.has_value()) {
    list.Controller("pids");
    const int64_t limit = *resources.pids_limit;
    list.Add("pids.max", limit > 0 ? absl::StrCat(limit) : "max", "pids.limit");
  }
  list.Controller("hugetlb");
  for (const auto& [size, bytes] : resources.hugepages) {
    const std::string prefix = absl::StrCat("hugetlb.", size);
    list.Add(prefix + ".max", absl::StrCat(bytes), "hugepageLimits");
    list.Add(prefix + ".rsvd.max", absl::StrCat(bytes), "hugepageLimits")
        .missing_ok = true;
  }
}

// Last, so that it has the last word. The kernel takes one line at a time.
void AddUnified(const Resources& resources, CgroupSettingsList& list) {
  for (const auto& [file, value] : resources.unified) {
    list.Controller(absl::string_view(file).substr(0, file.find('.')));
    const std::string field = absl::StrCat("unified.", file);
    for (absl::string_view line :
         absl::StrSplit(value, '\n', absl::SkipEmpty())) {
      list.Add(file, std::string(line), field);
    }
  }
}

}  // namespace

absl::StatusOr<std::vector<CgroupSetting>> CgroupSettingsV2(
    const Resources& resources, const CgroupCurrent& current) {
  RETURN_IF_ERROR(CheckResources(resources));
  RETURN_IF_ERROR(CheckVersion2(resources));
  CgroupSettingsList list;
  AddCpuset(resources, list);
  AddCpu(resources, current, list);
  RETURN_IF_ERROR(AddMemory(resources, current, list));
  AddIo(resources, list);
  AddOthers(resources, list);
  AddRdma(resources, list);
  AddUnified(resources, list);
  return list.Take();
}

}  // namespace bulwark::engine::oci
