// ctl ps: what runs now.
#include <memory>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/status.h"
#include "ctl/commands/commands.h"
#include "ctl/errors.h"
#include "ctl/objects.h"
#include "ctl/print/table.h"
#include "ctl/print/text.h"

namespace bulwark::ctl {
namespace {

struct Flags {
  bool all = false;
  bool all_projects = false;
  bool quiet = false;
};

bool Runs(const v1::ContainerStatus& container) { return container.running(); }

std::string StateOf(const v1::ContainerStatus& c, absl::Time now) {
  if (c.running()) return absl::StrCat("up ", Age(c.start_time(), now));
  if (c.finish_time().seconds() == 0) {
    // What a shell would say of its command.
    return c.exit_code() == 0
               ? "created"
               : absl::StrCat("not started (", c.exit_code(), ")");
  }
  std::string state = absl::StrCat("exited (", c.exit_code(), ") ",
                                   Age(c.finish_time(), now), " ago");
  if (c.oom_killed()) absl::StrAppend(&state, ", out of memory");
  return state;
}

absl::StatusOr<int> Run(Context& context, const Flags& flags) {
  ListOptions options;
  options.all_projects = flags.all_projects;
  ASSIGN_OR_RETURN(
      Listing listing,
      ListObjects(context, *manifest::FindKind("replica"), options));
  std::vector<std::string> header = {"REPLICA", "CONTAINER", "PID",
                                     "STATE",   "READY",     "ADDRESS"};
  if (flags.all_projects) header.insert(header.begin(), "PROJECT");
  Table table(header, context.io.color());
  const absl::Time now = context.clock.Now();
  for (const v1::Object& object : listing.objects) {
    const v1::Replica& replica = object.replica();
    for (const v1::ContainerStatus& c : replica.status().containers()) {
      if (!Runs(c) && !flags.all) continue;
      if (flags.quiet) {
        context.io.Out(absl::StrCat(replica.metadata().name(), "\n"));
        break;
      }
      std::vector<std::string> row = {replica.metadata().name(),
                                      c.name(),
                                      c.pid() == 0 ? "" : absl::StrCat(c.pid()),
                                      StateOf(c, now),
                                      replica.status().ready() ? "yes" : "no",
                                      replica.spec().address()};
      if (flags.all_projects) {
        row.insert(row.begin(), replica.metadata().project());
      }
      table.Add(std::move(row));
    }
  }
  if (!flags.quiet) context.io.Out(table.Take());
  return kExitOk;
}

}  // namespace

void AddPs(CLI::App& app, Context& context) {
  auto flags = std::make_shared<Flags>();
  Command(app, context, "ps", "List the containers that run")
      .Flag("-a,--all", flags->all, "Also those that ended")
      .Flag("-A,--all-projects", flags->all_projects, "In every project")
      .Flag("-q,--quiet", flags->quiet, "Print the replicas' names only")
      .Action([flags](Context& c) { return Run(c, *flags); });
}

}  // namespace bulwark::ctl
