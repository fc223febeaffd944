// ctl events: what happened.
#include <algorithm>
#include <memory>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "ctl/commands/commands.h"
#include "ctl/errors.h"
#include "ctl/objects.h"
#include "ctl/print/table.h"
#include "ctl/print/text.h"
#include "ctl/watch.h"

namespace bulwark::ctl {
namespace {

struct Flags {
  std::string service;
  std::string output;
  bool watch = false;
  bool all_projects = false;
};

const manifest::Kind& EventKind() { return *manifest::FindKind("event"); }

absl::StatusOr<int> Watch(Context& context, const Flags& flags,
                          const Listing& listing, Table& table,
                          const TableForm& form) {
  v1::WatchRequest request;
  request.set_kind("event");
  request.set_project(flags.all_projects ? "*" : context.ProjectOrDefault());
  request.set_service(flags.service);
  request.set_from_revision(listing.revision);
  ResumedWatch watch(context, request);
  watch.Know(listing.objects);
  const absl::Time deadline =
      context.clock.Now() + context.Timeout(absl::InfiniteDuration());
  const absl::Status status =
      watch.Run(deadline, [&](const v1::WatchEvent& event) {
        if (event.type() == v1::WatchEvent::ADDED ||
            event.type() == v1::WatchEvent::MODIFIED) {
          table.Add(RowOf(event.object(), form, context.clock.Now()));
          context.io.Out(table.Take());
        }
        return true;
      });
  if (status.code() == absl::StatusCode::kDeadlineExceeded) {
    return kExitTimeout;
  }
  if (!status.ok()) return status;
  return kExitOk;
}

absl::StatusOr<int> Run(Context& context, const Flags& flags) {
  ASSIGN_OR_RETURN(const OutputForm output, ParseOutputForm(flags.output));
  ListOptions options;
  options.service = flags.service;
  options.all_projects = flags.all_projects;
  ASSIGN_OR_RETURN(Listing listing, ListObjects(context, EventKind(), options));
  std::stable_sort(listing.objects.begin(), listing.objects.end(),
                   [](const v1::Object& a, const v1::Object& b) {
                     return ToTime(a.event().last_time()) <
                            ToTime(b.event().last_time());
                   });
  const bool is_table =
      output == OutputForm::kTable || output == OutputForm::kWide;
  if (!is_table) {
    PrintObjects(context, listing.objects, output, false);
    return kExitOk;
  }
  const TableForm form{.wide = output == OutputForm::kWide,
                       .projects = flags.all_projects};
  Table table(HeaderOf(EventKind(), form), context.io.color());
  for (const v1::Object& object : listing.objects) {
    table.Add(RowOf(object, form, context.clock.Now()));
  }
  if (table.empty() && !flags.watch) {
    context.io.Err("no events\n");
    return kExitOk;
  }
  context.io.Out(table.Take());
  if (!flags.watch) return kExitOk;
  return Watch(context, flags, listing, table, form);
}

}  // namespace

void AddEvents(CLI::App& app, Context& context) {
  auto flags = std::make_shared<Flags>();
  Command(app, context, "events", "Show what happened, the latest last")
      .Word("SERVICE", flags->service, "Only of this service")
      .Option("-o,--output", flags->output, "wide, json, yaml")
      .Flag("-w,--watch", flags->watch, "Go on with new events")
      .Flag("-A,--all-projects", flags->all_projects, "Of every project")
      .Action([flags](Context& c) { return Run(c, *flags); });
}

}  // namespace bulwark::ctl
