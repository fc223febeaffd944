// `exec`: another process in a running container.
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "engine/oci/compile.h"
#include "engine/oci/config/names.h"
#include "engine/oci/config/parse.h"
#include "engine/oci/console.h"
#include "engine/oci/container.h"
#include "engine/oci/launching.h"
#include "engine/oci/listener.h"
#include "os/files.h"
#include "os/process.h"

namespace bulwark::engine::oci {
namespace {

constexpr absl::Duration kStepTimeout = absl::Minutes(2);
constexpr absl::Duration kKillTimeout = absl::Seconds(10);
constexpr absl::Duration kListenerTimeout = absl::Seconds(5);

// The kinds of which the process is in another one than we are.
absl::StatusOr<uint64_t> NamespacesApart(int pid) {
  uint64_t apart = 0;
  for (const std::string& name : NamespaceNames()) {
    const uint64_t flag = *NamespaceFlag(name);
    struct stat theirs, ours;
    const std::string path =
        absl::StrCat("/proc/", pid, "/ns/", NamespaceFile(flag));
    if (stat(path.c_str(), &theirs) != 0) {
      if (errno == ENOENT) continue;  // not of this kernel
      return ErrnoStatus("look at", path);
    }
    const std::string self =
        absl::StrCat("/proc/self/ns/", NamespaceFile(flag));
    if (stat(self.c_str(), &ours) == 0 && ours.st_ino != theirs.st_ino) {
      apart |= flag;
    }
  }
  return apart;
}

struct Joined {
  State state;
  Spec spec;
  CompiledPlan plan;
  UniqueFd init;
};

absl::StatusOr<Joined> PlanExec(const Runtime& runtime,
                                const ExecOptions& options) {
  Store store(runtime.root, options.id);
  Joined joined;
  ASSIGN_OR_RETURN(joined.state, store.Read());
  const State& state = joined.state;
  const Status status = store.StatusOf(state);
  const bool runs = status == Status::kRunning || status == Status::kCreated ||
                    (status == Status::kPaused && options.ignore_paused);
  if (!runs) {
    return absl::FailedPreconditionError(
        absl::StrCat("exec in container \"", options.id, "\": ",
                     status == Status::kPaused
                         ? "it is paused; resume it, or use --ignore-paused"
                         : "container not running"));
  }
  ASSIGN_OR_RETURN(joined.init, os::OpenPidfd(state.init));
  ASSIGN_OR_RETURN(const std::string config, store.ReadConfig());
  ASSIGN_OR_RETURN(joined.spec, ParseSpec(config, state.bundle));
  const Spec& spec = joined.spec;
  SeccompProgram seccomp;
  if (spec.linux_.seccomp.has_value()) {
    ASSIGN_OR_RETURN(seccomp, CompileSeccomp(*spec.linux_.seccomp));
  }
  RETURN_IF_ERROR(CheckHost(options.process));
  ASSIGN_OR_RETURN(const uint64_t namespaces, NamespacesApart(state.init.pid));
  ASSIGN_OR_RETURN(joined.plan,
                   CompileExec(options.process, {namespaces, state.cgroup,
                                                 seccomp, OwnCapabilities()}));
  return joined;
}

// Until the program runs: its pidfd, and its terminal if nobody else got it.
struct Running {
  os::ProcessRef process;
  UniqueFd pidfd;
  UniqueFd terminal;
};

absl::Status Ready(const ExecOptions& options, int console, LaunchEvent event,
                   Running& running) {
  if (options.process.terminal) {
    if (!event.terminal.ok()) {
      return absl::InternalError("exec: the terminal did not come");
    }
    SetConsoleSize(event.terminal.get(), options.process.console_rows,
                   options.process.console_columns);
    if (console >= 0) {
      RETURN_IF_ERROR(SendConsole(console, event.terminal.get()));
    } else {
      running.terminal = std::move(event.terminal);
    }
  }
  return WritePidFile(options.pid_file, running.process.pid);
}

absl::Status Launch(const Runtime& runtime, const ExecOptions& options,
                    const Joined& joined, int console, Launching launching,
                    Running& running) {
  RETURN_IF_ERROR(launching.Launch(joined.plan, joined.init.get()));
  for (;;) {
    ASSIGN_OR_RETURN(LaunchEvent event, launching.Next(kStepTimeout));
    if (event.kind == LaunchEvent::Kind::kExecuted) return absl::OkStatus();
    if (event.kind == LaunchEvent::Kind::kProcess) {
      running.process.pid = launching.pid();
      ASSIGN_OR_RETURN(running.process.start_ticks,
                       os::ReadStartTicks(running.process.pid));
      ASSIGN_OR_RETURN(running.pidfd, os::OpenPidfd(running.process));
      continue;
    }
    const uint64_t address = event.address;
    const bool ready = event.point == child::kSyncReady;
    if (ready) {
      RETURN_IF_ERROR(Ready(options, console, std::move(event), running));
    }
    RETURN_IF_ERROR(launching.Continue());
    if (ready && HasListener(joined.spec)) {
      RETURN_IF_ERROR(HandOverListener(
          running.process, address, *joined.spec.linux_.seccomp, joined.state,
          Status::kRunning, kListenerTimeout, runtime.clock));
    }
  }
}

// Its program runs, or nothing is left of it.
absl::StatusOr<Running> StartProcess(const Runtime& runtime,
                                     const ExecOptions& options,
                                     const UniqueFd& console) {
  ASSIGN_OR_RETURN(Launching launching,
                   Launching::Begin({options.preserve_fds, options.input}));
  ASSIGN_OR_RETURN(const Joined joined, PlanExec(runtime, options));
  Running running;
  const absl::Status launched =
      Launch(runtime, options, joined, console.ok() ? console.get() : -1,
             std::move(launching), running);
  if (launched.ok()) return running;
  if (running.pidfd.ok()) {
    os::SendSignal(running.pidfd.get(), SIGKILL).IgnoreError();
    os::AwaitEnd(running.pidfd.get(), kKillTimeout);
    os::ReapChild(running.pidfd.get());
  }
  if (!options.pid_file.empty()) unlink(options.pid_file.c_str());
  return launched;
}

absl::Status RunStartHook(const Runtime& runtime, const std::string& id,
                          const Process& process, const Hook& hook,
                          const std::string& state, const std::string& what) {
  ASSIGN_OR_RETURN(const UniqueFd input, os::SealedBytes("state", state));
  if (lseek(input.get(), 0, SEEK_SET) != 0) return ErrnoStatus("read", "state");
  ExecOptions options;
  options.id = id;
  options.process = process;
  options.process.terminal = false;
  options.process.cwd = "/";
  options.process.args = hook.args;
  options.process.args[0] = hook.path;
  options.process.env = hook.env;
  options.input = input.get();
  const absl::StatusOr<Running> running =
      StartProcess(runtime, options, UniqueFd());
  if (!running.ok()) return Annotate(running.status(), what);
  const bool in_time = os::AwaitEnd(running->pidfd.get(),
                                    hook.timeout_seconds == 0
                                        ? absl::InfiniteDuration()
                                        : absl::Seconds(hook.timeout_seconds));
  if (!in_time) {
    os::SendSignal(running->pidfd.get(), SIGKILL).IgnoreError();
  }
  ASSIGN_OR_RETURN(const int code, Attend(running->pidfd.get(), -1));
  if (!in_time) {
    return absl::DeadlineExceededError(absl::StrCat(
        what, ": did not end within ", hook.timeout_seconds, " s"));
  }
  if (code == 0) return absl::OkStatus();
  return absl::FailedPreconditionError(
      absl::StrCat(what, ": exit status ", code));
}

}  // namespace

absl::Status RunStartHooks(const Runtime& runtime, const std::string& id,
                           const Spec& spec, const std::string& state) {
  const std::vector<Hook>& hooks = spec.hooks.start_container;
  for (size_t i = 0; i < hooks.size(); ++i) {
    RETURN_IF_ERROR(RunStartHook(
        runtime, id, *spec.process, hooks[i], state,
        absl::StrCat("run hook startContainer[", i, "] ", hooks[i].path)));
  }
  return absl::OkStatus();
}

absl::StatusOr<int> Exec(const Runtime& runtime, const ExecOptions& options) {
  UniqueFd console;
  if (!options.console_socket.empty()) {
    ASSIGN_OR_RETURN(console, ConnectUnix(options.console_socket));
  } else if (options.process.terminal && options.detach) {
    return absl::InvalidArgumentError(
        "exec: a terminal with --detach needs --console-socket");
  }
  ASSIGN_OR_RETURN(const Running running,
                   StartProcess(runtime, options, console));
  if (options.detach) return 0;
  return Attend(running.pidfd.get(),
                running.terminal.ok() ? running.terminal.get() : -1);
}

}  // namespace bulwark::engine::oci
