// ctl pause, unpause, kill, processes, inspect: one container that runs.
#include <memory>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "base/status.h"
#include "ctl/commands/commands.h"
#include "ctl/container_calls.h"
#include "ctl/errors.h"
#include "ctl/image_calls.h"
#include "ctl/print/table.h"
#include "ctl/print/text.h"
#include "google/protobuf/util/json_util.h"

namespace bulwark::ctl {
namespace {

struct Flags {
  std::vector<std::string> targets;
  std::string container;
  std::string signal = "KILL";
};

template <typename Request>
Request For(Context& context, const std::string& target,
            const std::string& container) {
  Request request;
  request.set_project(context.ProjectOrDefault());
  absl::string_view name = target;
  for (absl::string_view kind : {"service/", "svc/", "replica/"}) {
    if (absl::ConsumePrefix(&name, kind)) break;
  }
  request.set_target(std::string(name));
  request.set_container(container);
  return request;
}

// Calls for each target, and says which are done.
template <typename Request>
absl::StatusOr<int> Each(Context& context, const Flags& flags,
                         absl::Status (*call)(Client&, const Request&),
                         const char* done) {
  for (const std::string& target : flags.targets) {
    RETURN_IF_ERROR(
        call(context.client(), For<Request>(context, target, flags.container)));
    context.io.Out(absl::StrCat(target, " ", done, "\n"));
  }
  return kExitOk;
}

absl::StatusOr<int> Kill(Context& context, const Flags& flags) {
  for (const std::string& target : flags.targets) {
    auto request = For<v1::SignalRequest>(context, target, flags.container);
    request.set_signal(flags.signal);
    RETURN_IF_ERROR(Signal(context.client(), request));
    context.io.Out(absl::StrCat(target, " signalled\n"));
  }
  return kExitOk;
}

absl::StatusOr<int> List(Context& context, const Flags& flags) {
  ASSIGN_OR_RETURN(const v1::ProcessesResponse response,
                   Processes(context.client(),
                             For<v1::ProcessesRequest>(
                                 context, flags.targets[0], flags.container)));
  Table table(
      {"PID", "INSIDE", "USER", "STATE", "CPU", "MEMORY", "AGE", "COMMAND"},
      context.io.color());
  for (const v1::Process& p : response.processes()) {
    table.Add({absl::StrCat(p.pid()),
               p.container_pid() == 0 ? "" : absl::StrCat(p.container_pid()),
               p.user().empty() ? absl::StrCat(p.uid()) : p.user(), p.state(),
               absl::StrCat(p.cpu_usec() / 1000000, ".",
                            p.cpu_usec() / 100000 % 10, "s"),
               HumanSize(p.memory_bytes()),
               Age(p.start_time(), context.clock.Now()),
               absl::StrJoin(p.command(), " ")});
  }
  context.io.Out(table.Take());
  return kExitOk;
}

absl::StatusOr<int> Show(Context& context, const Flags& flags) {
  for (const std::string& target : flags.targets) {
    const absl::StatusOr<v1::InspectResponse> response =
        Inspect(context.client(),
                For<v1::InspectRequest>(context, target, flags.container));
    if (absl::IsNotFound(response.status()) ||
        absl::IsInvalidArgument(response.status())) {
      // What is no container may be an image, as with docker.
      v1::InspectImageRequest request;
      request.set_reference(target);
      const absl::StatusOr<v1::InspectImageResponse> image =
          InspectImage(context.client(), request);
      if (image.ok()) {
        context.io.Out(FormatInspectedImage(*image));
        continue;
      }
    }
    RETURN_IF_ERROR(response.status());
    google::protobuf::util::JsonPrintOptions options;
    options.add_whitespace = true;
    std::string text;
    const auto status =
        google::protobuf::util::MessageToJsonString(*response, &text, options);
    if (!status.ok()) {
      return absl::InternalError(
          absl::StrCat("print ", target, ": ", status.ToString()));
    }
    context.io.Out(text);
  }
  return kExitOk;
}

constexpr char kTargets[] =
    "A replica, or a service or job of which one replica runs";
constexpr char kContainer[] = "Default: the first main container";

}  // namespace

void AddContainer(CLI::App& app, Context& context) {
  auto flags = std::make_shared<Flags>();
  Command(app, context, "pause",
          "Freeze every process of containers. Probes wait, and a replica that "
          "is paused gets\nno connections; `stop` and `kill` end the pause")
      .Words("TARGET", flags->targets, kTargets, Command::kRequired)
      .Option("-c,--container", flags->container, kContainer)
      .Action([flags](Context& c) { return Each(c, *flags, Pause, "paused"); });
  flags = std::make_shared<Flags>();
  Command(app, context, "unpause", "Let paused containers go on")
      .Words("TARGET", flags->targets, kTargets, Command::kRequired)
      .Option("-c,--container", flags->container, kContainer)
      .Action([flags](Context& c) {
        return Each(c, *flags, Unpause, "runs again");
      });
  flags = std::make_shared<Flags>();
  Command(app, context, "kill",
          "Send a signal to the first process of containers. What a service "
          "has lost by it is\nstarted again")
      .Words("TARGET", flags->targets, kTargets, Command::kRequired)
      .Option("-s,--signal", flags->signal, "KILL (default), HUP, SIGHUP, 1")
      .Option("-c,--container", flags->container, kContainer)
      .Action([flags](Context& c) { return Kill(c, *flags); });
  flags = std::make_shared<Flags>();
  Command(app, context, "processes", "List the processes of a container")
      .Words("TARGET", flags->targets,
             "A replica, or a service or job (its first ready one)",
             Command::kRequired)
      .Option("-c,--container", flags->container, kContainer)
      .Action([flags](Context& c) -> absl::StatusOr<int> {
        if (flags->targets.size() != 1) {
          return UsageError("processes: give one container");
        }
        return List(c, *flags);
      });
  flags = std::make_shared<Flags>();
  Command(app, context, "inspect",
          "Print everything that is known of containers, or of images, as "
          "JSON")
      .Words("TARGET", flags->targets,
             "A replica, a service or job (its first ready one), or an image",
             Command::kRequired)
      .Option("-c,--container", flags->container, kContainer)
      .Action([flags](Context& c) { return Show(c, *flags); });
}

}  // namespace bulwark::ctl
