// ctl attach: the terminal of a running container.
#include "ctl/attach.h"

#include <signal.h>

#include <memory>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "base/status.h"
#include "ctl/commands/commands.h"
#include "ctl/errors.h"

namespace bulwark::ctl {
namespace {

struct Flags {
  std::string target;
  std::string container;
  std::string detach_keys = "ctrl-p,ctrl-q";
  bool no_stdin = false;
  bool no_signals = false;
};

absl::StatusOr<int> RunCommand(Context& context, const Flags& flags) {
  SignalPoll signals({SIGWINCH, SIGINT, SIGTERM, SIGQUIT, SIGHUP});
  AttachOptions options;
  ASSIGN_OR_RETURN(options.keys, DetachKeys::Parse(flags.detach_keys));
  options.start.set_project(context.ProjectOrDefault());
  absl::string_view target = flags.target;
  for (absl::string_view kind : {"service/", "svc/", "replica/"}) {
    if (absl::ConsumePrefix(&target, kind)) break;
  }
  options.start.set_target(std::string(target));
  options.start.set_container(flags.container);
  options.input = !flags.no_stdin;
  options.signals = !flags.no_signals;
  options.what = std::string(target);
  ASSIGN_OR_RETURN(const AttachEnd end,
                   RunAttach(context, signals, std::move(options)));
  if (end.exit) return ReportExit(context, std::string(target), *end.exit);
  if (end.detached) return kExitOk;
  return 130;
}

absl::StatusOr<int> Run(Context& context, const Flags& flags) {
  return OrNoStatus(RunCommand(context, flags));
}

}  // namespace

void AddAttach(CLI::App& app, Context& context) {
  auto flags = std::make_shared<Flags>();
  Command(app, context, "attach",
          "Connect the terminal to a running container: what it puts out from "
          "now on, and,\nif it was started with `stdin` or `tty`, its input. "
          "It runs on when one detaches\n"
          "Exit status: the container's, if it ends meanwhile; 0 after the "
          "detach keys;\n125: bulwarkd could not attach, or has gone")
      .Word("TARGET", flags->target,
            "A replica, or a service or job of which one replica runs",
            Command::kRequired)
      .Option("-c,--container", flags->container,
              "Default: the first main container")
      .Option("--detach-keys", flags->detach_keys,
              "ctrl-p,ctrl-q (default); empty: none")
      .Flag("--no-stdin", flags->no_stdin, "Only read")
      .Flag("--no-sig-proxy", flags->no_signals,
            "A signal ends ctl, and is not sent to the container")
      .Action([flags](Context& c) { return Run(c, *flags); });
}

}  // namespace bulwark::ctl
