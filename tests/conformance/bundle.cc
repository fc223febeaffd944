#include "tests/conformance/bundle.h"

#include <sys/stat.h>

#include <filesystem>

#include "base/check.h"
#include "tests/conformance/exec.h"
#include "tests/conformance/workspace.h"

namespace bulwark::conformance {
namespace {

Json MountOf(const std::string& destination, const std::string& type,
             const std::string& source,
             const std::vector<std::string>& options) {
  return {{"destination", destination},
          {"type", type},
          {"source", source},
          {"options", options}};
}

Json BaseMounts() {
  return Json::array(
      {MountOf("/proc", "proc", "proc", {"nosuid", "noexec", "nodev"}),
       MountOf("/dev", "tmpfs", "tmpfs",
               {"nosuid", "strictatime", "mode=755", "size=65536k"}),
       MountOf("/dev/pts", "devpts", "devpts",
               {"nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620",
                "gid=5"}),
       MountOf("/dev/shm", "tmpfs", "shm",
               {"nosuid", "noexec", "nodev", "mode=1777", "size=65536k"}),
       MountOf("/dev/mqueue", "mqueue", "mqueue",
               {"nosuid", "noexec", "nodev"}),
       MountOf("/sys", "sysfs", "sysfs", {"nosuid", "noexec", "nodev", "ro"})});
}

}  // namespace

Json DefaultCapabilities() {
  return {"CAP_CHOWN",   "CAP_DAC_OVERRIDE", "CAP_FSETID",
          "CAP_FOWNER",  "CAP_MKNOD",        "CAP_NET_RAW",
          "CAP_SETGID",  "CAP_SETUID",       "CAP_SETFCAP",
          "CAP_SETPCAP", "CAP_SYS_CHROOT",   "CAP_NET_BIND_SERVICE",
          "CAP_KILL",    "CAP_AUDIT_WRITE"};
}

Json BaseConfig(const std::string& id) {
  Json namespaces = Json::array();
  for (const char* type : {"pid", "network", "ipc", "uts", "mount", "cgroup"}) {
    namespaces.push_back({{"type", type}});
  }
  return {{"ociVersion", "1.0.2"},
          {"process",
           {{"terminal", false},
            {"user", {{"uid", 0}, {"gid", 0}}},
            {"args", {"/bin/true"}},
            {"env", {"PATH=/bin"}},
            {"cwd", "/"},
            {"capabilities",
             {{"bounding", DefaultCapabilities()},
              {"effective", DefaultCapabilities()},
              {"permitted", DefaultCapabilities()}}}}},
          {"root", {{"path", "rootfs"}}},
          {"hostname", "conformance"},
          {"mounts", BaseMounts()},
          {"linux",
           {{"namespaces", namespaces},
            {"cgroupsPath", Workspace::cgroup_parent() + "/" + id},
            {"resources",
             {{"devices",
               Json::array({{{"allow", false}, {"access", "rwm"}}})}}}}}};
}

Bundle::Bundle(const std::string& path, const std::string& id)
    : path_(path), config_(BaseConfig(id)) {
  CHECK(mkdir(path_.c_str(), 0755) == 0);
  Workspace::MakeRootfs(rootfs());
}

Bundle::~Bundle() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

void Bundle::Args(const std::vector<std::string>& args) {
  process()["args"] = args;
}

void Bundle::Script(const std::string& script) {
  Args({"/bin/sh", "-c", script});
}

void Bundle::AddMount(const std::string& destination, const std::string& type,
                      const std::string& source,
                      const std::vector<std::string>& options) {
  config_["mounts"].push_back(MountOf(destination, type, source, options));
}

void Bundle::AddHook(const std::string& kind, const std::string& script) {
  config_["hooks"][kind].push_back(
      {{"path", "/bin/sh"}, {"args", {"sh", "-c", script}}});
}

void Bundle::RemoveNamespace(const std::string& type) {
  Json kept = Json::array();
  for (const Json& n : os()["namespaces"]) {
    if (n["type"] != type) kept.push_back(n);
  }
  os()["namespaces"] = kept;
}

void Bundle::SetNamespace(const std::string& type, const std::string& path) {
  RemoveNamespace(type);
  Json entry = {{"type", type}};
  if (!path.empty()) entry["path"] = path;
  os()["namespaces"].push_back(entry);
}

void Bundle::Write() const {
  WriteFile(path_ + "/config.json", config_.dump(1));
}

}  // namespace bulwark::conformance
