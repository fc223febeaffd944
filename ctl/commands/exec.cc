// ctl exec: a command in a running container.
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <cerrno>
#include <memory>
#include <optional>
#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "base/status.h"
#include "ctl/attach.h"
#include "ctl/commands/commands.h"
#include "ctl/errors.h"
#include "ctl/terminal.h"

namespace bulwark::ctl {
namespace {

struct Flags {
  std::string target;
  std::string container;
  std::string user;
  std::string working_dir;
  std::vector<std::string> env;
  std::vector<std::string> command;
  bool interactive = false;
  bool terminal = false;
  bool detach = false;
  std::string detach_keys = "ctrl-p,ctrl-q";
};

v1::ExecRequest Resize(const Io& io) {
  v1::ExecRequest request;
  request.mutable_resize()->set_rows(io.rows());
  request.mutable_resize()->set_columns(io.columns());
  return request;
}

// Sends input, new sizes and signals until woken. The only sender.
class Sender {
 public:
  Sender(const Io& io, Client& client, ExecStream& stream, SignalPoll& signals,
         WakePipe& wake, DetachKeys keys, bool interactive, bool terminal)
      : io_(io),
        client_(client),
        stream_(stream),
        signals_(signals),
        wake_(wake),
        keys_(std::move(keys)),
        input_(interactive),
        terminal_(terminal) {}

  void Run() {
    if (!input_) Close();
    while (true) {
      pollfd fds[3] = {{wake_.fd(), POLLIN, 0},
                       {signals_.fd(), POLLIN, 0},
                       {input_ ? io_.in_fd() : -1, POLLIN, 0}};
      if (poll(fds, 3, -1) < 0 && errno != EINTR) return;
      if (fds[0].revents != 0) return;
      if (fds[1].revents != 0 && !OnSignal()) return;
      if (fds[2].revents != 0 && !OnInput()) return;
    }
  }

  // Of a command that was left, not of one that has ended.
  bool detached() const { return keys_.detached(); }

 private:
  bool Close() {
    input_ = false;
    v1::ExecRequest request;
    request.set_close_input(true);
    return stream_.Send(request);
  }

  bool OnSignal() {
    const int signal = signals_.Take();
    if (signal == 0) return true;
    if (signal == SIGWINCH) return !terminal_ || stream_.Send(Resize(io_));
    // Of a command that ignores it, or a daemon that does not answer, the
    // second one takes its leave.
    if (signal != SIGQUIT && ++asked_ > 1) {
      client_.CancelStreams();
      return false;
    }
    v1::ExecRequest request;
    request.set_signal(signal);
    return stream_.Send(request);
  }

  bool OnInput() {
    char buffer[16384];
    const ssize_t n = read(io_.in_fd(), buffer, sizeof(buffer));
    if (n < 0 && (errno == EINTR || errno == EAGAIN)) return true;
    if (n <= 0) return Close();
    std::string typed(buffer, static_cast<size_t>(n));
    if (terminal_) typed = keys_.Take(typed);
    v1::ExecRequest request;
    if (!typed.empty()) {
      request.set_input(std::move(typed));
      if (!stream_.Send(request)) return false;
    }
    if (!keys_.detached()) return true;
    request.set_detach(true);
    stream_.Send(request);
    return false;
  }

  const Io& io_;
  Client& client_;
  ExecStream& stream_;
  SignalPoll& signals_;
  WakePipe& wake_;
  DetachKeys keys_;
  bool input_;
  const bool terminal_;
  int asked_ = 0;
};

// Prints output until the end; the exit code, if there was one.
std::optional<int> PrintOutput(Io& io, ExecStream& stream) {
  std::optional<int> code;
  v1::ExecResponse response;
  while (stream.Read(response)) {
    switch (response.response_case()) {
      case v1::ExecResponse::kOutput:
        io.Out(response.output());
        break;
      case v1::ExecResponse::kError:
        io.Err(response.error());
        break;
      case v1::ExecResponse::kExitCode:
        code = response.exit_code();
        break;
      default:
        break;
    }
  }
  return code;
}

absl::StatusOr<int> RunCommand(Context& context, const Flags& flags) {
  if (flags.command.empty()) {
    return UsageError("give a command: ctl exec TARGET COMMAND…");
  }
  Io& io = context.io;
  if (flags.detach && (flags.terminal || flags.interactive)) {
    return UsageError(
        "-d leaves the command alone, without a terminal and input: it does "
        "not go with -i and -t");
  }
  if (flags.terminal && !io.in_tty()) {
    return UsageError("-t needs a terminal on standard input");
  }
  ASSIGN_OR_RETURN(DetachKeys keys, DetachKeys::Parse(flags.detach_keys));
  SignalPoll signals({SIGWINCH, SIGINT, SIGTERM, SIGQUIT, SIGHUP});
  v1::ExecRequest first;
  v1::ExecStart& start = *first.mutable_start();
  start.set_project(context.ProjectOrDefault());
  absl::string_view target = flags.target;
  for (absl::string_view kind : {"service/", "svc/", "replica/"}) {
    if (absl::ConsumePrefix(&target, kind)) break;
  }
  start.set_target(std::string(target));
  start.set_container(flags.container);
  start.set_user(flags.user);
  start.set_working_dir(flags.working_dir);
  start.set_terminal(flags.terminal);
  start.set_detach(flags.detach);
  for (const std::string& word : flags.command) start.add_command(word);
  for (const std::string& env : flags.env) start.add_env(env);
  if (flags.terminal) {
    *start.mutable_size() = Resize(io).resize();
    if (auto term = context.environment("TERM")) {
      start.add_env(absl::StrCat("TERM=", *term));
    }
  }
  std::unique_ptr<ExecStream> stream = context.client().Exec();
  // A stream that is broken already says why when it ends.
  stream->Send(first);
  std::optional<RawTerminal> raw;
  if (flags.terminal) raw.emplace(io.in_fd());
  WakePipe wake;
  Sender sender(io, context.client(), *stream, signals, wake, std::move(keys),
                flags.interactive, flags.terminal);
  std::thread sending([&] { sender.Run(); });
  const std::optional<int> code = PrintOutput(io, *stream);
  wake.Wake();
  sending.join();
  raw.reset();
  const absl::Status status = stream->Finish();
  // A command that could not be started has both: 126 or 127, and why.
  if (code && status.code() == absl::StatusCode::kInvalidArgument) {
    return WithExitCode(status, *code);
  }
  if (code) return *code;
  if (!status.ok()) return status;
  if (flags.detach) return kExitOk;
  if (sender.detached()) {
    io.Err("\r\ndetached; the command goes on\n");
    return kExitOk;
  }
  return absl::UnavailableError(
      absl::StrCat("exec in ", target, ": the stream ended without a status"));
}

absl::StatusOr<int> Run(Context& context, const Flags& flags) {
  return OrNoStatus(RunCommand(context, flags));
}

}  // namespace

void AddExec(CLI::App& app, Context& context) {
  auto flags = std::make_shared<Flags>();
  Command(app, context, "exec",
          "Run a command in a container: exec [FLAGS] TARGET COMMAND…\n"
          "Exit status: the command's; 127: it is not there, 126: it is no "
          "program,\n125: bulwarkd could not run it")
      .Word("TARGET", flags->target,
            "A service (its lowest ready slot) or a "
            "replica",
            Command::kRequired)
      .Flag("-i,--interactive", flags->interactive, "Send standard input")
      .Flag("-t,--tty", flags->terminal, "Give the command a terminal")
      .Flag("-d,--detach", flags->detach,
            "Leave it running without its output, once it has been started")
      .Option("--detach-keys", flags->detach_keys,
              "What leaves the command running, typed on a terminal (-t); "
              "ctrl-p,ctrl-q\nunless given; empty: nothing does")
      .Option("-c,--container", flags->container,
              "Default: the first main container")
      .Option("-e,--env", flags->env, "NAME=value (repeatable)")
      .Option("-u,--user", flags->user, "User, uid or uid:gid")
      .Option("-w,--workdir", flags->working_dir, "Directory to start in")
      .Tail(flags->command, true)
      .Action([flags](Context& c) { return Run(c, *flags); });
}

}  // namespace bulwark::ctl
