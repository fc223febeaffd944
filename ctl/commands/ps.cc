// ctl ps: what runs now.
#include <algorithm>
#include <iterator>
#include <map>
#include <memory>

#include "absl/strings/match.h"
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
  std::vector<std::string> filters;
};

bool Runs(const v1::ContainerStatus& container) { return container.running(); }

std::string StateOf(const v1::ContainerStatus& c, absl::Time now) {
  if (c.running()) {
    return absl::StrCat(c.paused() ? "paused, up " : "up ",
                        Age(c.start_time(), now));
  }
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

// What --filter status= compares with.
std::string StatusOf(const v1::ContainerStatus& c) {
  if (c.running()) return c.paused() ? "paused" : "running";
  return c.finish_time().seconds() == 0 ? "created" : "exited";
}

// One --filter; of those with the same key one has to match.
struct Filter {
  std::string key, value;
};

constexpr const char* kKeys[] = {"status",  "label", "name",
                                 "service", "job",   "ready"};

absl::StatusOr<std::vector<Filter>> ParseFilters(const Flags& flags) {
  std::vector<Filter> filters;
  for (const std::string& text : flags.filters) {
    const size_t equals = text.find('=');
    const std::string key = text.substr(0, equals);
    const bool known =
        std::find(std::begin(kKeys), std::end(kKeys), key) != std::end(kKeys);
    if (equals == std::string::npos || !known) {
      return UsageError(absl::StrCat("--filter ", text,
                                     ": write it as KEY=VALUE; the keys are ",
                                     absl::StrJoin(kKeys, ", ")));
    }
    filters.push_back({key, text.substr(equals + 1)});
    if (key == "status") {
      const std::string& value = filters.back().value;
      if (value != "running" && value != "paused" && value != "exited" &&
          value != "created") {
        return UsageError(absl::StrCat("--filter ", text,
                                       ": running, paused, exited or created"));
      }
    }
  }
  return filters;
}

bool Matches(const Filter& filter, const v1::Replica& replica,
             const v1::ContainerStatus& c) {
  const v1::ReplicaSpec& spec = replica.spec();
  if (filter.key == "status") return StatusOf(c) == filter.value;
  if (filter.key == "service") return spec.service() == filter.value;
  if (filter.key == "job") return spec.job() == filter.value;
  if (filter.key == "ready") {
    return (replica.status().ready() ? "yes" : "no") == filter.value;
  }
  if (filter.key == "name") {
    return absl::StrContains(replica.metadata().name(), filter.value) ||
           absl::StrContains(c.name(), filter.value);
  }
  // "key" or "key=value".
  const size_t equals = filter.value.find('=');
  const auto label =
      replica.metadata().labels().find(filter.value.substr(0, equals));
  return label != replica.metadata().labels().end() &&
         (equals == std::string::npos ||
          label->second == filter.value.substr(equals + 1));
}

bool MatchesAll(const std::vector<Filter>& filters, const v1::Replica& replica,
                const v1::ContainerStatus& c) {
  std::map<std::string, bool> matched;
  for (const Filter& filter : filters) {
    matched[filter.key] |= Matches(filter, replica, c);
  }
  return std::all_of(matched.begin(), matched.end(),
                     [](const auto& key) { return key.second; });
}

absl::StatusOr<int> Run(Context& context, const Flags& flags) {
  ASSIGN_OR_RETURN(const std::vector<Filter> filters, ParseFilters(flags));
  const bool asks_status =
      std::any_of(filters.begin(), filters.end(),
                  [](const Filter& f) { return f.key == "status"; });
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
      if (!Runs(c) && !flags.all && !asks_status) continue;
      if (!MatchesAll(filters, replica, c)) continue;
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
      .Option("-f,--filter", flags->filters,
              "status=running|paused|exited|created, label=KEY[=VALUE], "
              "name=PART, service=, job=, ready=yes|no (repeatable)")
      .Flag("-q,--quiet", flags->quiet, "Print the replicas' names only")
      .Action([flags](Context& c) { return Run(c, *flags); });
}

}  // namespace bulwark::ctl
