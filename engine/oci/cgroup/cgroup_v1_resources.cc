// linux.resources in the files of version 1, whose units they have.
#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "engine/oci/cgroup/cgroup_settings.h"
#include "engine/oci/cgroup/cgroup_settings_list.h"

namespace bulwark::engine::oci {
namespace {

void AddCpuset(const Resources& resources, CgroupSettingsList& list) {
  list.Controller("cpuset");
  const auto& cpu = resources.cpu;
  if (!cpu.cpus.empty()) list.Add("cpuset.cpus", cpu.cpus, "cpu.cpus");
  if (!cpu.mems.empty()) list.Add("cpuset.mems", cpu.mems, "cpu.mems");
}

// A zero is "not said" for all but idle and the burst.
void AddCpu(const Resources& resources, CgroupSettingsList& list) {
  list.Controller("cpu");
  const auto& cpu = resources.cpu;
  if (cpu.realtime_period.value_or(0) != 0) {
    list.Add("cpu.rt_period_us", absl::StrCat(*cpu.realtime_period),
             "cpu.realtimePeriod");
  }
  if (cpu.realtime_runtime.value_or(0) != 0) {
    list.Add("cpu.rt_runtime_us", absl::StrCat(*cpu.realtime_runtime),
             "cpu.realtimeRuntime");
  }
  if (cpu.shares.value_or(0) != 0) {
    list.Add("cpu.shares", absl::StrCat(*cpu.shares), "cpu.shares");
  }
  if (cpu.period.value_or(0) != 0) {
    list.Add("cpu.cfs_period_us", absl::StrCat(*cpu.period), "cpu.period");
  }
  if (cpu.quota.value_or(0) != 0) {
    list.Add("cpu.cfs_quota_us",
             *cpu.quota > 0 ? absl::StrCat(*cpu.quota) : "-1", "cpu.quota");
  }
  if (cpu.burst.has_value()) {
    list.Add("cpu.cfs_burst_us", absl::StrCat(*cpu.burst), "cpu.burst")
        .missing_ok = *cpu.burst == 0;
  }
  if (cpu.idle.has_value()) {
    list.Add("cpu.idle", absl::StrCat(*cpu.idle), "cpu.idle").missing_ok =
        *cpu.idle == 0;
  }
}

// memory.kernel has no file any more that does something (Linux 5.16), and
// what it limited counts in memory.limit. use_hierarchy is always on (5.11).
void AddMemory(const Resources& resources, CgroupSettingsList& list) {
  list.Controller("memory");
  const auto& memory = resources.memory;
  const int64_t limit = memory.limit.value_or(0);
  // "No limit" of memory alone means that of swap too.
  const int64_t swap = memory.swap.value_or(0) != 0 ? *memory.swap
                       : limit == -1                ? -1
                                                    : 0;
  if (limit != 0) {
    list.Add("memory.limit_in_bytes", absl::StrCat(limit), "memory.limit");
  }
  if (swap != 0) {
    list.Add("memory.memsw.limit_in_bytes", absl::StrCat(swap), "memory.swap")
        .missing_ok = swap == -1;
  }
  if (memory.reservation.value_or(0) != 0) {
    list.Add("memory.soft_limit_in_bytes", absl::StrCat(*memory.reservation),
             "memory.reservation");
  }
  if (memory.kernel_tcp.value_or(0) != 0) {
    list.Add("memory.kmem.tcp.limit_in_bytes", absl::StrCat(*memory.kernel_tcp),
             "memory.kernelTCP")
        .missing_ok = *memory.kernel_tcp == -1;
  }
  if (memory.swappiness.has_value()) {
    list.Add("memory.swappiness", absl::StrCat(*memory.swappiness),
             "memory.swappiness");
  }
  if (memory.disable_oom_killer.value_or(false)) {
    list.Add("memory.oom_control", "1", "memory.disableOOMKiller");
  }
}

void AddWeights(const Resources& resources, CgroupSettingsList& list) {
  const auto& io = resources.block_io;
  // The scheduler that had blkio.weight is gone since Linux 5.0; BFQ's file
  // is its heir.
  const auto weight = [&](std::string value, absl::string_view field,
                          const char* file, const char* heir) {
    CgroupSetting& setting = list.Add(file, value, field);
    setting.other_file = heir;
    setting.other_value = std::move(value);
  };
  if (io.weight.value_or(0) != 0) {
    weight(absl::StrCat(*io.weight), "blockIO.weight", "blkio.weight",
           "blkio.bfq.weight");
  }
  if (io.leaf_weight.value_or(0) != 0) {
    list.Add("blkio.leaf_weight", absl::StrCat(*io.leaf_weight),
             "blockIO.leafWeight");
  }
  for (const WeightDevice& device : io.weight_devices) {
    const std::string number = DeviceNumber(device.major, device.minor);
    if (device.weight.value_or(0) != 0) {
      weight(absl::StrCat(number, " ", *device.weight), "blockIO.weightDevice",
             "blkio.weight_device", "blkio.bfq.weight_device");
    }
    if (device.leaf_weight.value_or(0) != 0) {
      list.Add("blkio.leaf_weight_device",
               absl::StrCat(number, " ", *device.leaf_weight),
               "blockIO.weightDevice.leafWeight");
    }
  }
}

void AddBlockIo(const Resources& resources, CgroupSettingsList& list) {
  list.Controller("blkio");
  AddWeights(resources, list);
  for (const Throttle& throttle : Throttles(resources)) {
    for (const ThrottleDevice& device : *throttle.devices) {
      list.Add(throttle.v1_file,
               absl::StrCat(DeviceNumber(device.major, device.minor), " ",
                            device.rate),
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
    list.Add(prefix + ".limit_in_bytes", absl::StrCat(bytes), "hugepageLimits");
    // Reservations fail at once, where a fault would be SIGBUS (Linux 5.7).
    list.Add(prefix + ".rsvd.limit_in_bytes", absl::StrCat(bytes),
             "hugepageLimits")
        .missing_ok = true;
  }
  list.Controller("net_cls");
  if (resources.network.class_id.value_or(0) != 0) {
    list.Add("net_cls.classid", absl::StrCat(*resources.network.class_id),
             "network.classID");
  }
  list.Controller("net_prio");
  for (const auto& [name, priority] : resources.network.priorities) {
    list.Add("net_prio.ifpriomap", absl::StrCat(name, " ", priority),
             "network.priorities");
  }
}

}  // namespace

void AddRdma(const Resources& resources, CgroupSettingsList& list) {
  list.Controller("rdma");
  for (const Resources::Rdma& rdma : resources.rdma) {
    std::string line = rdma.device;
    if (rdma.handles.has_value()) {
      absl::StrAppend(&line, " hca_handle=", *rdma.handles);
    }
    if (rdma.objects.has_value()) {
      absl::StrAppend(&line, " hca_object=", *rdma.objects);
    }
    if (line != rdma.device) list.Add("rdma.max", std::move(line), "rdma");
  }
}

absl::StatusOr<std::vector<CgroupSetting>> CgroupSettingsV1(
    const Resources& resources) {
  RETURN_IF_ERROR(CheckResources(resources));
  CgroupSettingsList list;
  AddCpuset(resources, list);
  AddCpu(resources, list);
  AddMemory(resources, list);
  AddBlockIo(resources, list);
  AddOthers(resources, list);
  AddRdma(resources, list);
  return list.Take();
}

}  // namespace bulwark::engine::oci
