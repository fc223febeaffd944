#include "engine/local/launcher.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <linux/openat2.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "base/log.h"
#include "base/rollback.h"
#include "base/status.h"
#include "engine/child/wire.h"
#include "engine/isolators/isolators.h"
#include "engine/isolators/seccomp.h"
#include "engine/local/mount_points.h"
#include "engine/local/shim_client.h"
#include "os/bare_mounts.h"
#include "os/files.h"
#include "os/process.h"
#include "os/user_namespace.h"

namespace bulwark::engine {
namespace {

constexpr absl::Duration kLaunchTimeout = absl::Seconds(60);
constexpr absl::Duration kKillTimeout = absl::Seconds(20);

// For the shim, which opens it while we live.
std::string PathOf(const UniqueFd& fd) {
  return absl::StrCat("/proc/", getpid(), "/fd/", fd.get());
}

absl::Status MakeDir(const std::string& path, mode_t mode) {
  if (mkdir(path.c_str(), mode) != 0) return ErrnoStatus("make", path);
  // Whatever our umask is.
  if (chmod(path.c_str(), mode) != 0) return ErrnoStatus("make", path);
  return absl::OkStatus();
}

// Not durable: the shim flushes what must last.
absl::Status WriteFile(const std::string& path, absl::string_view contents,
                       mode_t mode, uint32_t owner = 0) {
  UniqueFd fd(
      open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode));
  if (!fd.ok()) return ErrnoStatus("create", path);
  if (fchmod(fd.get(), mode) != 0 ||
      (owner != 0 && fchown(fd.get(), owner, owner) != 0)) {
    return ErrnoStatus("create", path);
  }
  return os::WriteAll(fd.get(), contents, path);
}

std::string HostsFile(const ContainerSpec& spec) {
  std::string text =
      "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n";
  for (const auto& [name, address] : spec.hosts) {
    absl::StrAppend(&text, address, "\t", name, "\n");
  }
  return text;
}

std::string ResolvFile(const ContainerSpec& spec) {
  std::string text;
  for (const std::string& server : spec.nameservers) {
    absl::StrAppend(&text, "nameserver ", server, "\n");
  }
  if (!spec.search_domains.empty()) {
    absl::StrAppend(&text, "search ", absl::StrJoin(spec.search_domains, " "),
                    "\n");
  }
  return text;
}

std::string UpperDir(const ContainerSpec& spec, const ContainerDirs& dirs) {
  return spec.upper_dir.empty() ? dirs.state + "/upper" : spec.upper_dir;
}
std::string WorkDir(absl::string_view upper_dir, const ContainerDirs& dirs) {
  return upper_dir.empty() ? dirs.state + "/work"
                           : absl::StrCat(upper_dir, ".work");
}

uint64_t OwnCapabilities() {
  __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[2] = {};
  if (syscall(SYS_capget, &header, data) != 0) return 0;
  return data[0].permitted | static_cast<uint64_t>(data[1].permitted) << 32;
}

// 0 if nothing but folders of one mount lies between the directory `root` and
// the one at `path`, which is below it. EXDEV: there is another mount.
int FindOnMountOf(int root, const std::string& path) {
  open_how how = {};
  how.flags = O_PATH | O_DIRECTORY | O_CLOEXEC;
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV;
  const UniqueFd found(static_cast<int>(
      syscall(SYS_openat2, root, path.c_str(), &how, sizeof(how))));
  return found.ok() ? 0 : errno;
}

// Whether the directory at `path` is the root of a mount.
bool IsMountRoot(const std::string& path) {
  const size_t slash = path.rfind('/');
  const UniqueFd parent(open(path.substr(0, slash + 1).c_str(),
                             O_PATH | O_DIRECTORY | O_CLOEXEC));
  return FindOnMountOf(parent.get(), path.substr(slash + 1)) == EXDEV;
}

// Ends a shim of ours that has not launched anything that should live.
void EndShim(int pidfd) {
  os::SendSignal(pidfd, SIGKILL).IgnoreError();  // it may be gone
  os::AwaitEnd(pidfd, kKillTimeout);
  os::ReapChild(pidfd);
}

}  // namespace

Launcher::Launcher(LocalEngineConfig config, Clock& clock)
    : config_(std::move(config)), clock_(clock) {}

absl::StatusOr<std::unique_ptr<Launcher>> Launcher::Create(
    LocalEngineConfig config, Clock& clock) {
  std::unique_ptr<Launcher> l(new Launcher(std::move(config), clock));
  if (l->config_.boot_id.empty()) {
    ASSIGN_OR_RETURN(l->config_.boot_id, os::BootId());
  }
  ASSIGN_OR_RETURN(l->shim_, os::SealedCopy(l->config_.shim_path));
  ASSIGN_OR_RETURN(l->kernel_, os::ProbeKernel(l->config_.max_kernel));
  l->own_capabilities_ = OwnCapabilities();
  rlimit files;
  if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
    l->max_open_files_ = files.rlim_max;
  }
  RETURN_IF_ERROR(os::MakeDirs(l->ContainersOfState(), 0700));
  RETURN_IF_ERROR(os::MakeDirs(l->ContainersOfRuntime(), 0700));
  const absl::Status points = l->EnsureMountPoints();
  if (absl::IsFailedPrecondition(points)) return points;
  if (!points.ok()) {
    // On a full disk what runs must be adopted all the same. A start makes what
    // is missing, or makes do without.
    LOG_WARN("mount points not made", {{"error", points}});
  }
  ASSIGN_OR_RETURN(const std::string mounts,
                   os::ReadFile("/proc/self/mountinfo", 64 << 20));
  ASSIGN_OR_RETURN(os::CgroupLayout layout, os::ParseCgroupLayout(mounts));
  l->cgroups_ = std::make_unique<os::Cgroups>(std::move(layout),
                                              l->config_.instance, clock);
  RETURN_IF_ERROR(l->cgroups_->Prepare());
  if (l->kernel_.overlay_detached_layers) {
    absl::StatusOr<UniqueFd> bare =
        os::MakeBareMounts(l->ContainersOfRuntime());
    if (bare.ok()) {
      l->bare_mounts_ = *std::move(bare);
    } else {
      LOG_WARN("containers begin with the host's mounts, which takes longer",
               {{"cause", bare.status()}});
    }
  }
  l->filter_.Prepare();
  // Compiled now, not on the first launch.
  RETURN_IF_ERROR(l->Seccomp(SecurityProfile::kBaseline).status());
  return l;
}

std::string Launcher::ContainersOfState() const {
  return config_.state_dir + "/containers";
}
std::string Launcher::MountPoints() const {
  return config_.state_dir + "/mount-points/root";
}
std::string Launcher::ContainersOfRuntime() const {
  return config_.runtime_dir + "/containers";
}
ContainerDirs Launcher::Dirs(absl::string_view id) const {
  return {absl::StrCat(ContainersOfRuntime(), "/", id),
          absl::StrCat(ContainersOfState(), "/", id)};
}

absl::Status Launcher::EnsureMountPoints() {
  // In a folder of its own, since layers may be mapped by the folder that they
  // are in.
  RETURN_IF_ERROR(os::MakeDirs(config_.state_dir + "/mount-points", 0700));
  return MakeMountPoints(MountPoints());
}

absl::StatusOr<std::string> Launcher::Seccomp(SecurityProfile profile) {
  absl::MutexLock lock(&mu_);
  const auto known = seccomp_.find(profile);
  if (known != seccomp_.end()) return known->second;
  ASSIGN_OR_RETURN(const std::string program, CompileSeccomp(profile));
  seccomp_[profile] = program;
  return program;
}

absl::Status Launcher::PrepareDirs(const ContainerSpec& spec,
                                   const ContainerRecord& record) {
  const ContainerDirs dirs = Dirs(spec.id);
  RETURN_IF_ERROR(MakeDir(dirs.state, 0700));
  RETURN_IF_ERROR(MakeDir(dirs.runtime, 0700));
  // Without it the rest counts as half made.
  if (!spec.await_program) RETURN_IF_ERROR(Record(record));
  if (spec.upper_dir.empty()) {
    RETURN_IF_ERROR(MakeDir(UpperDir(spec, dirs), 0755));
  }
  RETURN_IF_ERROR(MakeDir(WorkDir(spec.upper_dir, dirs), 0700));
  RETURN_IF_ERROR(MakeDir(dirs.runtime + "/root", 0700));
  // In memory, as all that is of no use after a reboot: cheaper to make and to
  // remove than on a disk.
  const std::string etc = dirs.runtime + "/etc";
  RETURN_IF_ERROR(MakeDir(etc, 0755));
  const uint32_t owner = spec.ids.first;  // 0 without a user namespace
  RETURN_IF_ERROR(WriteFile(etc + "/hosts", HostsFile(spec), 0644, owner));
  RETURN_IF_ERROR(
      WriteFile(etc + "/resolv.conf", ResolvFile(spec), 0644, owner));
  RETURN_IF_ERROR(
      WriteFile(etc + "/hostname", spec.hostname + "\n", 0644, owner));
  const ProcessRecord process = {spec.env,
                                 spec.user,
                                 spec.cwd,
                                 spec.profile,
                                 CapabilityMasks(spec.add_capabilities),
                                 CapabilityMasks(spec.drop_capabilities),
                                 spec.ids,
                                 spec.ulimits};
  return WriteFile(dirs.Process(), Encode(process), 0600);
}

absl::Status Launcher::Record(const ContainerRecord& record) {
  return WriteFile(Dirs(record.id).Record(), Encode(record), 0600);
}

// The state directory, if all below it that the container's root is made of is
// on its mount: an administrator may have put some of it elsewhere.
std::string Launcher::SharedRoot(const ContainerSpec& spec) const {
  UniqueFd root(
      open(config_.state_dir.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!root.ok()) return "";
  std::vector<std::string> paths = spec.layers;
  // The directories of the container itself are still to be made.
  paths.push_back(spec.upper_dir.empty() ? ContainersOfState()
                                         : spec.upper_dir);
  for (const std::string& path : paths) {
    absl::string_view below = path;
    if (absl::ConsumePrefix(&below, config_.state_dir + "/") &&
        FindOnMountOf(root.get(), std::string(below)) != 0) {
      return "";
    }
  }
  return config_.state_dir;
}

absl::StatusOr<CompiledPlan> Launcher::Compile(const ContainerSpec& spec,
                                               std::string user_namespace) {
  const ContainerDirs dirs = Dirs(spec.id);
  LaunchInput in = {spec, cgroups_->layout()};
  in.cgroup = cgroups_->Paths(spec.id);
  in.overlay_layer_fds = kernel_.overlay_layer_fds;
  in.overlay_detached_layers = kernel_.overlay_detached_layers;
  in.user_namespace = std::move(user_namespace);
  if (bare_mounts_.ok()) in.bare_mounts = PathOf(bare_mounts_);
  in.upper = UpperDir(spec, dirs);
  in.work = WorkDir(spec.upper_dir, dirs);
  if (spec.ids.size != 0) {
    in.shared_root = SharedRoot(spec);
    for (const std::string& layer : spec.layers) {
      const bool shared = !in.shared_root.empty() &&
                          absl::StartsWith(layer, in.shared_root + "/");
      if (!shared && IsMountRoot(layer)) in.mounted_layers.insert(layer);
    }
  }
  in.stage = dirs.runtime + "/root";
  in.etc = dirs.runtime + "/etc";
  in.runtime_dir = dirs.runtime;
  in.state_dir = dirs.state;
  in.boot_id = config_.boot_id;
  ASSIGN_OR_RETURN(in.seccomp, Seccomp(spec.profile));
  in.own_capabilities = own_capabilities_;
  in.max_open_files = max_open_files_;
  in.nodes = NodesOf(spec.devices);
  in.journal_socket = config_.journal_socket;
  return CompileContainer(in);
}

absl::StatusOr<Launched> Launcher::Launch(const ContainerSpec& spec,
                                          const ContainerRecord& record) {
  // First: it is executed while we prepare what it is to do.
  ASSIGN_OR_RETURN(ShimStart shim,
                   ShimStart::Begin(shim_.get(), {"bulwark-shim", "run"}, {}));
  ASSIGN_OR_RETURN(const std::vector<FoundDevice> found,
                   FindDevices(spec.devices));
  // Until the container is in it.
  os::UserNamespace users;
  std::string users_path;
  if (spec.ids.size != 0 && spec.network_namespace.empty()) {
    ASSIGN_OR_RETURN(users,
                     os::MakeUserNamespace({spec.ids.first, spec.ids.size}));
    users_path = PathOf(users.user);
  }
  ASSIGN_OR_RETURN(const CompiledPlan plan,
                   Compile(spec, std::move(users_path)));
  const ContainerDirs dirs = Dirs(spec.id);
  if (access(dirs.state.c_str(), F_OK) == 0 ||
      access(dirs.runtime.c_str(), F_OK) == 0) {
    // The caller knows of no such container: an earlier undo failed.
    RETURN_IF_ERROR(Erase(spec.id, &record));
  }
  Rollback rollback;
  rollback.Add([&] {
    const absl::Status status = Erase(spec.id, &record);
    if (!status.ok()) {
      LOG_WARN("cannot undo launch", {{"id", spec.id}, {"error", status}});
    }
  });
  // Somebody may have tidied up.
  if (access(MountPoints().c_str(), F_OK) != 0) {
    RETURN_IF_ERROR(EnsureMountPoints());
  }
  RETURN_IF_ERROR(PrepareDirs(spec, record));
  ASSIGN_OR_RETURN(Launched launched,
                   Order(spec, record, found, plan, std::move(shim)));
  rollback.Commit();
  return launched;
}

absl::Status Launcher::MakeCgroups(const ContainerSpec& spec,
                                   const std::vector<FoundDevice>& devices) {
  const Resources& r = spec.resources;
  RETURN_IF_ERROR(cgroups_->Create(
      spec.id, {r.cpu_limit_millicores, r.cpu_request_millicores,
                r.memory_limit_bytes, r.pids_limit}));
  if (spec.profile == SecurityProfile::kPrivileged) return absl::OkStatus();
  return filter_.Apply(devices, cgroups_->Paths(spec.id).unified);
}

absl::Status Launcher::OpenGates(const ContainerSpec& spec,
                                 const ContainerRecord& record,
                                 const std::vector<FoundDevice>& devices,
                                 UniqueFd gate) {
  // False if a failed launch has closed the other end, with what we said before
  // unread perhaps: it tells by itself.
  const auto open = [&]() -> absl::StatusOr<bool> {
    if (send(gate.get(), "", 1, MSG_NOSIGNAL) == 1) return true;
    if (errno == EPIPE || errno == ECONNRESET) return false;
    return ErrnoStatus("open the gate of", spec.id);
  };
  RETURN_IF_ERROR(MakeCgroups(spec, devices));
  ASSIGN_OR_RETURN(const bool goes_on, open());
  if (!goes_on) return absl::OkStatus();
  RETURN_IF_ERROR(spec.await_program());
  RETURN_IF_ERROR(Record(record));
  return open().status();
}

absl::StatusOr<Launched> Launcher::Order(
    const ContainerSpec& spec, const ContainerRecord& record,
    const std::vector<FoundDevice>& devices, const CompiledPlan& plan,
    ShimStart shim) {
  const ContainerDirs dirs = Dirs(spec.id);
  // With a gate the shim begins meanwhile.
  if (!spec.await_program) RETURN_IF_ERROR(MakeCgroups(spec, devices));
  // Held by the shim for as long as it lives: who can take it knows that there
  // is none.
  UniqueFd lock(open(dirs.Lock().c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (!lock.ok()) return ErrnoStatus("create", dirs.Lock());
  if (flock(lock.get(), LOCK_EX | LOCK_NB) != 0) {
    return ErrnoStatus("lock", dirs.Lock());
  }
  UniqueFd gate, other_end;
  if (spec.await_program) {
    int ends[2];
    // A pipe, but for the signal of one that nobody reads.
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) {
      return ErrnoStatus("make", "socket pair");
    }
    other_end.Reset(ends[0]);
    gate.Reset(ends[1]);
  }
  RETURN_IF_ERROR(shim.Order(plan.bytes, lock.get(), other_end.get()));
  lock.Reset();
  other_end.Reset();
  absl::Status open;
  if (spec.await_program) {
    open = OpenGates(spec, record, devices, std::move(gate));
  }

  absl::StatusOr<ShimMessage> answer =
      ReadMessage(shim.socket(), kLaunchTimeout, clock_, nullptr);
  absl::Status status = answer.status();
  if (answer.ok() && answer->type != child::kMsgLaunched) {
    status = LaunchFailure(plan, answer->Get(child::kTagStep),
                           static_cast<int>(answer->Get(child::kTagErrno)));
  }
  if (!open.ok()) status = open;
  Launched launched;
  if (status.ok()) {
    launched.init = {static_cast<int>(answer->Get(child::kTagInitPid)),
                     answer->Get(child::kTagInitTicks)};
    launched.start_time = absl::FromUnixNanos(
        static_cast<int64_t>(answer->Get(child::kTagStartTime)));
    // It may have exited already: the shim's record tells of that.
    absl::StatusOr<UniqueFd> init = os::OpenPidfd(launched.init);
    if (init.ok()) launched.init_pidfd = *std::move(init);
    launched.shim_pidfd = shim.TakePidfd();
    return launched;
  }
  EndShim(shim.pidfd());
  // Why it never began, if that is it.
  RETURN_IF_ERROR(shim.Settle());
  return status;
}

absl::Status Launcher::Erase(absl::string_view id,
                             const ContainerRecord* record) {
  const ContainerDirs dirs = Dirs(id);
  absl::Status status = cgroups_->Kill(id, kKillTimeout);
  if (!status.ok()) return status;  // its directories are still in use
  status.Update(cgroups_->Remove(id));
  if (record != nullptr && !record->upper_dir.empty()) {
    status.Update(os::RemoveTree(WorkDir(record->upper_dir, dirs)));
  }
  // The record goes first: what a crash leaves then counts as half made.
  if (unlink(dirs.Record().c_str()) != 0 && errno != ENOENT) {
    status.Update(ErrnoStatus("remove", dirs.Record()));
  }
  status.Update(os::RemoveTree(dirs.runtime));
  absl::Status state = os::RemoveTree(dirs.state);
  // A log may have been compressed into it just then.
  if (!state.ok()) state = os::RemoveTree(dirs.state);
  status.Update(state);
  return status;
}

}  // namespace bulwark::engine
