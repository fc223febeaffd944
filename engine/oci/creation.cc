#include "engine/oci/creation.h"

#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdlib>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "base/log.h"
#include "base/status.h"
#include "engine/oci/config/parse.h"
#include "engine/oci/console.h"
#include "engine/oci/hooks.h"
#include "engine/oci/id_map.h"
#include "engine/oci/listener.h"
#include "os/files.h"
#include "os/process.h"

namespace bulwark::engine::oci {
namespace {

constexpr absl::Duration kStepTimeout = absl::Minutes(2);
constexpr absl::Duration kRemoveTimeout = absl::Seconds(10);
constexpr absl::Duration kListenerTimeout = absl::Seconds(5);

absl::StatusOr<std::string> AbsolutePath(const std::string& path) {
  char* resolved = realpath(path.c_str(), nullptr);
  if (resolved == nullptr) return ErrnoStatus("find bundle", path);
  std::string result = resolved;
  std::free(resolved);
  return result;
}

absl::Status WriteProc(int pid, const char* file, const std::string& text) {
  const std::string path = absl::StrCat("/proc/", pid, "/", file);
  const UniqueFd fd(open(path.c_str(), O_WRONLY | O_CLOEXEC));
  if (!fd.ok()) return ErrnoStatus("open", path);
  return os::WriteAll(fd.get(), text, path);
}

bool HasCreateHooks(const Hooks& hooks) {
  return !hooks.prestart.empty() || !hooks.create_runtime.empty() ||
         !hooks.create_container.empty();
}

// Reads and writes of what is no directory, or is not there, would be told by
// the kernel in terms of a step of the launch.
absl::Status CheckRoot(const std::string& root) {
  struct stat st;
  if (stat(root.c_str(), &st) != 0) return ErrnoStatus("open root.path", root);
  if (S_ISDIR(st.st_mode)) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("root.path: ", root, " is not a directory"));
}

}  // namespace

absl::StatusOr<CompiledPlan> PlanOf(const Spec& spec, const Store& store,
                                    const CgroupHost& host,
                                    const CgroupRecord& cgroup,
                                    const SeccompProgram& seccomp,
                                    std::vector<std::string> mount_namespaces,
                                    bool wait) {
  LaunchParts parts = {host, cgroup, seccomp};
  if (wait) {
    parts.start_fifo = store.Path("start");
    parts.start_error = store.Path("error");
  }
  parts.has_hooks = HasCreateHooks(spec.hooks);
  parts.mount_namespaces = std::move(mount_namespaces);
  parts.own_capabilities = OwnCapabilities();
  return CompileCreate(spec, parts);
}

Creation::Creation(const Runtime& runtime, const CreateOptions& options,
                   bool wait)
    : runtime_(runtime),
      options_(options),
      wait_(wait),
      store_(runtime.root, options.id) {}

absl::StatusOr<Created> Creation::Run() {
  ASSIGN_OR_RETURN(Launching launching,
                   Launching::Begin({options_.preserve_fds}));
  RETURN_IF_ERROR(ReadBundle());
  if (!options_.console_socket.empty()) {
    ASSIGN_OR_RETURN(console_, ConnectUnix(options_.console_socket));
  }
  RETURN_IF_ERROR(store_.Create());
  Rollback rollback;
  rollback.Add([this] { Undo(); });
  RETURN_IF_ERROR(Prepare());
  ASSIGN_OR_RETURN(Created created, Launch(std::move(launching)));
  rollback.Commit();
  return created;
}

absl::Status Creation::ReadBundle() {
  ASSIGN_OR_RETURN(state_.bundle, AbsolutePath(options_.bundle));
  const std::string path = state_.bundle + "/config.json";
  ASSIGN_OR_RETURN(config_, os::ReadFile(path, kMaxConfigBytes));
  absl::StatusOr<Spec> spec = ParseSpec(config_, state_.bundle);
  if (!spec.ok()) return Annotate(spec.status(), path);
  spec_ = *std::move(spec);
  if (!spec_.process.has_value()) {
    // It can be created, only not started.
    spec_.process.emplace();
    spec_.process->cwd = "/";
  } else if (spec_.process->args.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, ": process.args: is empty"));
  }
  RETURN_IF_ERROR(CheckRoot(spec_.root));
  const bool terminal = spec_.process->terminal;
  if (terminal && wait_ && options_.console_socket.empty()) {
    return absl::InvalidArgumentError(
        "process.terminal is set: --console-socket is needed, to give the "
        "terminal to somebody");
  }
  if (!terminal && !options_.console_socket.empty()) {
    return absl::InvalidArgumentError(
        "--console-socket is given, but process.terminal is not set");
  }
  state_.id = options_.id;
  state_.version = spec_.version;
  state_.rootfs = spec_.root;
  state_.terminal = terminal;
  state_.systemd_cgroup = runtime_.systemd_cgroup;
  state_.annotations = spec_.annotations;
  state_.created = absl::FormatTime("%Y-%m-%dT%H:%M:%E9SZ",
                                    runtime_.clock.Now(), absl::UTCTimeZone());
  ASSIGN_OR_RETURN(state_.boot_id, os::BootId());
  return absl::OkStatus();
}

absl::Status Creation::Prepare() {
  if (spec_.linux_.seccomp.has_value()) {
    ASSIGN_OR_RETURN(seccomp_, CompileSeccomp(*spec_.linux_.seccomp));
  }
  RETURN_IF_ERROR(CheckHost(*spec_.process));
  if (!HasSelinux()) spec_.linux_.mount_label.clear();
  ASSIGN_OR_RETURN(host_, FindCgroupHost());
  CgroupRequest request;
  request.id = options_.id;
  request.cgroups_path = spec_.linux_.cgroups_path;
  request.systemd = runtime_.systemd_cgroup;
  // Who names a path looks for the groups there, in each hierarchy.
  request.all_hierarchies = !spec_.linux_.cgroups_path.empty();
  // From here on `delete` can clean up after us, should we be killed.
  request.before = [this](const CgroupRecord& record) {
    state_.cgroup = record;
    return store_.Begin(state_);
  };
  ASSIGN_OR_RETURN(ContainerCgroup cgroup,
                   ContainerCgroup::Create(
                       host_, request, spec_.linux_.resources, runtime_.clock));
  cgroup_.emplace(std::move(cgroup));
  // And from here on the groups are ours, and so is what runs in them.
  RETURN_IF_ERROR(store_.WriteConfig(config_));
  if (wait_) RETURN_IF_ERROR(store_.MakeStart());
  std::vector<std::string> paths;
  for (const Mount& mount : spec_.mounts) {
    if (mount.uid_mappings.empty()) continue;
    absl::StatusOr<UniqueFd> ns =
        MakeUserNamespace(mount.uid_mappings, mount.gid_mappings);
    if (!ns.ok()) {
      return Annotate(ns.status(),
                      absl::StrCat("mount on ", mount.destination));
    }
    paths.push_back(absl::StrCat("/proc/", getpid(), "/fd/", ns->get()));
    mount_namespaces_.push_back(*std::move(ns));
  }
  ASSIGN_OR_RETURN(plan_, PlanOf(spec_, store_, host_, state_.cgroup, seccomp_,
                                 std::move(paths), wait_));
  return absl::OkStatus();
}

absl::StatusOr<Created> Creation::Launch(Launching launching) {
  RETURN_IF_ERROR(launching.Launch(plan_, -1));
  // While the shim is at work. A failure is told once there is a process to
  // undo.
  filtered_ = cgroup_->FilterDevices();
  Created created;
  for (;;) {
    ASSIGN_OR_RETURN(LaunchEvent event, launching.Next(kStepTimeout));
    if (event.kind == LaunchEvent::Kind::kProcess) {
      RETURN_IF_ERROR(Register(launching.pid(), created));
    } else if (event.kind == LaunchEvent::Kind::kExecuted) {
      // It is killed, if it did not say that it was ready.
      if (created.pid == 0) {
        return absl::InternalError(
            "launch: the container's process was killed");
      }
      break;
    } else {
      const bool ready = event.point == child::kSyncReady;
      RETURN_IF_ERROR(HandleSync(launching, std::move(event), created));
      if (ready && wait_) break;
    }
  }
  cgroup_->Commit();
  return created;
}

absl::Status Creation::HandleSync(Launching& launching, LaunchEvent event,
                                  Created& created) {
  switch (event.point) {
    case child::kSyncIdMaps:
      RETURN_IF_ERROR(WriteIdMaps(pid_, spec_.linux_.uid_mappings,
                                  spec_.linux_.gid_mappings));
      break;
    case child::kSyncTimeOffsets:
      RETURN_IF_ERROR(SetTimeOffsets(pid_));
      break;
    case child::kSyncMounted:
      RETURN_IF_ERROR(RunCreateHooks(pid_));
      break;
    case child::kSyncReady:
      if (HasListener(spec_)) {
        state_.listener_address = event.address;
        RETURN_IF_ERROR(store_.Stage(state_));
      }
      RETURN_IF_ERROR(TakeTerminal(std::move(event.terminal), created));
      RETURN_IF_ERROR(Finish(created));
      if (HasListener(spec_) && !wait_) {
        RETURN_IF_ERROR(launching.Continue());
        return HandOverListener(state_.init, event.address,
                                *spec_.linux_.seccomp, state_, Status::kCreated,
                                kListenerTimeout, runtime_.clock);
      }
      break;
    default:
      return absl::InternalError("launch: a question that is not known");
  }
  return launching.Continue();
}

absl::Status Creation::Register(int pid, Created& created) {
  pid_ = pid;
  state_.init.pid = pid;
  // A child of ours that was not reaped: nobody else has this pid.
  created.pidfd.Reset(static_cast<int>(syscall(SYS_pidfd_open, pid, 0)));
  if (!created.pidfd.ok()) {
    return ErrnoStatus("open process", absl::StrCat(pid));
  }
  ASSIGN_OR_RETURN(state_.init.start_ticks, os::ReadStartTicks(pid));
  if (spec_.process->oom_score_adj.has_value()) {
    absl::Status status = WriteProc(
        pid, "oom_score_adj", absl::StrCat(*spec_.process->oom_score_adj));
    if (!status.ok()) return Annotate(status, "process.oomScoreAdj");
  }
  // It waits for us before its program.
  RETURN_IF_ERROR(filtered_);
  return store_.Stage(state_);
}

absl::Status Creation::SetTimeOffsets(int pid) const {
  std::string text;
  for (const auto& [clock, offset] : spec_.linux_.time_offsets) {
    absl::StrAppend(&text, clock, " ", offset.seconds, " ", offset.nanoseconds,
                    "\n");
  }
  const absl::Status status = WriteProc(pid, "timens_offsets", text);
  return status.ok() ? status : Annotate(status, "linux.timeOffsets");
}

absl::Status Creation::RunCreateHooks(int pid) const {
  const std::string state = StateJson(state_, Status::kCreating);
  const Hooks& hooks = spec_.hooks;
  RETURN_IF_ERROR(RunHooks(hooks.prestart, "prestart", state, 0));
  RETURN_IF_ERROR(RunHooks(hooks.create_runtime, "createRuntime", state, 0));
  return RunHooks(hooks.create_container, "createContainer", state, pid);
}

absl::Status Creation::TakeTerminal(UniqueFd master, Created& created) {
  if (!spec_.process->terminal) return absl::OkStatus();
  if (!master.ok()) {
    return absl::InternalError("launch: the terminal did not come");
  }
  SetConsoleSize(master.get(), spec_.process->console_rows,
                 spec_.process->console_columns);
  if (console_.ok()) return SendConsole(console_.get(), master.get());
  created.terminal = std::move(master);
  return absl::OkStatus();
}

// Before the program, or `start`, can go on: what it is known by.
absl::Status Creation::Finish(Created& created) {
  RETURN_IF_ERROR(store_.Publish());
  RETURN_IF_ERROR(WritePidFile(options_.pid_file, pid_));
  created.pid = pid_;
  return absl::OkStatus();
}

void Creation::Undo() {
  if (pid_ != 0) {
    // It is our child and not reaped: the pid is its own.
    kill(pid_, SIGKILL);
    const absl::StatusOr<UniqueFd> pidfd = os::OpenPidfd(state_.init);
    if (pidfd.ok()) {
      os::AwaitEnd(pidfd->get(), kRemoveTimeout);
      os::ReapChild(pidfd->get());
    }
    // They belong to a container whose creation failed, too.
    const absl::Status hooks = RunEveryHook(
        spec_.hooks.poststop, "poststop", StateJson(state_, Status::kStopped));
    if (!hooks.ok()) LOG_WARN("hook failed", {{"error", hooks}});
  }
  if (!options_.pid_file.empty()) unlink(options_.pid_file.c_str());
  cgroup_.reset();
  const absl::Status removed = store_.Remove();
  if (!removed.ok()) {
    LOG_WARN("cannot undo create", {{"id", options_.id}, {"error", removed}});
  }
}

absl::Status Create(const Runtime& runtime, const CreateOptions& options) {
  return Creation(runtime, options, /*wait=*/true).Run().status();
}

absl::StatusOr<int> Run(const Runtime& runtime, const CreateOptions& options,
                        bool detach, bool keep) {
  Creation creation(runtime, options, /*wait=*/false);
  absl::StatusOr<Created> created = creation.Run();
  if (!created.ok()) return created.status();
  const absl::Status hooks =
      RunHooks(creation.spec().hooks.poststart, "poststart",
               StateJson(creation.state(), Status::kRunning), 0);
  if (!hooks.ok()) LOG_WARN("hook failed", {{"error", hooks}});
  if (detach) return 0;
  creation.store().Unlock();
  ASSIGN_OR_RETURN(
      const int code,
      Attend(created->pidfd.get(),
             created->terminal.ok() ? created->terminal.get() : -1));
  if (keep) return code;
  const absl::Status deleted = DeleteAfterRun(
      runtime, options.id, creation.state().init, creation.spec().hooks);
  if (!deleted.ok()) {
    LOG_WARN("cannot delete container",
             {{"id", options.id}, {"error", deleted}});
  }
  return code;
}

}  // namespace bulwark::engine::oci
