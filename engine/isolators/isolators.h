// Isolators: each contributes the launch steps of one resource. Pure: they
// look at nothing but their input, and the plan builder orders what they add.
#ifndef ENGINE_ISOLATORS_ISOLATORS_H_
#define ENGINE_ISOLATORS_ISOLATORS_H_

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/container_spec.h"
#include "engine/plan/plan_builder.h"
#include "os/cgroup.h"

namespace bulwark::engine {

struct DeviceNode {
  uint32_t type = 0;  // S_IFCHR or S_IFBLK
  uint64_t number = 0;
};

// What the machine and the engine bring to a launch. Borrowed for the call.
struct LaunchInput {
  const ContainerSpec& spec;
  const os::CgroupLayout& cgroup_layout;
  os::CgroupPaths cgroup;
  bool overlay_layer_fds = false;        // os::KernelFeatures
  bool overlay_detached_layers = false;  // the same
  // Path of a mount namespace of os::MakeBareMounts(), for containers with
  // users of their own where layers may be detached. Empty: theirs begin as the
  // host's.
  std::string bare_mounts;
  // Path of a user namespace of spec.ids, if those are given without a network
  // namespace.
  std::string user_namespace;
  std::string upper;  // writable layer
  std::string work;   // overlay's own, on the same file system
  // A directory with nothing but folders of its own mount between it and those
  // of the layers, `upper` and `work` that are below it. Empty: none is known.
  std::string shared_root;
  // Those of the other layers that are roots of mounts.
  std::set<std::string> mounted_layers;
  std::string stage;  // an empty directory to mount the root on
  std::string etc;    // hosts and, if wanted, resolv.conf and
                      // hostname
  std::string runtime_dir;
  std::string state_dir;
  std::string boot_id;
  std::string seccomp;             // instructions; empty: no filter
  uint64_t own_capabilities = 0;   // what the daemon may pass on
  uint64_t max_open_files = 1024;  // the daemon's hard limit
  // Type and number of the nodes among the spec's devices, by their path.
  std::map<std::string, DeviceNode> nodes;
  std::string journal_socket = "/run/systemd/journal/socket";
};

// INVALID_ARGUMENT names the field and what is wrong with it.
absl::Status ValidateSpec(const ContainerSpec& spec);
// The same for texts that a process is executed with.
absl::Status ValidateProcess(const std::vector<std::string>& args,
                             const std::vector<std::string>& env,
                             const std::string& cwd);

void AddRootfs(const LaunchInput& in, PlanBuilder& plan);
void AddFilesystems(const LaunchInput& in, PlanBuilder& plan);
void AddUserMounts(const LaunchInput& in, PlanBuilder& plan);
void AddCgroups(const os::CgroupPaths& paths, Stage stage, PlanBuilder& plan);
void AddNamespaces(const LaunchInput& in, PlanBuilder& plan);
// Gives the streams, which the host's root makes, to root of `ids`.
void AddOwners(const IdRange& ids, bool terminal, PlanBuilder& plan);
// Maps the mount `slot` to the container's ids, if it has its own.
void AddIdMap(const IdRange& ids, Stage stage, int slot, bool recursive,
              const std::string& path, PlanBuilder& plan);
// `dev`: the slot of the mount on /dev.
void AddDevices(const LaunchInput& in, int dev, PlanBuilder& plan);
void AddSysctls(const ContainerSpec& spec, PlanBuilder& plan);

// Everything from the account to the exec, for a container's first process and
// for those that join it.
struct ProcessInput {
  std::vector<std::string> args;
  std::vector<std::string> env;
  std::string user;
  std::string cwd;  // empty: /
  bool terminal = false;
  TerminalSize size;  // of the terminal of one that joins
  SecurityProfile profile = SecurityProfile::kBaseline;
  uint64_t add_capabilities = 0;   // beside those of the profile
  uint64_t drop_capabilities = 0;  // even if those have them
  IdRange ids;                     // of the container's user namespace
  std::string seccomp;
  uint64_t own_capabilities = 0;
  uint64_t max_open_files = 1024;
  std::vector<Ulimit> ulimits;
};
void AddProcess(const ProcessInput& in, PlanBuilder& plan);

// Capabilities of a profile, as a mask.
uint64_t ProfileCapabilities(SecurityProfile profile, uint64_t own);
// All of "NET_ADMIN" or "ALL" and the like; unknown ones count for nothing.
uint64_t CapabilityMasks(const std::vector<std::string>& names);

// The whole plan of a container. The spec is valid.
absl::StatusOr<CompiledPlan> CompileContainer(const LaunchInput& in);

// The plan of a process that joins the container of `cgroup`.
absl::StatusOr<CompiledPlan> CompileExec(const ProcessInput& in,
                                         const os::CgroupPaths& cgroup);

}  // namespace bulwark::engine

#endif  // ENGINE_ISOLATORS_ISOLATORS_H_
