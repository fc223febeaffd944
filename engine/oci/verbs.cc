// The verbs on a container that is there already.
#include <fcntl.h>
#include <linux/capability.h>
#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <nlohmann/json.hpp>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/log.h"
#include "base/status.h"
#include "engine/child/frame.h"
#include "engine/child/wire.h"
#include "engine/oci/config/parse.h"
#include "engine/oci/container.h"
#include "engine/oci/creation.h"
#include "engine/oci/hooks.h"
#include "engine/oci/listener.h"
#include "os/files.h"

namespace bulwark::engine::oci {
namespace {

constexpr absl::Duration kExecTimeout = absl::Seconds(30);
constexpr absl::Duration kKillTimeout = absl::Seconds(10);
constexpr absl::Duration kFreezeTimeout = absl::Seconds(10);
constexpr absl::Duration kListenerTimeout = absl::Seconds(5);

absl::Status Wrong(absl::string_view verb, const std::string& id,
                   absl::string_view why) {
  return absl::FailedPreconditionError(
      absl::StrCat(verb, " container \"", id, "\": ", why));
}

absl::StatusOr<Spec> SpecOf(const Store& store, const State& state) {
  ASSIGN_OR_RETURN(const std::string config, store.ReadConfig());
  return ParseSpec(config, state.bundle);
}

// What the process wrote that could not execute; OK if it did.
absl::Status ReadStartError(const Store& store, const State& state,
                            const Spec& spec) {
  ASSIGN_OR_RETURN(const std::string text,
                   os::ReadFile(store.Path("error"), child::kMaxMessage));
  if (text.empty()) return absl::OkStatus();
  child::FrameReader reader(reinterpret_cast<const uint8_t*>(text.data()),
                            text.size());
  uint64_t step = child::kStepPlan;
  int error = 0;
  while (reader.Next()) {
    if (reader.tag() == child::kTagStep) step = reader.Int();
    if (reader.tag() == child::kTagErrno) {
      error = static_cast<int>(reader.Int());
    }
  }
  // The same plan again, for what its steps are called.
  SeccompProgram seccomp;
  if (spec.linux_.seccomp.has_value()) {
    ASSIGN_OR_RETURN(seccomp, CompileSeccomp(*spec.linux_.seccomp));
  }
  ASSIGN_OR_RETURN(const CgroupHost host, FindCgroupHost());
  std::vector<std::string> namespaces(spec.mounts.size(), "/");
  ASSIGN_OR_RETURN(const CompiledPlan plan,
                   PlanOf(spec, store, host, state.cgroup, seccomp,
                          std::move(namespaces), /*wait=*/true));
  return StepFailure(plan, step, error);
}

// Lets the program go, and waits until it executes or fails.
absl::Status Release(const Runtime& runtime, const Store& store,
                     const State& state, const Spec& spec) {
  const std::string path = store.Path("start");
  UniqueFd fifo(open(path.c_str(), O_WRONLY | O_NONBLOCK | O_CLOEXEC));
  // ENXIO: nobody waits.
  if (!fifo.ok()) return Wrong("start", store.id(), "its process is gone");
  if (unlink(path.c_str()) != 0) return ErrnoStatus("remove", path);
  RETURN_IF_ERROR(os::WriteAll(fifo.get(), "S", path));
  if (HasListener(spec)) {
    RETURN_IF_ERROR(HandOverListener(
        state.init, state.listener_address, *spec.linux_.seccomp, state,
        Status::kCreated, kListenerTimeout, runtime.clock));
  }
  // The pipe breaks when its reader closes it, by executing or by ending.
  pollfd poll_fd = {fifo.get(), 0, 0};
  const timespec limit = absl::ToTimespec(kExecTimeout);
  if (ppoll(&poll_fd, 1, &limit, nullptr) != 1) {
    return absl::DeadlineExceededError(
        absl::StrCat("start container \"", store.id(),
                     "\": its program did not execute in time"));
  }
  return absl::OkStatus();
}

void RunPoststop(const State& state, const Hooks& all) {
  if (all.poststop.empty()) return;
  const absl::Status hooks = RunEveryHook(all.poststop, "poststop",
                                          StateJson(state, Status::kStopped));
  // The specification: the rest goes on as if they had succeeded.
  if (!hooks.ok()) LOG_WARN("hook failed", {{"error", hooks}});
}

// Ends whatever lives of a container.
absl::Status EndAll(const Runtime& runtime, const State& state) {
  RETURN_IF_ERROR(KillCgroup(state.cgroup, kKillTimeout, runtime.clock));
  if (state.init.pid == 0) return absl::OkStatus();
  const absl::StatusOr<UniqueFd> init = os::OpenPidfd(state.init);
  if (!init.ok()) return absl::OkStatus();
  os::SendSignal(init->get(), SIGKILL).IgnoreError();
  if (os::AwaitEnd(init->get(), kKillTimeout)) return absl::OkStatus();
  return absl::DeadlineExceededError(
      absl::StrCat("kill container \"", state.id, "\": process ",
                   state.init.pid, " does not end"));
}

// Not by securityfs: Podman takes it away from who makes a user namespace.
bool HasAppArmor() {
  return absl::StartsWith(
      os::ReadFile("/sys/module/apparmor/parameters/enabled", 16).value_or(""),
      "Y");
}

}  // namespace

absl::Status WritePidFile(const std::string& path, int pid) {
  if (path.empty()) return absl::OkStatus();
  const std::string temporary = path + ".new";
  UniqueFd fd(
      open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666));
  if (!fd.ok()) return ErrnoStatus("create", temporary);
  RETURN_IF_ERROR(os::WriteAll(fd.get(), absl::StrCat(pid), temporary));
  if (rename(temporary.c_str(), path.c_str()) != 0) {
    return ErrnoStatus("rename", temporary);
  }
  return absl::OkStatus();
}

bool HasSelinux() { return access("/sys/fs/selinux/enforce", F_OK) == 0; }

absl::Status CheckHost(const Process& process) {
  if (!process.apparmor_profile.empty() && !HasAppArmor()) {
    return absl::FailedPreconditionError(
        "process.apparmorProfile: AppArmor does not run on this host");
  }
  if (!process.selinux_label.empty() && !HasSelinux()) {
    return absl::FailedPreconditionError(
        "process.selinuxLabel: SELinux does not run on this host");
  }
  return absl::OkStatus();
}

uint64_t OwnCapabilities() {
  __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[2] = {};
  if (syscall(SYS_capget, &header, data) != 0) return 0;
  return data[0].permitted | static_cast<uint64_t>(data[1].permitted) << 32;
}

absl::Status Start(const Runtime& runtime, const std::string& id) {
  Store store(runtime.root, id);
  RETURN_IF_ERROR(store.Lock());
  ASSIGN_OR_RETURN(const State state, store.Read());
  const Status status = store.StatusOf(state);
  if (status == Status::kStopped) {
    return Wrong("start", id, "cannot start a container that has stopped");
  }
  // A process that is frozen would read its FIFO once it is thawed, at the
  // earliest.
  if (status == Status::kPaused) {
    return Wrong("start", id, "cannot start a container in the paused state");
  }
  if (status != Status::kCreated) {
    return Wrong("start", id, "cannot start an already running container");
  }
  ASSIGN_OR_RETURN(const Spec spec, SpecOf(store, state));
  if (!spec.process.has_value()) {
    return Wrong("start", id, "its configuration has no process");
  }
  const absl::Status hooks =
      RunStartHooks(runtime, id, spec, StateJson(state, Status::kCreated));
  if (!hooks.ok()) {
    // The specification: the container is stopped, and `delete` follows.
    EndAll(runtime, state).IgnoreError();
    return hooks;
  }
  const absl::Status released = Release(runtime, store, state, spec);
  if (!released.ok()) {
    EndAll(runtime, state).IgnoreError();  // it waits for what will not come
    return released;
  }
  RETURN_IF_ERROR(ReadStartError(store, state, spec));
  const absl::Status poststart = RunHooks(
      spec.hooks.poststart, "poststart", StateJson(state, Status::kRunning), 0);
  if (!poststart.ok()) LOG_WARN("hook failed", {{"error", poststart}});
  return absl::OkStatus();
}

absl::Status Kill(const Runtime& runtime, const std::string& id, int signal,
                  bool all) {
  Store store(runtime.root, id);
  ASSIGN_OR_RETURN(const State state, store.Read());
  const Status status = store.StatusOf(state);
  if (all && status != Status::kCreating) {
    return SignalCgroup(state.cgroup, signal);
  }
  if (status == Status::kStopped || status == Status::kCreating) {
    return Wrong("kill", id, "container not running");
  }
  const absl::StatusOr<UniqueFd> init = os::OpenPidfd(state.init);
  if (!init.ok()) return Wrong("kill", id, "container not running");
  RETURN_IF_ERROR(os::SendSignal(init->get(), signal));
  // What is frozen dies only once it is thawed, on version 1.
  if (status == Status::kPaused && signal == SIGKILL) {
    return SetCgroupFrozen(state.cgroup, false, kFreezeTimeout, runtime.clock);
  }
  return absl::OkStatus();
}

absl::Status Delete(const Runtime& runtime, const std::string& id, bool force) {
  Store store(runtime.root, id);
  const absl::Status locked = store.Lock();
  if (absl::IsNotFound(locked) && force) return absl::OkStatus();
  RETURN_IF_ERROR(locked);
  ASSIGN_OR_RETURN(const State state, store.Read());
  const Status status = store.StatusOf(state);
  if (status != Status::kStopped && !force) {
    return Wrong("delete", id,
                 absl::StrCat("container is not stopped: ", StatusName(status),
                              "; kill it first, or use --force"));
  }
  RETURN_IF_ERROR(EndAll(runtime, state));
  RETURN_IF_ERROR(RemoveCgroup(state.cgroup, kKillTimeout, runtime.clock));
  RETURN_IF_ERROR(RemoveUnusedCgroup(state.intended));
  const absl::StatusOr<Spec> spec = SpecOf(store, state);
  if (spec.ok()) RunPoststop(state, spec->hooks);  // else it was never whole
  return store.Remove();
}

absl::Status DeleteAfterRun(const Runtime& runtime, const std::string& id,
                            const os::ProcessRef& init, const Hooks& hooks) {
  Store store(runtime.root, id);
  const absl::Status locked = store.Lock();
  if (absl::IsNotFound(locked)) return absl::OkStatus();
  RETURN_IF_ERROR(locked);
  // Read again: `update` may have given it groups.
  ASSIGN_OR_RETURN(const State state, store.Read());
  if (state.init.pid != init.pid ||
      state.init.start_ticks != init.start_ticks) {
    return absl::OkStatus();
  }
  RETURN_IF_ERROR(KillCgroup(state.cgroup, kKillTimeout, runtime.clock));
  RETURN_IF_ERROR(RemoveCgroup(state.cgroup, kKillTimeout, runtime.clock));
  RunPoststop(state, hooks);
  return store.Remove();
}

absl::Status SetPaused(const Runtime& runtime, const std::string& id,
                       bool paused) {
  const char* verb = paused ? "pause" : "resume";
  Store store(runtime.root, id);
  RETURN_IF_ERROR(store.Lock());
  ASSIGN_OR_RETURN(const State state, store.Read());
  const Status status = store.StatusOf(state);
  const bool fits =
      paused ? status == Status::kRunning || status == Status::kCreated
             : status == Status::kPaused;
  if (!fits) {
    return Wrong(verb, id,
                 absl::StrCat(paused ? "container not running: "
                                     : "container not paused: ",
                              StatusName(status)));
  }
  return SetCgroupFrozen(state.cgroup, paused, kFreezeTimeout, runtime.clock);
}

absl::Status Update(const Runtime& runtime, const std::string& id,
                    const Resources& resources) {
  Store store(runtime.root, id);
  RETURN_IF_ERROR(store.Lock());
  ASSIGN_OR_RETURN(State state, store.Read());
  if (store.StatusOf(state) == Status::kStopped) {
    return Wrong("update", id, "container not running");
  }
  ASSIGN_OR_RETURN(const CgroupHost host, FindCgroupHost());
  const absl::Status updated =
      UpdateCgroup(host, resources, state.cgroup, runtime.clock);
  RETURN_IF_ERROR(store.Write(state));
  return updated;
}

absl::StatusOr<std::string> StateOf(const Runtime& runtime,
                                    const std::string& id) {
  Store store(runtime.root, id);
  ASSIGN_OR_RETURN(const State state, store.Read());
  return StateJson(state, store.StatusOf(state));
}

absl::StatusOr<std::vector<int>> PidsOf(const Runtime& runtime,
                                        const std::string& id) {
  Store store(runtime.root, id);
  ASSIGN_OR_RETURN(const State state, store.Read());
  return CgroupPids(state.cgroup);
}

absl::StatusOr<std::string> StatsOf(const Runtime& runtime,
                                    const std::string& id) {
  Store store(runtime.root, id);
  ASSIGN_OR_RETURN(const State state, store.Read());
  if (store.StatusOf(state) == Status::kStopped) {
    return Wrong("read events of", id, "container not running");
  }
  ASSIGN_OR_RETURN(const std::string data, CgroupStatsJson(state.cgroup));
  return absl::StrCat("{\"type\":\"stats\",\"id\":", nlohmann::json(id).dump(),
                      ",\"data\":", data, "}\n");
}

absl::StatusOr<Process> ProcessOf(const Runtime& runtime,
                                  const std::string& id) {
  Store store(runtime.root, id);
  ASSIGN_OR_RETURN(const State state, store.Read());
  ASSIGN_OR_RETURN(const Spec spec, SpecOf(store, state));
  if (spec.process.has_value()) return *spec.process;
  Process process;
  process.cwd = "/";
  return process;
}

}  // namespace bulwark::engine::oci
