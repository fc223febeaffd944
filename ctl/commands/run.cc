// ctl run: one container, now.
#include "ctl/run.h"

#include <signal.h>

#include <memory>
#include <optional>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "ctl/commands/commands.h"
#include "ctl/errors.h"
#include "ctl/objects.h"
#include "ctl/pull.h"
#include "ctl/references.h"
#include "ctl/wait.h"

namespace bulwark::ctl {
namespace {

constexpr absl::Duration kStartTimeout = absl::Minutes(2);

// Null: it is not here. What is an index is here for other platforms only.
absl::StatusOr<std::optional<v1::ImageInfo>> FindImage(
    Context& context, const std::string& image) {
  ASSIGN_OR_RETURN(v1::ListImagesResponse images,
                   context.client().ListImages());
  const std::string wanted = FullReference(image);
  for (v1::ImageInfo& info : *images.mutable_images()) {
    if (info.digest() == image) return std::move(info);
    for (const std::string& name : info.references()) {
      if (FullReference(name) == wanted) return std::move(info);
    }
  }
  return std::nullopt;
}

absl::Status PullIfMissing(Context& context, const RunFlags& flags) {
  std::optional<v1::ImageInfo> here;
  if (flags.pull != "always") {
    ASSIGN_OR_RETURN(here, FindImage(context, flags.image));
    if (here.has_value() && !here->is_index()) return absl::OkStatus();
  }
  if (flags.pull == "never" && here.has_value()) {
    return WithRemedy(
        absl::NotFoundError(absl::StrCat(
            "run ", flags.image, ": there is no image for this host's platform",
            "; available: ", here->platform())),
        "leave --pull never out, or use an image that is made for it");
  }
  if (flags.pull == "never") {
    return WithRemedy(
        absl::NotFoundError(absl::StrCat("run ", flags.image,
                                         ": the image is not on this host")),
        "leave --pull never out, or load or build the image");
  }
  v1::PullImageRequest request;
  request.set_reference(flags.image);
  return PullImage(context, request, false, nullptr);
}

// An existing object of that name is not ours to change.
absl::Status RefuseExisting(Context& context, absl::string_view kind,
                            const std::string& name) {
  const absl::StatusOr<v1::Object> object =
      GetObject(context, *manifest::FindKind(kind), name);
  if (absl::IsNotFound(object.status())) return absl::OkStatus();
  RETURN_IF_ERROR(object.status());
  const bool leaving = manifest::MetadataOf(*object).has_delete_time();
  return WithRemedy(absl::AlreadyExistsError(absl::StrCat(
                        "run ", name, ": the ", kind,
                        leaving ? " is still being deleted" : " exists")),
                    leaving
                        ? absl::StrCat("to wait for that: ctl delete ", kind,
                                       " ", name, " --wait")
                        : absl::StrCat("give another --name, or ctl delete ",
                                       kind, " ", name));
}

// Done once a replica runs, as docker run -d returns.
Judgement JudgeStarted(const v1::Object* object) {
  if (object == nullptr) return {Verdict::kFailed, "was deleted"};
  const v1::ServiceStatus& status = object->service().status();
  if (status.ready_replicas() > 0 || status.available_replicas() > 0) {
    return {Verdict::kDone, ""};
  }
  const std::string state = ServiceState(object->service());
  if (state == "CrashLoop" || state == "RolledBack") {
    return {Verdict::kFailed,
            absl::StrCat(state, ": ", ServiceMessage(object->service()))};
  }
  return {Verdict::kWaiting, ""};
}

// The server's warnings speak of manifests.
void WarnOfPorts(Context& context, const RunFlags& flags,
                 const v1::Service& service) {
  for (int i = 0; i < service.spec().ports_size(); ++i) {
    const v1::Port& port = service.spec().ports(i);
    if (port.host_port() == 0 ||
        port.listen() != v1::Port::LISTEN_UNSPECIFIED) {
      continue;
    }
    context.io.Err(absl::StrCat(
        "warning: port ", port.host_port(), " listens on localhost only; -p ",
        "all:", flags.ports[i], " opens it to other hosts\n"));
  }
}

// Ends with what a shell would say if the command is why nothing started.
absl::Status AwaitStart(Context& context, const v1::Service& service) {
  const v1::Metadata& metadata = service.metadata();
  const absl::Status started = WaitFor(
      context, *manifest::FindKind("service"), metadata.project(),
      metadata.name(), context.clock.Now() + context.Timeout(kStartTimeout),
      true, JudgeStarted);
  if (started.ok()) return started;
  ListOptions options;
  options.service = metadata.name();
  const absl::StatusOr<Listing> replicas =
      ListObjects(context, *manifest::FindKind("replica"), options);
  if (!replicas.ok()) return started;
  for (const v1::Object& object : replicas->objects) {
    const std::optional<int> code = LaunchCodeOf(object.replica());
    if (code.has_value()) return WithExitCode(started, *code);
  }
  return started;
}

// With -i or -t.
absl::StatusOr<int> RunJob(Context& context, const RunFlags& flags) {
  SignalPoll signals({SIGWINCH, SIGINT, SIGTERM, SIGQUIT, SIGHUP});
  if (flags.terminal && flags.interactive && !flags.detach &&
      !context.io.in_tty()) {
    return UsageError(
        "-t needs a terminal on standard input; for a pipe -i "
        "alone is right");
  }
  ASSIGN_OR_RETURN(const v1::Job job, JobFromFlags(context, flags));
  RETURN_IF_ERROR(RefuseExisting(context, "job", job.metadata().name()));
  RETURN_IF_ERROR(PullIfMissing(context, flags));
  // A Ctrl-C during the pull ends here, with nothing made.
  for (int signal = signals.Take(); signal != 0; signal = signals.Take()) {
    if (signal != SIGWINCH) return 130;
  }
  v1::ApplyRequest request;
  *request.add_objects()->mutable_job() = job;
  const absl::StatusOr<v1::ApplyResponse> response =
      context.client().Apply(request);
  if (!response.ok()) return InWordsOfFlags(response.status(), flags);
  return FollowJob(context, job, signals, flags);
}

absl::StatusOr<int> RunService(Context& context, const RunFlags& flags) {
  // Before the first call, so that gRPC's threads do not take the signals.
  SignalPoll signals({SIGINT, SIGTERM});
  ASSIGN_OR_RETURN(v1::Service service, ServiceFromFlags(context, flags));
  RETURN_IF_ERROR(
      RefuseExisting(context, "service", service.metadata().name()));
  RETURN_IF_ERROR(PullIfMissing(context, flags));
  // A Ctrl-C during the pull ends here, with nothing made.
  if (signals.Take() != 0) return 130;
  v1::ApplyRequest request;
  *request.add_objects()->mutable_service() = service;
  absl::StatusOr<v1::ApplyResponse> response = context.client().Apply(request);
  if (!response.ok()) return InWordsOfFlags(response.status(), flags);
  WarnOfPorts(context, flags, service);
  for (const v1::ApplyResult& result : response->results()) {
    if (result.object().has_service()) service = result.object().service();
  }
  if (!flags.detach) {
    return FollowRun(context, service, signals, flags.keep);
  }
  RETURN_IF_ERROR(AwaitStart(context, service));
  context.io.Out(absl::StrCat(service.metadata().name(), "\n"));
  return kExitOk;
}

absl::StatusOr<int> Run(Context& context, const RunFlags& flags) {
  return OrNoStatus(flags.interactive || flags.terminal
                        ? RunJob(context, flags)
                        : RunService(context, flags));
}

}  // namespace

void AddRun(CLI::App& app, Context& context) {
  auto flags = std::make_shared<RunFlags>();
  Command command(
      app, context, "run",
      "Run one container: run [FLAGS] IMAGE [ARG…]. It ends with Ctrl-C, "
      "and is removed then\n"
      "Exit status: the command's; 127: it is not in the image, 126: it is "
      "no program,\n125: something else went wrong: it did not run, or nobody "
      "saw it end");
  command.Word("IMAGE", flags->image, "The image", Command::kRequired)
      .Option("-p,--publish", flags->ports,
              "8080:80, all:8080:80, 8080:80/udp (repeatable)")
      .Option("-e,--env", flags->env, "NAME=value, or NAME (repeatable)")
      .Option("--env-file", flags->env_files, "NAME=value lines")
      .Option("-v,--volume", flags->volumes,
              "volume:/path or ./folder:/path[:ro] (repeatable)")
      .Option("-l,--label", flags->labels, "KEY=VALUE (repeatable)")
      .Option("--name", flags->name, "Default: from the image's name")
      .Option("--entrypoint", flags->entrypoint, "Instead of the image's")
      .Option("-u,--user", flags->user, "User, uid or uid:gid")
      .Option("-w,--workdir", flags->working_dir, "Directory to start in")
      .Option("--cpus", flags->cpus, "0.5, 500m")
      .Option("-m,--memory", flags->memory, "256Mi")
      .Option("--network", flags->network, "Default: default")
      .Option("--restart", flags->restart,
              "always, on-failure, never; default always with -d, else never")
      .Option("--pull", flags->pull, "missing (default), always, never")
      .Flag("-d,--detach", flags->detach,
            "Return when it runs; ctl delete service removes it")
      .Flag("--rm", flags->remove, "Remove it when it ended (the default)")
      .Flag("--keep", flags->keep, "Keep the service when it ended by itself")
      .Flag("--read-only", flags->read_only, "No writes to its file system")
      .Flag("-i,--interactive", flags->interactive,
            "Send standard input: as a job of one execution, without -p")
      .Flag("-t,--tty", flags->terminal,
            "Give it a terminal; as a job of one execution, without -p")
      .Option("--detach-keys", flags->detach_keys,
              "With -it: ctrl-p,ctrl-q (default); empty: none")
      .Flag("--privileged", flags->privileged, "The privileged profile");
  AddGivenFlags(command, flags->given);
  command.Tail(flags->command, false).Action([flags](Context& c) {
    return Run(c, *flags);
  });
}

}  // namespace bulwark::ctl
