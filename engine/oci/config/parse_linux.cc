#include <linux/stat.h>
#include <sys/personality.h>

#include "engine/oci/config/names.h"
#include "engine/oci/config/parse_parts.h"

namespace bulwark::engine::oci {
namespace {

constexpr uint32_t kModeBits = 07777;

void ReadNamespaces(const JsonReader& in, std::vector<Namespace>& out) {
  in.ForEach([&](const JsonReader& element) {
    std::string type;
    element["type"].Get(type);
    const std::optional<uint64_t> flag = NamespaceFlag(type);
    if (!flag.has_value()) {
      return element["type"].Fail(
          absl::StrCat("\"", type, "\" is no kind of namespace"));
    }
    Namespace ns;
    ns.type = *flag;
    element["path"].Get(ns.path);
    if (!ns.path.empty() && ns.path[0] != '/') {
      element["path"].Fail(
          absl::StrCat("\"", ns.path, "\" is not an absolute path"));
    }
    for (const Namespace& other : out) {
      if (other.type == ns.type) {
        element["type"].Fail(absl::StrCat(type, " is there twice"));
      }
    }
    out.push_back(std::move(ns));
  });
}

void ReadPaths(const JsonReader& in, std::vector<std::string>& out) {
  in.ForEach([&](const JsonReader& element) {
    std::string path;
    element.Get(path);
    if (path.empty() || path[0] != '/') {
      element.Fail(absl::StrCat("\"", path, "\" is not an absolute path"));
    }
    out.push_back(std::move(path));
  });
}

void ReadDevices(const JsonReader& in, std::vector<Device>& out) {
  in.ForEach([&](const JsonReader& element) {
    Device device;
    std::string type;
    element["path"].Get(device.path);
    element["type"].Get(type);
    if (device.path.empty() || device.path[0] != '/') {
      element["path"].Fail(
          absl::StrCat("\"", device.path, "\" is not an absolute path"));
    }
    if (type != "c" && type != "u" && type != "b" && type != "p") {
      return element["type"].Fail(
          absl::StrCat("\"", type, "\" is not c, u, b or p"));
    }
    device.type = type == "u" ? 'c' : type[0];
    element["major"].Get(device.major);
    element["minor"].Get(device.minor);
    if (device.major < 0 || device.major >= 1 << 12 || device.minor < 0 ||
        device.minor >= 1 << 20) {
      element.Fail(absl::StrCat(device.major, ":", device.minor,
                                " is no device number"));
    }
    element["fileMode"].Get(device.file_mode);
    device.file_mode &= kModeBits;  // containerd sends the type too
    element["uid"].Get(device.uid);
    element["gid"].Get(device.gid);
    out.push_back(std::move(device));
  });
}

void ReadPersonality(const JsonReader& in, std::optional<Personality>& out) {
  if (!in.present()) return;
  std::string domain;
  in["domain"].Get(domain);
  Personality personality;
  if (domain == "LINUX32") {
    personality.domain = PER_LINUX32;
  } else if (domain == "LINUX") {
    personality.domain = PER_LINUX;
  } else {
    in["domain"].Fail(
        absl::StrCat("\"", domain, "\" is neither LINUX nor LINUX32"));
  }
  bool has_flags = false;
  in["flags"].ForEach([&](const JsonReader&) { has_flags = true; });
  if (has_flags) in["flags"].Fail("no flag is known");
  out = personality;
}

std::optional<SeccompOperator> OperatorOf(absl::string_view name) {
  if (name == "SCMP_CMP_NE") return SeccompOperator::kNotEqual;
  if (name == "SCMP_CMP_LT") return SeccompOperator::kLess;
  if (name == "SCMP_CMP_LE") return SeccompOperator::kLessOrEqual;
  if (name == "SCMP_CMP_EQ") return SeccompOperator::kEqual;
  if (name == "SCMP_CMP_GE") return SeccompOperator::kGreaterOrEqual;
  if (name == "SCMP_CMP_GT") return SeccompOperator::kGreater;
  if (name == "SCMP_CMP_MASKED_EQ") return SeccompOperator::kMaskedEqual;
  return std::nullopt;
}

void ReadArgument(const JsonReader& in, std::vector<SeccompArgument>& out) {
  SeccompArgument argument;
  in["index"].Get(argument.index);
  if (argument.index > 5) in["index"].Fail("is more than 5");
  in["value"].Get(argument.value);
  in["valueTwo"].Get(argument.value_two);
  std::string name;
  in["op"].Get(name);
  const std::optional<SeccompOperator> op = OperatorOf(name);
  if (!op.has_value()) {
    return in["op"].Fail(absl::StrCat("\"", name, "\" is no operator"));
  }
  argument.op = *op;
  out.push_back(argument);
}

}  // namespace

void ReadIdMappings(const JsonReader& in, std::vector<IdMapping>& out) {
  in.ForEach([&](const JsonReader& element) {
    IdMapping mapping;
    element["containerID"].Get(mapping.container_id);
    element["hostID"].Get(mapping.host_id);
    element["size"].Get(mapping.size);
    if (mapping.size == 0) element["size"].Fail("must be more than 0");
    out.push_back(mapping);
  });
}

void ReadSeccomp(const JsonReader& in, Seccomp& out) {
  in["defaultAction"].Get(out.default_action);
  in["defaultErrnoRet"].Get(out.default_errno_ret);
  in["architectures"].Get(out.architectures);
  in["flags"].Get(out.flags);
  in["listenerPath"].Get(out.listener_path);
  in["listenerMetadata"].Get(out.listener_metadata);
  in["syscalls"].ForEach([&](const JsonReader& element) {
    SeccompSyscall call;
    element["names"].Get(call.names);
    if (call.names.empty()) element["names"].Fail("names no system call");
    element["action"].Get(call.action);
    element["errnoRet"].Get(call.errno_ret);
    element["args"].ForEach(
        [&](const JsonReader& argument) { ReadArgument(argument, call.args); });
    out.syscalls.push_back(std::move(call));
  });
  if (out.default_action.empty()) in["defaultAction"].Fail("is required");
}

void ReadLinux(const JsonReader& in, Linux& out) {
  ReadNamespaces(in["namespaces"], out.namespaces);
  ReadIdMappings(in["uidMappings"], out.uid_mappings);
  ReadIdMappings(in["gidMappings"], out.gid_mappings);
  in["timeOffsets"].ForEachMember(
      [&](const std::string& key, const JsonReader& value) {
        if (key != "monotonic" && key != "boottime") {
          return value.Fail("only monotonic and boottime have offsets");
        }
        TimeOffset& offset = out.time_offsets[key];
        value["secs"].Get(offset.seconds);
        value["nanosecs"].Get(offset.nanoseconds);
      });
  ReadDevices(in["devices"], out.devices);
  in["cgroupsPath"].Get(out.cgroups_path);
  ReadResources(in["resources"], out.resources);
  in["rootfsPropagation"].Get(out.rootfs_propagation);
  in["sysctl"].ForEachMember(
      [&](const std::string& key, const JsonReader& value) {
        value.Get(out.sysctl[key]);
      });
  if (in["seccomp"].present()) {
    out.seccomp.emplace();
    ReadSeccomp(in["seccomp"], *out.seccomp);
  }
  ReadPaths(in["maskedPaths"], out.masked_paths);
  ReadPaths(in["readonlyPaths"], out.readonly_paths);
  in["mountLabel"].Get(out.mount_label);
  ReadPersonality(in["personality"], out.personality);
  if (in["intelRdt"].present()) {
    in["intelRdt"].Fail("is not supported by bulwark-oci");
  }
}

}  // namespace bulwark::engine::oci
