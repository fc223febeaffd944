// Starts shims. Knows the layout of a container's directories and how to undo
// a launch; keeps no list of containers.
#ifndef ENGINE_LOCAL_LAUNCHER_H_
#define ENGINE_LOCAL_LAUNCHER_H_

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "base/clock.h"
#include "base/unique_fd.h"
#include "engine/container_spec.h"
#include "engine/engine.h"
#include "engine/launch/shim_start.h"
#include "engine/local/devices.h"
#include "engine/local/record.h"
#include "engine/plan/plan_builder.h"
#include "os/cgroup.h"
#include "os/kernel.h"

namespace bulwark::engine {

struct LocalEngineConfig {
  std::string instance = "bulwark";  // name of our cgroups
  std::string runtime_dir = "/run/bulwark";
  std::string state_dir = "/var/lib/bulwark";
  std::string shim_path;   // the bulwark-shim program; read once
  std::string max_kernel;  // os::ProbeKernel
  std::string boot_id;     // empty: the kernel's; set by tests
  // Where the host's journal takes records; set by tests.
  std::string journal_socket = "/run/systemd/journal/socket";
  // How often rotated logs are looked for, to compress them.
  absl::Duration compress_every = absl::Seconds(10);
  // Recover() ends running containers of the instance although it has a record
  // of none; otherwise it refuses then, since the state directory must be
  // another one than they were started from.
  bool erase_unknown = false;
};

// A container whose first process executes.
struct Launched {
  os::ProcessRef init;
  UniqueFd init_pidfd;
  UniqueFd shim_pidfd;
  absl::Time start_time;
};

// Thread-safe.
class Launcher {
 public:
  // Reads the shim, probes the kernel, makes the directories and the
  // instance's cgroups.
  static absl::StatusOr<std::unique_ptr<Launcher>> Create(
      LocalEngineConfig config, Clock& clock);

  const LocalEngineConfig& config() const { return config_; }
  ContainerDirs Dirs(absl::string_view id) const;
  std::string ContainersOfState() const;
  std::string ContainersOfRuntime() const;
  // The lowest layer of every container (mount_points.h).
  std::string MountPoints() const;

  // Starts the container of a valid spec that has a layer. On an error nothing
  // is left.
  absl::StatusOr<Launched> Launch(const ContainerSpec& spec,
                                  const ContainerRecord& record);

  // Starts a process in the container with this init and record. `*alone` is
  // the shim of one that is detached, for the caller to reap.
  absl::StatusOr<std::unique_ptr<ExecSession>> Exec(
      absl::string_view id, int init_pidfd, const ProcessRecord& inherited,
      const ExecSpec& spec, UniqueFd* alone);

  // Kills what is left of a container and removes every trace of it. `record`
  // may be null (it was never written whole).
  absl::Status Erase(absl::string_view id, const ContainerRecord* record);

  os::Cgroups& cgroups() { return *cgroups_; }
  const std::string& boot_id() const { return config_.boot_id; }

 private:
  Launcher(LocalEngineConfig config, Clock& clock);

  absl::Status EnsureMountPoints();
  absl::Status PrepareDirs(const ContainerSpec& spec,
                           const ContainerRecord& record);
  absl::Status Record(const ContainerRecord& record);
  absl::Status MakeCgroups(const ContainerSpec& spec,
                           const std::vector<FoundDevice>& devices);
  // Does what a launch waits for that has begun: makes its control groups, then
  // lets the program begin.
  absl::Status OpenGates(const ContainerSpec& spec,
                         const ContainerRecord& record,
                         const std::vector<FoundDevice>& devices,
                         UniqueFd gate);
  std::string SharedRoot(const ContainerSpec& spec) const;
  // `user_namespace`: see LaunchInput.
  absl::StatusOr<CompiledPlan> Compile(const ContainerSpec& spec,
                                       std::string user_namespace);
  // Has a shim that waits for its order launch the container.
  absl::StatusOr<Launched> Order(const ContainerSpec& spec,
                                 const ContainerRecord& record,
                                 const std::vector<FoundDevice>& devices,
                                 const CompiledPlan& plan, ShimStart shim);
  absl::StatusOr<std::string> Seccomp(SecurityProfile profile);

  LocalEngineConfig config_;
  Clock& clock_;
  UniqueFd shim_;  // sealed copy
  os::KernelFeatures kernel_;
  UniqueFd bare_mounts_;  // os::MakeBareMounts(), where containers can use it
  uint64_t own_capabilities_ = 0;
  uint64_t max_open_files_ = 1024;
  std::unique_ptr<os::Cgroups> cgroups_;
  DeviceFilter filter_;

  absl::Mutex mu_;
  std::map<SecurityProfile, std::string> seccomp_ ABSL_GUARDED_BY(mu_);
};

}  // namespace bulwark::engine

#endif  // ENGINE_LOCAL_LAUNCHER_H_
