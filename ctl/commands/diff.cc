// ctl diff: what an apply would change.
#include <memory>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "ctl/commands/commands.h"
#include "ctl/errors.h"
#include "ctl/manifests.h"
#include "ctl/objects.h"
#include "ctl/print/changes.h"

namespace bulwark::ctl {
namespace {

constexpr int kSame = 0;
constexpr int kDifferent = 1;

struct Flags {
  std::vector<std::string> files;
  std::vector<std::string> env_files;
  std::vector<std::string> labels;
  bool prune = false;
  bool quiet = false;
};

int Print(Context& context, const Flags& flags,
          const v1::ApplyResponse& response) {
  int code = kSame;
  const bool color = context.io.color();
  for (const v1::ApplyResult& result : response.results()) {
    if (result.action() == v1::ApplyResult::UNCHANGED) continue;
    code = kDifferent;
    if (flags.quiet) continue;
    context.io.Out(absl::StrCat(Mark(result.action(), color), " ",
                                manifest::NameOf(result.object()), "\n",
                                FormatChanges(result, color)));
  }
  return code;
}

absl::StatusOr<int> RunChecked(Context& context, const Flags& flags) {
  ASSIGN_OR_RETURN(auto labels, ParseLabels(flags.labels));
  if (flags.prune == labels.empty()) {
    return UsageError(flags.prune ? "--prune needs -l KEY=VALUE: what may be "
                                    "deleted"
                                  : "-l goes with --prune");
  }
  ASSIGN_OR_RETURN(std::vector<manifest::ParsedObject> objects,
                   ReadManifests(context, flags.files, flags.env_files));
  v1::ApplyRequest request;
  request.set_validate_only(true);
  request.mutable_prune_labels()->insert(labels.begin(), labels.end());
  if (flags.prune) request.set_prune_project(context.ProjectOrDefault());
  for (const manifest::ParsedObject& parsed : objects) {
    *request.add_objects() = parsed.object;
  }
  absl::StatusOr<v1::ApplyResponse> response = context.client().Apply(request);
  if (!response.ok()) return MapViolations(response.status(), objects);
  return Print(context, flags, *response);
}

// 1 means that there are differences: an error is another number.
absl::StatusOr<int> Run(Context& context, const Flags& flags) {
  absl::StatusOr<int> code = RunChecked(context, flags);
  if (code.ok()) return code;
  return WithExitCode(code.status(), kExitUsage);
}

}  // namespace

void AddDiff(CLI::App& app, Context& context) {
  auto flags = std::make_shared<Flags>();
  Command(app, context, "diff",
          "Show what an apply would change; exit status 0: nothing, 1: "
          "something, 2: error")
      .Option("-f,--filename", flags->files,
              "Manifest, folder of manifests, or - for standard input",
              Command::kRequired)
      .Option("--env-file", flags->env_files,
              "NAME=value lines for ${NAME}; the environment wins")
      .Flag("--prune", flags->prune,
            "Also what an apply with --prune would delete")
      .Option("-l,--selector", flags->labels, "KEY=VALUE for --prune")
      .Flag("-q,--quiet", flags->quiet, "Print nothing but errors")
      .Action([flags](Context& c) { return Run(c, *flags); });
}

}  // namespace bulwark::ctl
