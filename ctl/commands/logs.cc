// ctl logs: what containers print.
#include "ctl/logs.h"

#include <map>
#include <memory>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "base/units.h"
#include "ctl/commands/commands.h"
#include "ctl/errors.h"
#include "ctl/log_cursor.h"
#include "ctl/log_printer.h"
#include "ctl/objects.h"
#include "ctl/print/text.h"
#include "ctl/watch.h"

namespace bulwark::ctl {

void LogPrinter::Print(const v1::LogLine& line) {
  std::string text;
  bool& open = open_[absl::StrCat(line.replica(), "/", line.container(),
                                  line.is_stderr() ? "!" : "")];
  // The rest of a line that was begun has no prefix of its own.
  if (!open) {
    if (timestamps_) absl::StrAppend(&text, Timestamp(line), " ");
    if (prefix_) absl::StrAppend(&text, Prefix(line));
  }
  open = line.partial();
  absl::StrAppend(&text, line.line(), line.partial() ? "" : "\n");
  if (line.is_stderr()) {
    io_.Err(text);
  } else {
    io_.Out(text);
  }
}

std::string LogPrinter::Timestamp(const v1::LogLine& line) {
  return absl::FormatTime("%Y-%m-%dT%H:%M:%E6SZ", ToTime(line.time()),
                          absl::UTCTimeZone());
}

std::string LogPrinter::Prefix(const v1::LogLine& line) {
  std::string name = line.replica();
  std::string& container = containers_[line.replica()];
  if (container.empty()) container = line.container();
  // The container's name matters from the second one on.
  if (container != line.container()) {
    absl::StrAppend(&name, "/", line.container());
  }
  width_ = std::max(width_, name.size());
  auto [color, added] =
      colors_.emplace(line.replica(), static_cast<int>(colors_.size() % 6) + 1);
  const std::string padded =
      absl::StrCat(name, std::string(width_ - name.size(), ' '), " | ");
  return io_.color() ? Colored(padded, color->second) : padded;
}

namespace {

// "10m" ago, or a time; in the flag's words if it is neither.
absl::Status ReadTime(Context& context, absl::string_view flag,
                      const std::string& text,
                      google::protobuf::Timestamp* out) {
  absl::Time time;
  absl::StatusOr<absl::Duration> ago = ParseDuration(text);
  if (ago.ok()) {
    time = context.clock.Now() - *ago;
  } else if (!absl::ParseTime(absl::RFC3339_full, text, &time, nullptr)) {
    return UsageError(absl::StrCat(flag, " ", text,
                                   ": a duration such as 10m or a time such as "
                                   "2030-01-31T12:00:00Z"));
  }
  const timespec spec = absl::ToTimespec(time);
  out->set_seconds(spec.tv_sec);
  out->set_nanos(static_cast<int32_t>(spec.tv_nsec));
  return absl::OkStatus();
}

absl::Status SetTimes(Context& context, const LogsFlags& flags,
                      v1::LogsRequest& request) {
  if (!flags.since.empty()) {
    RETURN_IF_ERROR(
        ReadTime(context, "--since", flags.since, request.mutable_since()));
  }
  if (!flags.until.empty()) {
    RETURN_IF_ERROR(
        ReadTime(context, "--until", flags.until, request.mutable_until()));
  }
  return absl::OkStatus();
}

// The object that the word names; a bare name is a service's, else a replica's,
// else a job's.
absl::StatusOr<v1::Object> FindTarget(Context& context,
                                      const std::string& word) {
  if (word.find('/') != std::string::npos) {
    ASSIGN_OR_RETURN(std::vector<Target> targets, ParseTargets({word}));
    return GetObject(context, *targets[0].kind, targets[0].name);
  }
  for (const char* kind : {"service", "replica", "job"}) {
    absl::StatusOr<v1::Object> object =
        GetObject(context, *manifest::FindKind(kind), word);
    if (object.status().code() != absl::StatusCode::kNotFound) return object;
  }
  return absl::NotFoundError(absl::StrCat(
      "read logs of ", word, ": no service, replica or job of project ",
      context.ProjectOrDefault(), " has this name"));
}

// Of a service that is stopped and has no replicas, says where its logs are.
void TellWhyEmpty(Context& context, const v1::Service& service) {
  ListOptions options;
  options.service = service.metadata().name();
  const absl::StatusOr<Listing> replicas =
      ListObjects(context, *manifest::FindKind("replica"), options);
  if (!replicas.ok() || !replicas->objects.empty()) return;
  bool files = false, journal = false;
  for (const v1::Container& container : service.spec().containers()) {
    const v1::Logging::Driver driver = container.log().driver();
    journal |= driver == v1::Logging::JOURNALD;
    files |= driver != v1::Logging::JOURNALD && driver != v1::Logging::NONE;
  }
  const std::string stopped =
      absl::StrCat(service.metadata().name(), " is stopped");
  if (files) {
    context.io.Err(FormatWarning(
        absl::StrCat(stopped,
                     "; the logs of its containers went with them. With log: "
                     "journald the host's journal keeps them")));
  } else if (journal) {
    context.io.Err(FormatWarning(
        absl::StrCat(stopped,
                     "; the host's journal has the logs of its containers: "
                     "journalctl CONTAINER_NAME=PROJECT/REPLICA/CONTAINER")));
  }
}

absl::Status SetTarget(Context& context, const v1::Object& object,
                       v1::LogsRequest& request) {
  request.set_project(context.ProjectOrDefault());
  if (object.has_replica()) {
    const v1::ReplicaSpec& spec = object.replica().spec();
    request.set_service(spec.job().empty() ? spec.service()
                                           : JobReference(spec.job()));
    request.set_replica(object.replica().metadata().name());
  } else if (object.has_service()) {
    request.set_service(object.service().metadata().name());
  } else if (object.has_job()) {
    request.set_service(JobReference(object.job().metadata().name()));
  } else {
    return UsageError(
        absl::StrCat("a ", manifest::KindOf(object)->api_name,
                     " has no logs; name a service, a job or a replica"));
  }
  return absl::OkStatus();
}

// Until the logs end, however often the daemon restarts; DEADLINE_EXCEEDED at
// `deadline`.
absl::Status Follow(Context& context, v1::LogsRequest request,
                    absl::Time deadline, LogPrinter& printer) {
  LogCursor cursor;
  while (true) {
    const absl::Status status = context.client().Logs(
        request,
        [&](const v1::LogLine& line) {
          if (cursor.Take(line)) printer.Print(line);
        },
        deadline);
    if (status.ok()) return status;
    RETURN_IF_ERROR(AwaitDaemon(context, status, deadline));
    cursor.Resume(request);
  }
}

}  // namespace

absl::StatusOr<int> PrintLogs(Context& context, const LogsFlags& flags) {
  v1::LogsRequest request;
  if (flags.previous && flags.follow) {
    return UsageError("--previous and -f do not go together: it has ended");
  }
  RETURN_IF_ERROR(SetTimes(context, flags, request));
  ASSIGN_OR_RETURN(const v1::Object object, FindTarget(context, flags.target));
  RETURN_IF_ERROR(SetTarget(context, object, request));
  request.set_container(flags.container);
  request.set_follow(flags.follow);
  request.set_previous(flags.previous);
  if (flags.tail >= 0) request.set_tail(flags.tail);
  // Where programs read it, a line is what the container printed.
  const bool prefix =
      flags.prefix || (context.io.out_tty() && request.replica().empty());
  LogPrinter printer(context.io, prefix, flags.timestamps);
  const absl::Time deadline =
      context.clock.Now() + context.Timeout(absl::InfiniteDuration());
  bool empty = true;
  auto print = [&](const v1::LogLine& line) {
    empty = false;
    printer.Print(line);
  };
  const absl::Status status =
      flags.follow ? Follow(context, request, deadline, printer)
                   : context.client().Logs(request, print, deadline);
  if (absl::IsDeadlineExceeded(status) && flags.follow) return kExitTimeout;
  if (absl::IsDeadlineExceeded(status)) {
    return WithRemedy(
        TimeoutError(absl::StrCat("read logs of ", flags.target,
                                  ": not all came in --timeout")),
        "give it more time, or ask for less with --tail or --since");
  }
  RETURN_IF_ERROR(status);
  if (!flags.follow && empty && object.service().spec().stopped()) {
    TellWhyEmpty(context, object.service());
  }
  return kExitOk;
}

void AddLogs(CLI::App& app, Context& context) {
  auto flags = std::make_shared<LogsFlags>();
  Command(app, context, "logs", "Print what a service's containers print")
      .Word("TARGET", flags->target, "A service, a job or a replica",
            Command::kRequired)
      .Flag("-f,--follow", flags->follow,
            "Go on with new lines and new replicas")
      .Option("--tail", flags->tail, "Only the last lines of each container")
      .Option("--since", flags->since, "Only since 10m, or since a time")
      .Option("--until", flags->until, "Only until 10m ago, or until a time")
      .Flag("--previous", flags->previous,
            "Of the last replica that has ended, in each slot")
      .Flag("-t,--timestamps", flags->timestamps, "Print the time of each line")
      .Option("-c,--container", flags->container, "Only this container")
      .Flag("--prefix", flags->prefix,
            "Name the replica of each line, also in a pipe")
      .Action([flags](Context& c) { return PrintLogs(c, *flags); });
}

}  // namespace bulwark::ctl
