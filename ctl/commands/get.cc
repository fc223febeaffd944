// ctl get: objects as tables, JSON or YAML, once or as they change.
#include <memory>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "ctl/commands/commands.h"
#include "ctl/errors.h"
#include "ctl/objects.h"
#include "ctl/print/table.h"
#include "ctl/watch.h"

namespace bulwark::ctl {
namespace {

using manifest::Kind;

struct Flags {
  std::vector<std::string> words;
  std::vector<std::string> labels;
  std::string service;
  std::string output;
  bool watch = false;
  bool all_projects = false;
  bool no_headers = false;
};

TableForm FormOf(const Flags& flags, OutputForm form) {
  return {.wide = form == OutputForm::kWide, .projects = flags.all_projects};
}

void PrintTable(Context& context, const Flags& flags, const Kind& kind,
                const std::vector<v1::Object>& objects, OutputForm form) {
  Table table(HeaderOf(kind, FormOf(flags, form)), context.io.color());
  for (const v1::Object& object : objects) {
    table.Add(RowOf(object, FormOf(flags, form), context.clock.Now()));
  }
  std::string text = table.Take();
  if (flags.no_headers) text.erase(0, text.find('\n') + 1);
  context.io.Out(text);
}

absl::StatusOr<int> Watch(Context& context, const Flags& flags,
                          const Kind& kind, const std::string& name,
                          OutputForm form) {
  ASSIGN_OR_RETURN(auto labels, ParseLabels(flags.labels));
  v1::WatchRequest request;
  request.set_kind(kind.api_name);
  request.set_project(flags.all_projects ? "*" : ProjectFor(context, kind));
  request.mutable_labels()->insert(labels.begin(), labels.end());
  request.set_service(flags.service);
  request.set_name(name);
  Table table(HeaderOf(kind, FormOf(flags, form)), context.io.color());
  if (flags.no_headers) table.Take();
  bool synced = false;
  auto print = [&] {
    if (IsTable(form) && synced) context.io.Out(table.Take());
  };
  auto on_event = [&](const v1::WatchEvent& event) {
    if (event.type() == v1::WatchEvent::SYNCED) {
      synced = true;
      print();
      return true;
    }
    const bool deleted = event.type() == v1::WatchEvent::DELETED;
    if (!IsTable(form)) {
      if (form == OutputForm::kYaml || form == OutputForm::kManifest) {
        context.io.Out("---\n");
      }
      PrintObjects(context, {event.object()}, form, true);
      return true;
    }
    std::vector<std::string> row =
        RowOf(event.object(), FormOf(flags, form), context.clock.Now());
    if (deleted && !row.empty()) row.back() = "(deleted)";
    table.Add(std::move(row));
    print();
    return true;
  };
  const absl::Time deadline =
      context.clock.Now() + context.Timeout(absl::InfiniteDuration());
  const absl::Status status =
      ResumedWatch(context, request).Run(deadline, on_event);
  if (status.code() == absl::StatusCode::kDeadlineExceeded) {
    return kExitTimeout;
  }
  if (!status.ok()) return status;
  return kExitOk;
}

absl::StatusOr<int> List(Context& context, const Flags& flags, const Kind& kind,
                         OutputForm form) {
  ListOptions options;
  ASSIGN_OR_RETURN(options.labels, ParseLabels(flags.labels));
  options.service = flags.service;
  options.all_projects = flags.all_projects;
  ASSIGN_OR_RETURN(Listing listing, ListObjects(context, kind, options));
  if (!IsTable(form)) {
    PrintObjects(context, listing.objects, form, false);
  } else if (listing.objects.empty()) {
    context.io.Err(absl::StrCat(
        "no ", kind.plural,
        flags.all_projects || IsOfTheHost(kind)
            ? std::string()
            : absl::StrCat(" in project ", context.ProjectOrDefault()),
        "\n"));
  } else {
    PrintTable(context, flags, kind, listing.objects, form);
  }
  return kExitOk;
}

// Named objects; those that exist are printed even if others do not.
absl::StatusOr<int> GetNamed(Context& context, const Flags& flags,
                             const std::vector<Target>& targets,
                             OutputForm form) {
  std::vector<v1::Object> objects;
  absl::Status error;
  for (const Target& target : targets) {
    absl::StatusOr<v1::Object> object =
        GetObject(context, *target.kind, target.name);
    if (object.ok()) {
      objects.push_back(*std::move(object));
    } else if (object.status().code() == absl::StatusCode::kNotFound) {
      error = object.status();
      context.io.Err(FormatError(error));
    } else {
      return object.status();
    }
  }
  if (!IsTable(form)) {
    if (!objects.empty()) {
      PrintObjects(context, objects, form, targets.size() == 1);
    }
  } else {
    // One table for each run of objects of the same kind.
    for (size_t i = 0; i < objects.size();) {
      const Kind* kind = manifest::KindOf(objects[i]);
      std::vector<v1::Object> same;
      while (i < objects.size() && manifest::KindOf(objects[i]) == kind) {
        same.push_back(objects[i++]);
      }
      if (kind != nullptr) PrintTable(context, flags, *kind, same, form);
      if (kind == nullptr) ++i;
    }
  }
  return error.ok() ? kExitOk : kExitError;
}

absl::StatusOr<int> Run(Context& context, const Flags& flags) {
  ASSIGN_OR_RETURN(const OutputForm form, ParseOutputForm(flags.output));
  ASSIGN_OR_RETURN(std::vector<Target> targets, ParseTargets(flags.words));
  if (flags.watch) {
    if (targets.size() != 1) return UsageError("--watch takes one target");
    return Watch(context, flags, *targets[0].kind, targets[0].name, form);
  }
  if (targets[0].name.empty()) {
    return List(context, flags, *targets[0].kind, form);
  }
  if (flags.all_projects || !flags.labels.empty()) {
    return UsageError("-A and -l do not go with a name");
  }
  return GetNamed(context, flags, targets, form);
}

}  // namespace

void AddGet(CLI::App& app, Context& context) {
  auto flags = std::make_shared<Flags>();
  Command command(app, context, "get", "Show objects");
  command
      .Words("KIND", flags->words, "KIND, KIND NAME… or KIND/NAME…",
             Command::kRequired)
      .Option("-o,--output", flags->output, kOutputForms)
      .Flag("-w,--watch", flags->watch, "Go on with each change")
      .Option("-l,--selector", flags->labels, "Only with KEY=VALUE labels")
      .Option("--service", flags->service,
              "Only replicas, revisions and events of this service")
      .Flag("-A,--all-projects", flags->all_projects, "In every project")
      .Flag("--no-headers", flags->no_headers, "Leave the header out")
      .Action([flags](Context& c) { return Run(c, *flags); });
}

}  // namespace bulwark::ctl
