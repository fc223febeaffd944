// ctl system: disk space of this host, and its last start.
#include <memory>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "ctl/commands/commands.h"
#include "ctl/errors.h"
#include "ctl/message_form.h"
#include "ctl/objects.h"
#include "ctl/print/table.h"
#include "ctl/print/text.h"

namespace bulwark::ctl {
namespace {

// Trees of many files are read and removed.
constexpr absl::Duration kPruneTimeout = absl::Minutes(30);

struct Flags {
  std::string output;
  std::vector<std::string> types;
  bool all = false;
  bool dry_run = false;
};

absl::StatusOr<int> DiskUsage(Context& context, const Flags& flags) {
  RETURN_IF_ERROR(CheckMessageForm(flags.output));
  ASSIGN_OR_RETURN(const v1::DiskUsageResponse response,
                   context.client().DiskUsage());
  if (PrintMessage(context, response, flags.output)) return kExitOk;
  Table table({"TYPE", "COUNT", "ACTIVE", "SIZE", "RECLAIMABLE"});
  int64_t reclaimable = 0;
  for (const v1::DiskUsageItem& item : response.items()) {
    table.Add({item.type(), absl::StrCat(item.count()),
               absl::StrCat(item.active()), HumanSize(item.size_bytes()),
               HumanSize(item.reclaimable_bytes())});
    reclaimable += item.reclaimable_bytes();
  }
  context.io.Out(absl::StrCat(
      table.Take(), "\n", HumanSize(response.disk_available_bytes()), " of ",
      HumanSize(response.disk_total_bytes()),
      " are free; ctl system prune frees ", HumanSize(reclaimable),
      ", with -a also images that have a name\n"));
  return kExitOk;
}

absl::StatusOr<int> Prune(Context& context, const Flags& flags) {
  v1::PruneRequest request;
  for (const std::string& type : flags.types) request.add_types(type);
  request.set_all(flags.all);
  request.set_validate_only(flags.dry_run);
  ASSIGN_OR_RETURN(
      const v1::PruneResponse response,
      context.client().Prune(
          request, context.clock.Now() + context.Timeout(kPruneTimeout)));
  for (const std::string& what : response.removed()) {
    context.io.Out(
        absl::StrCat(what, flags.dry_run ? " would be" : "", " removed\n"));
  }
  context.io.Out(absl::StrCat(flags.dry_run ? "would free " : "freed ",
                              HumanSize(response.freed_bytes()), "\n"));
  return kExitOk;
}

// How the host came up: what the node's record says.
absl::StatusOr<int> BootReport(Context& context) {
  ASSIGN_OR_RETURN(const v1::Object object,
                   GetObject(context, *manifest::FindKind("node"), "local"));
  const v1::Condition* booted =
      FindCondition(object.node().status().conditions(), "Booted");
  if (booted == nullptr) {
    context.io.Out(
        "no report: the host has not been rebooted since bulwarkd first ran\n");
    return kExitOk;
  }
  if (booted->status() == v1::Condition::UNKNOWN) {
    context.io.Out(
        absl::StrCat("the host was rebooted, and bulwarkd started ",
                     Age(booted->last_transition_time(), context.clock.Now()),
                     " ago; services are still starting (ctl get services)\n"));
    return kExitOk;
  }
  context.io.Out(absl::StrCat(booted->message(), "\n"));
  return booted->status() == v1::Condition::TRUE ? kExitOk : kExitError;
}

}  // namespace

void AddSystem(CLI::App& app, Context& context) {
  auto flags = std::make_shared<Flags>();
  Command group(app, context, "system",
                "Disk space of this host, and how it came up");
  CLI::App& system = group.Group();
  Command(system, context, "df",
          "Say what takes disk space, and what of it can be freed")
      .Option("-o,--output", flags->output, kMessageForms)
      .Action([flags](Context& c) { return DiskUsage(c, *flags); });
  Command(system, context, "prune",
          "Free disk space: images without a name that nothing needs, the "
          "build cache, and\ncontainers that have ended with their logs. What "
          "runs, is declared, or is of a\nrevision that is kept, stays; so do "
          "volumes")
      .Flag("-a,--all", flags->all,
            "Also images that have a name, if nothing needs them")
      .Option("--type", flags->types,
              "Only images, build-cache or containers; may be repeated")
      .Flag("--dry-run", flags->dry_run, "Only say what would go")
      .Action([flags](Context& c) { return Prune(c, *flags); });
  Command(system, context, "boot-report",
          "Say how the host last came up: when bulwarkd started, when each "
          "service was\nready, and what failed")
      .Action([](Context& c) { return BootReport(c); });
}

}  // namespace bulwark::ctl
