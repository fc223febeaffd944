// ctl job: jobs and cron jobs.
#include <algorithm>
#include <iterator>
#include <memory>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "ctl/commands/commands.h"
#include "ctl/describe.h"
#include "ctl/errors.h"
#include "ctl/logs.h"
#include "ctl/objects.h"
#include "ctl/print/table.h"
#include "ctl/print/text.h"
#include "ctl/wait.h"

namespace bulwark::ctl {
namespace {

constexpr absl::Duration kDefaultWait = absl::Minutes(5);

struct Flags {
  std::vector<std::string> words;
  std::string word;
  std::string output;
  LogsFlags logs;
  bool all_projects = false;
  bool wait = false;
};

// The job or cron job that the word names: job/NAME, cron-job/NAME, or a name
// that is looked for among both, jobs first.
absl::StatusOr<v1::Object> Find(Context& context, const std::string& word) {
  if (absl::StrContains(word, '/')) {
    ASSIGN_OR_RETURN(std::vector<Target> targets, ParseTargets({word}));
    const std::string& kind = targets[0].kind->api_name;
    if (kind != "job" && kind != "cron-job") {
      return UsageError(absl::StrCat("\"", word, "\" is no job"));
    }
    return GetObject(context, *targets[0].kind, targets[0].name);
  }
  for (const char* kind : {"job", "cron-job"}) {
    absl::StatusOr<v1::Object> object =
        GetObject(context, *manifest::FindKind(kind), word);
    if (object.status().code() != absl::StatusCode::kNotFound) return object;
  }
  return absl::NotFoundError(
      absl::StrCat("find job ", word, ": no job or cron job of project ",
                   context.ProjectOrDefault(), " has this name"));
}

absl::StatusOr<int> List(Context& context, const Flags& flags) {
  ASSIGN_OR_RETURN(const OutputForm form, ParseOutputForm(flags.output));
  ListOptions options;
  options.all_projects = flags.all_projects;
  const TableForm columns{.wide = form == OutputForm::kWide,
                          .projects = flags.all_projects};
  std::vector<v1::Object> objects;
  std::string out;
  for (const char* word : {"cron-job", "job"}) {
    const manifest::Kind& kind = *manifest::FindKind(word);
    ASSIGN_OR_RETURN(Listing listing, ListObjects(context, kind, options));
    if (listing.objects.empty()) continue;
    if (!IsTable(form)) {
      std::move(listing.objects.begin(), listing.objects.end(),
                std::back_inserter(objects));
      continue;
    }
    Table table(HeaderOf(kind, columns), context.io.color());
    for (const v1::Object& object : listing.objects) {
      table.Add(RowOf(object, columns, context.clock.Now()));
    }
    if (!out.empty()) out += "\n";
    out += table.Take();
  }
  if (!IsTable(form)) {
    PrintObjects(context, objects, form, false);
    return kExitOk;
  }
  if (out.empty()) context.io.Err("no jobs\n");
  context.io.Out(out);
  return kExitOk;
}

absl::StatusOr<int> Describe(Context& context, const Flags& flags) {
  ASSIGN_OR_RETURN(const OutputForm form, ParseObjectForm(flags.output));
  std::vector<v1::Object> objects;
  for (size_t i = 0; i < flags.words.size(); ++i) {
    ASSIGN_OR_RETURN(v1::Object object, Find(context, flags.words[i]));
    if (form != OutputForm::kTable) {
      objects.push_back(std::move(object));
      continue;
    }
    if (i > 0) context.io.Out("\n");
    RETURN_IF_ERROR(DescribeObject(context, object));
  }
  if (!objects.empty()) {
    PrintObjects(context, objects, form, objects.size() == 1);
  }
  return kExitOk;
}

// Of a cron job the newest job's.
absl::StatusOr<int> Logs(Context& context, const Flags& flags) {
  ASSIGN_OR_RETURN(v1::Object object, Find(context, flags.logs.target));
  if (object.has_cron_job()) {
    const v1::Metadata cron_job = object.cron_job().metadata();
    ASSIGN_OR_RETURN(Listing listing,
                     ListObjects(context, *manifest::FindKind("job"), {}));
    bool found = false;
    for (const v1::Object& each : listing.objects) {
      const v1::Metadata& job = each.job().metadata();
      if (job.owner().uid() != cron_job.uid()) continue;
      if (found && ToTime(job.create_time()) <
                       ToTime(object.job().metadata().create_time())) {
        continue;
      }
      object = each;
      found = true;
    }
    if (!found) {
      return absl::NotFoundError(absl::StrCat(
          "read logs of cron job ", cron_job.name(), ": it has made no job"));
    }
  }
  LogsFlags logs = flags.logs;
  logs.target = ReferenceOf(object);
  return PrintLogs(context, logs);
}

absl::Status Await(Context& context, const v1::Object& object,
                   const Judge& judge) {
  return WaitFor(context, *manifest::KindOf(object), context.ProjectOrDefault(),
                 manifest::MetadataOf(object).name(),
                 context.clock.Now() + context.Timeout(kDefaultWait), false,
                 judge);
}

absl::StatusOr<int> Trigger(Context& context, const Flags& flags) {
  v1::TriggerRequest request;
  request.set_project(context.ProjectOrDefault());
  ASSIGN_OR_RETURN(*request.mutable_cron_job(),
                   NameOfKind(flags.word, "cron-job"));
  ASSIGN_OR_RETURN(v1::TriggerResponse response,
                   context.client().Trigger(request));
  v1::Object object;
  *object.mutable_job() = response.job();
  context.io.Out(
      absl::StrCat("job ", response.job().metadata().name(), " created\n"));
  if (flags.wait) RETURN_IF_ERROR(Await(context, object, JudgeAvailable));
  return kExitOk;
}

absl::StatusOr<int> Delete(Context& context, const Flags& flags) {
  v1::DeleteRequest request;
  std::vector<v1::Object> objects;
  for (const std::string& word : flags.words) {
    ASSIGN_OR_RETURN(v1::Object object, Find(context, word));
    v1::ObjectReference& reference = *request.add_objects();
    reference.set_kind(manifest::KindOf(object)->api_name);
    reference.set_project(context.ProjectOrDefault());
    reference.set_name(manifest::MetadataOf(object).name());
    objects.push_back(std::move(object));
  }
  ASSIGN_OR_RETURN(const v1::DeleteResponse response,
                   context.client().Delete(request));
  for (const v1::ObjectReference& deleted : response.deleted()) {
    context.io.Out(
        absl::StrCat(deleted.kind(), " ", deleted.name(), " deleted\n"));
  }
  if (!flags.wait) return kExitOk;
  for (const v1::Object& object : objects) {
    RETURN_IF_ERROR(Await(context, object, JudgeDeleted));
  }
  return kExitOk;
}

absl::StatusOr<int> SetSuspend(Context& context, const Flags& flags,
                               bool suspend) {
  for (const std::string& word : flags.words) {
    ASSIGN_OR_RETURN(v1::Object object, Find(context, word));
    if (object.has_job()) {
      object.mutable_job()->mutable_spec()->set_suspend(suspend);
    } else {
      object.mutable_cron_job()->mutable_spec()->set_suspend(suspend);
    }
    // Whoever writes a status meanwhile is no conflict.
    manifest::MutableMetadata(object).clear_resource_version();
    v1::ApplyRequest request;
    *request.add_objects() = object;
    ASSIGN_OR_RETURN(const v1::ApplyResponse response,
                     context.client().Apply(request));
    const bool changed =
        response.results(0).action() != v1::ApplyResult::UNCHANGED;
    context.io.Out(absl::StrCat(manifest::KindOf(object)->api_name, " ",
                                manifest::MetadataOf(object).name(), " ",
                                changed ? "" : "was already ",
                                suspend ? "suspended" : "resumed", "\n"));
  }
  return kExitOk;
}

void AddSuspend(CLI::App& group, Context& context,
                const std::shared_ptr<Flags>& flags) {
  Command(group, context, "suspend",
          "Stop what jobs run and cron jobs' schedules; jobs that cron jobs "
          "have made run on")
      .Words("JOB", flags->words, "Jobs and cron jobs", Command::kRequired)
      .Action([flags](Context& c) { return SetSuspend(c, *flags, true); });
  Command(group, context, "resume", "Let suspended jobs and cron jobs go on")
      .Words("JOB", flags->words, "Jobs and cron jobs", Command::kRequired)
      .Action([flags](Context& c) { return SetSuspend(c, *flags, false); });
}

}  // namespace

void AddJob(CLI::App& app, Context& context) {
  auto flags = std::make_shared<Flags>();
  CLI::App& group =
      Command(app, context, "job", "List, run, suspend and delete jobs")
          .Group();
  Command(group, context, "list", "List cron jobs and jobs")
      .Flag("-A,--all-projects", flags->all_projects, "In every project")
      .Option("-o,--output", flags->output, kOutputForms)
      .Action([flags](Context& c) { return List(c, *flags); });
  Command(group, context, "describe",
          "Tell all about jobs and cron jobs: state, causes, executions")
      .Words("JOB", flags->words, "Jobs and cron jobs", Command::kRequired)
      .Option("-o,--output", flags->output, kObjectForms)
      .Action([flags](Context& c) { return Describe(c, *flags); });
  Command(group, context, "logs",
          "Print what a job's executions print; of a cron job the newest "
          "job's")
      .Word("JOB", flags->logs.target, "A job or a cron job",
            Command::kRequired)
      .Flag("-f,--follow", flags->logs.follow, "Go on until the job has ended")
      .Option("--tail", flags->logs.tail,
              "Only the last lines of each execution")
      .Option("--since", flags->logs.since, "Only since 10m, or since a time")
      .Flag("-t,--timestamps", flags->logs.timestamps,
            "Print the time of each line")
      .Action([flags](Context& c) { return Logs(c, *flags); });
  Command(group, context, "trigger",
          "Run a cron job now, whatever its schedule")
      .Word("CRONJOB", flags->word, "The cron job", Command::kRequired)
      .Flag("--wait", flags->wait, "Return when the job has ended")
      .Action([flags](Context& c) { return Trigger(c, *flags); });
  Command(group, context, "delete",
          "Delete jobs, with what they run, and cron jobs, with their jobs")
      .Words("JOB", flags->words, "Jobs and cron jobs", Command::kRequired)
      .Flag("--wait", flags->wait, "Return when they are gone")
      .Action([flags](Context& c) { return Delete(c, *flags); });
  AddSuspend(group, context, flags);
}

}  // namespace bulwark::ctl
