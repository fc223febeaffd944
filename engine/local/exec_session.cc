// Processes that join a running container.
#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <optional>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "engine/child/wire.h"
#include "engine/isolators/isolators.h"
#include "engine/local/launcher.h"
#include "engine/local/shim_client.h"
#include "engine/shim/shim_fds.h"
#include "os/process.h"

namespace bulwark::engine {
namespace {

constexpr absl::Duration kExecTimeout = absl::Seconds(30);
constexpr absl::Duration kReplyTimeout = absl::Seconds(5);

class LocalExecSession final : public ExecSession {
 public:
  LocalExecSession(UniqueFd control, UniqueFd shim, Clock& clock)
      : control_(std::move(control)), shim_(std::move(shim)), clock_(clock) {}

  // Closing the control socket makes the shim kill the process.
  ~LocalExecSession() override {
    control_.Reset();
    if (!shim_.ok()) return;
    if (!os::AwaitEnd(shim_.get(), kReplyTimeout)) {
      os::SendSignal(shim_.get(), SIGKILL).IgnoreError();
      os::AwaitEnd(shim_.get(), kReplyTimeout);
    }
    os::ReapChild(shim_.get());
  }

  void SetStreams(UniqueFd input, UniqueFd output, UniqueFd error) {
    input_ = std::move(input);
    output_ = std::move(output);
    error_ = std::move(error);
  }
  // Nothing is killed or waited for any more.
  UniqueFd LeaveAlone() { return std::move(shim_); }
  void SetTerminal(UniqueFd master) {
    output_ = std::move(master);
    terminal_ = true;
  }

  int input() override { return terminal_ ? output_.get() : input_.get(); }
  int output() override { return output_.get(); }
  int error() override { return error_.get(); }
  // A terminal's input has no end of its own: the caller sends ^D.
  void CloseInput() override { input_.Reset(); }

  absl::Status Resize(int rows, int columns) override {
    if (!terminal_) {
      return absl::FailedPreconditionError(
          "resize terminal: the process has none");
    }
    return Request({child::kMsgResize,
                    {{child::kTagRows, static_cast<uint64_t>(rows)},
                     {child::kTagColumns, static_cast<uint64_t>(columns)}}});
  }
  absl::Status Signal(int signal) override {
    return Request({child::kMsgSignal,
                    {{child::kTagSignal, static_cast<uint64_t>(signal)}}});
  }

  absl::StatusOr<int> Wait() override {
    return WaitFor(absl::InfiniteDuration());
  }

  absl::StatusOr<int> WaitFor(absl::Duration timeout) override {
    const absl::Duration deadline = clock_.Steady() + timeout;
    while (!exit_code_.has_value()) {
      ASSIGN_OR_RETURN(const ShimMessage message,
                       ReadMessage(control_.get(), deadline - clock_.Steady(),
                                   clock_, nullptr));
      Note(message);
    }
    return *exit_code_;
  }

 private:
  void Note(const ShimMessage& message) {
    if (message.type == child::kMsgExited) {
      exit_code_ = static_cast<int>(message.Get(child::kTagCode));
    }
  }

  // The process may end before its shim answers.
  absl::Status Request(const ShimMessage& request) {
    if (!exit_code_.has_value()) {
      RETURN_IF_ERROR(SendMessage(control_.get(), request));
    }
    while (!exit_code_.has_value()) {
      ASSIGN_OR_RETURN(
          const ShimMessage reply,
          ReadMessage(control_.get(), kReplyTimeout, clock_, nullptr));
      Note(reply);
      if (reply.type != child::kMsgReply) continue;
      const int error = static_cast<int>(reply.Get(child::kTagErrno));
      return error == 0 ? absl::OkStatus()
                        : ErrnoStatus(error, "control", "process");
    }
    return absl::FailedPreconditionError("control process: it has exited");
  }

  UniqueFd control_;
  UniqueFd shim_;
  UniqueFd input_, output_, error_;
  bool terminal_ = false;
  std::optional<int> exit_code_;
  Clock& clock_;
};

// `added` replaces variables of the same name.
std::vector<std::string> MergeEnv(const std::vector<std::string>& base,
                                  const std::vector<std::string>& added) {
  const auto name = [](const std::string& entry) {
    return entry.substr(0, entry.find('='));
  };
  std::set<std::string> replaced;
  for (const std::string& entry : added) replaced.insert(name(entry));
  std::vector<std::string> result;
  for (const std::string& entry : base) {
    if (replaced.count(name(entry)) == 0) result.push_back(entry);
  }
  result.insert(result.end(), added.begin(), added.end());
  return result;
}

struct Pipe {
  UniqueFd reader, writer;
};
absl::StatusOr<Pipe> MakePipe() {
  int fds[2];
  if (pipe2(fds, O_CLOEXEC) != 0) return ErrnoStatus("make", "pipe");
  return Pipe{UniqueFd(fds[0]), UniqueFd(fds[1])};
}

}  // namespace

absl::StatusOr<std::unique_ptr<ExecSession>> Launcher::Exec(
    absl::string_view id, int init_pidfd, const ProcessRecord& inherited,
    const ExecSpec& spec, UniqueFd* alone) {
  ProcessInput process;
  process.args = spec.args;
  process.env = MergeEnv(inherited.env, spec.env);
  process.user = spec.user.empty() ? inherited.user : spec.user;
  process.cwd = spec.cwd.empty() ? inherited.cwd : spec.cwd;
  process.terminal = spec.terminal;
  process.size = spec.size;
  process.profile = inherited.profile;
  process.add_capabilities = inherited.add_capabilities;
  process.drop_capabilities = inherited.drop_capabilities;
  process.ids = inherited.ids;
  process.own_capabilities = own_capabilities_;
  process.max_open_files = max_open_files_;
  process.ulimits = inherited.ulimits;
  RETURN_IF_ERROR(ValidateProcess(process.args, process.env, process.cwd));
  ASSIGN_OR_RETURN(process.seccomp, Seccomp(inherited.profile));
  ASSIGN_OR_RETURN(const CompiledPlan plan,
                   CompileExec(process, cgroups_->Paths(id)));
  ASSIGN_OR_RETURN(const UniqueFd plan_fd, os::SealedBytes("plan", plan.bytes));
  int sockets[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets) != 0) {
    return ErrnoStatus("make", "control socket");
  }
  UniqueFd ours(sockets[0]);
  UniqueFd theirs(sockets[1]);
  Pipe in, out, err;
  UniqueFd nowhere;
  if (spec.detach) {
    nowhere.Reset(open("/dev/null", O_RDWR | O_CLOEXEC));
    if (!nowhere.ok()) return ErrnoStatus("open", "/dev/null");
  } else {
    ASSIGN_OR_RETURN(in, MakePipe());
    ASSIGN_OR_RETURN(out, MakePipe());
    ASSIGN_OR_RETURN(err, MakePipe());
  }

  os::SpawnOptions options;
  options.executable = shim_.get();
  options.args = {"bulwark-shim", "exec"};
  options.fds = {{plan_fd.get(), shim::kPlanFd},
                 {theirs.get(), shim::kStatusFd},
                 {init_pidfd, shim::kThirdFd}};
  if (spec.detach) {
    options.args.push_back("detached");
    for (int i = 0; i < 3; ++i) {
      options.fds.push_back({nowhere.get(), shim::kFirstStreamFd + i});
    }
  } else if (!spec.terminal) {
    options.fds.push_back({in.reader.get(), shim::kFirstStreamFd});
    options.fds.push_back({out.writer.get(), shim::kFirstStreamFd + 1});
    options.fds.push_back({err.writer.get(), shim::kFirstStreamFd + 2});
  }
  ASSIGN_OR_RETURN(os::Spawned spawned, os::Spawn(options));
  theirs.Reset();
  auto session = std::make_unique<LocalExecSession>(
      std::move(ours), std::move(spawned.pidfd), clock_);
  UniqueFd master;
  ASSIGN_OR_RETURN(const ShimMessage answer,
                   ReadMessage(sockets[0], kExecTimeout, clock_, &master));
  if (answer.type != child::kMsgLaunched) {
    return LaunchFailure(plan, answer.Get(child::kTagStep),
                         static_cast<int>(answer.Get(child::kTagErrno)));
  }
  if (spec.detach) {
    *alone = session->LeaveAlone();
  } else if (spec.terminal) {
    session->SetTerminal(std::move(master));
  } else {
    session->SetStreams(std::move(in.writer), std::move(out.reader),
                        std::move(err.reader));
  }
  return session;
}

}  // namespace bulwark::engine
