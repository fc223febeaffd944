#include "engine/oci/config/parse_parts.h"

namespace bulwark::engine::oci {
namespace {

void ReadDeviceRules(const JsonReader& in, std::vector<DeviceRule>& out) {
  in.ForEach([&](const JsonReader& element) {
    DeviceRule rule;
    element["allow"].Get(rule.allow);
    std::string type = "a";
    element["type"].Get(type);
    if (type != "a" && type != "b" && type != "c" && type != "u") {
      element["type"].Fail(absl::StrCat("\"", type, "\" is not a, b or c"));
    } else {
      rule.type = type == "u" ? 'c' : type[0];
    }
    // A negative number stands for all, as runc has it.
    element["major"].Get(rule.major);
    element["minor"].Get(rule.minor);
    if (rule.major.value_or(0) < 0) rule.major.reset();
    if (rule.minor.value_or(0) < 0) rule.minor.reset();
    element["access"].Get(rule.access);
    if (rule.access.empty()) rule.access = "rwm";
    if (rule.access.find_first_not_of("rwm") != std::string::npos) {
      element["access"].Fail(
          absl::StrCat("\"", rule.access, "\" has other letters than r, w, m"));
    }
    out.push_back(std::move(rule));
  });
}

void ReadThrottle(const JsonReader& in, std::vector<ThrottleDevice>& out) {
  in.ForEach([&](const JsonReader& element) {
    ThrottleDevice device;
    element["major"].Get(device.major);
    element["minor"].Get(device.minor);
    element["rate"].Get(device.rate);
    out.push_back(device);
  });
}

void ReadBlockIo(const JsonReader& in, Resources& out) {
  in["weight"].Get(out.block_io.weight);
  in["leafWeight"].Get(out.block_io.leaf_weight);
  in["weightDevice"].ForEach([&](const JsonReader& element) {
    WeightDevice device;
    element["major"].Get(device.major);
    element["minor"].Get(device.minor);
    element["weight"].Get(device.weight);
    element["leafWeight"].Get(device.leaf_weight);
    out.block_io.weight_devices.push_back(device);
  });
  ReadThrottle(in["throttleReadBpsDevice"], out.block_io.read_bps);
  ReadThrottle(in["throttleWriteBpsDevice"], out.block_io.write_bps);
  ReadThrottle(in["throttleReadIOPSDevice"], out.block_io.read_iops);
  ReadThrottle(in["throttleWriteIOPSDevice"], out.block_io.write_iops);
}

void ReadMemory(const JsonReader& in, Resources& out) {
  in["limit"].Get(out.memory.limit);
  in["reservation"].Get(out.memory.reservation);
  in["swap"].Get(out.memory.swap);
  in["kernel"].Get(out.memory.kernel);
  in["kernelTCP"].Get(out.memory.kernel_tcp);
  in["swappiness"].Get(out.memory.swappiness);
  in["disableOOMKiller"].Get(out.memory.disable_oom_killer);
  in["useHierarchy"].Get(out.memory.use_hierarchy);
  in["checkBeforeUpdate"].Get(out.memory.check_before_update);
}

void ReadCpu(const JsonReader& in, Resources& out) {
  in["shares"].Get(out.cpu.shares);
  in["quota"].Get(out.cpu.quota);
  in["burst"].Get(out.cpu.burst);
  in["period"].Get(out.cpu.period);
  in["realtimeRuntime"].Get(out.cpu.realtime_runtime);
  in["realtimePeriod"].Get(out.cpu.realtime_period);
  in["idle"].Get(out.cpu.idle);
  in["cpus"].Get(out.cpu.cpus);
  in["mems"].Get(out.cpu.mems);
}

}  // namespace

void ReadResources(const JsonReader& in, Resources& out) {
  ReadDeviceRules(in["devices"], out.devices);
  ReadMemory(in["memory"], out);
  ReadCpu(in["cpu"], out);
  in["pids"]["limit"].Get(out.pids_limit);
  ReadBlockIo(in["blockIO"], out);
  in["hugepageLimits"].ForEach([&](const JsonReader& element) {
    std::string size;
    uint64_t limit = 0;
    element["pageSize"].Get(size);
    element["limit"].Get(limit);
    out.hugepages.emplace_back(std::move(size), limit);
  });
  in["network"]["classID"].Get(out.network.class_id);
  in["network"]["priorities"].ForEach([&](const JsonReader& element) {
    std::string name;
    uint32_t priority = 0;
    element["name"].Get(name);
    element["priority"].Get(priority);
    out.network.priorities.emplace_back(std::move(name), priority);
  });
  in["rdma"].ForEachMember(
      [&](const std::string& key, const JsonReader& value) {
        Resources::Rdma device;
        device.device = key;
        value["hcaHandles"].Get(device.handles);
        value["hcaObjects"].Get(device.objects);
        out.rdma.push_back(std::move(device));
      });
  in["unified"].ForEachMember(
      [&](const std::string& key, const JsonReader& value) {
        value.Get(out.unified[key]);
      });
}

}  // namespace bulwark::engine::oci
