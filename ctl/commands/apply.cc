// ctl apply: declare what should run.
#include <memory>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "ctl/commands/commands.h"
#include "ctl/errors.h"
#include "ctl/manifests.h"
#include "ctl/objects.h"
#include "ctl/print/changes.h"
#include "ctl/wait.h"

namespace bulwark::ctl {
namespace {

constexpr absl::Duration kDefaultWait = absl::Minutes(10);

struct Flags {
  std::vector<std::string> files;
  std::vector<std::string> env_files;
  std::vector<std::string> labels;
  std::string output;
  bool prune = false;
  bool dry_run = false;
  bool wait = false;
  bool quiet = false;
};

absl::string_view Done(v1::ApplyResult::Action action) {
  switch (action) {
    case v1::ApplyResult::CREATED:
      return "created";
    case v1::ApplyResult::CONFIGURED:
      return "configured";
    case v1::ApplyResult::UNCHANGED:
      return "unchanged";
    case v1::ApplyResult::DELETED:
      return "deleted";
    default:
      return "applied";
  }
}

void PrintResults(Context& context, const Flags& flags,
                  const v1::ApplyResponse& response, OutputForm form) {
  std::vector<v1::Object> objects;
  for (const v1::ApplyResult& result : response.results()) {
    for (const std::string& warning : result.warnings()) {
      context.io.Err(absl::StrCat(
          "warning: ", manifest::NameOf(result.object()), ": ", warning, "\n"));
    }
    if (form == OutputForm::kTable) {
      if (flags.quiet) continue;
      context.io.Out(absl::StrCat(manifest::NameOf(result.object()), " ",
                                  Done(result.action()),
                                  flags.dry_run ? " (dry run)" : "", "\n"));
      if (flags.dry_run) {
        context.io.Out(FormatChanges(result, context.io.color()));
      }
    } else if (result.action() != v1::ApplyResult::DELETED) {
      objects.push_back(result.object());
    }
  }
  if (form == OutputForm::kTable) return;
  // What would be applied is a manifest: nothing of the server's own.
  if (flags.dry_run && form == OutputForm::kYaml) form = OutputForm::kManifest;
  PrintObjects(context, objects, form, true);
}

absl::Status WaitForAll(Context& context, const Flags& flags,
                        const v1::ApplyResponse& response) {
  const absl::Time deadline =
      context.clock.Now() + context.Timeout(kDefaultWait);
  for (const v1::ApplyResult& result : response.results()) {
    if (result.action() == v1::ApplyResult::DELETED) continue;
    if (!result.object().has_service()) continue;
    const v1::Metadata& metadata = manifest::MetadataOf(result.object());
    RETURN_IF_ERROR(WaitFor(context, *manifest::KindOf(result.object()),
                            metadata.project(), metadata.name(), deadline,
                            flags.quiet, JudgeAvailable));
  }
  return absl::OkStatus();
}

absl::StatusOr<int> Run(Context& context, const Flags& flags) {
  ASSIGN_OR_RETURN(const OutputForm form, ParseOutputForm(flags.output));
  ASSIGN_OR_RETURN(auto labels, ParseLabels(flags.labels));
  if (flags.prune == labels.empty()) {
    return UsageError(flags.prune ? "--prune needs -l KEY=VALUE: what may be "
                                    "deleted"
                                  : "-l goes with --prune");
  }
  ASSIGN_OR_RETURN(std::vector<manifest::ParsedObject> objects,
                   ReadManifests(context, flags.files, flags.env_files));
  v1::ApplyRequest request;
  request.set_validate_only(flags.dry_run);
  request.mutable_prune_labels()->insert(labels.begin(), labels.end());
  if (flags.prune) request.set_prune_project(context.ProjectOrDefault());
  for (const manifest::ParsedObject& parsed : objects) {
    *request.add_objects() = parsed.object;
  }
  absl::StatusOr<v1::ApplyResponse> response = context.client().Apply(request);
  if (!response.ok()) return MapViolations(response.status(), objects);
  PrintResults(context, flags, *response, form);
  if (flags.wait && !flags.dry_run) {
    RETURN_IF_ERROR(WaitForAll(context, flags, *response));
  }
  return kExitOk;
}

}  // namespace

void AddApply(CLI::App& app, Context& context) {
  auto flags = std::make_shared<Flags>();
  Command command(app, context, "apply",
                  "Declare the objects of manifests; all of them, or none");
  command
      .Option("-f,--filename", flags->files,
              "Manifest, folder of manifests, or - for standard input",
              Command::kRequired)
      .Option("--env-file", flags->env_files,
              "NAME=value lines for ${NAME}; the environment wins")
      .Flag("--prune", flags->prune,
            "Delete what has the labels of -l and is not in the manifests")
      .Option("-l,--selector", flags->labels, "KEY=VALUE for --prune")
      .Flag("--dry-run", flags->dry_run,
            "Check and answer as if applied; change nothing")
      .Option("-o,--output", flags->output,
              "Print the objects in full: yaml, json, manifest, name")
      .Flag("--wait", flags->wait, "Return when the services are available")
      .Flag("-q,--quiet", flags->quiet, "Print warnings and errors only")
      .Action([flags](Context& c) { return Run(c, *flags); });
}

}  // namespace bulwark::ctl
