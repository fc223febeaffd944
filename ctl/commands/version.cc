// ctl version: of ctl and of the daemon.
#include "ctl/version.h"

#include <memory>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "ctl/commands/commands.h"
#include "ctl/errors.h"
#include "ctl/print/text.h"
#include "manifest/codec.h"

namespace bulwark::ctl {
namespace {

struct Flags {
  std::string output;
  bool client = false;
};

absl::StatusOr<int> Run(Context& context, const Flags& flags) {
  if (!flags.output.empty() && flags.output != "json") {
    return UsageError(absl::StrCat("-o ", flags.output, ": json"));
  }
  if (flags.output.empty()) {
    context.io.Out(absl::StrCat("ctl       ", kVersion, "\n"));
  }
  if (flags.client) return kExitOk;
  ASSIGN_OR_RETURN(v1::VersionResponse response, context.client().Version());
  if (flags.output == "json") {
    context.io.Out(manifest::PrintJson(response));
    return kExitOk;
  }
  std::string line = absl::StrCat("bulwarkd  ", response.version());
  if (!response.commit().empty()) {
    absl::StrAppend(&line, " (", response.commit(), ")");
  }
  absl::StrAppend(&line, ", instance ", response.instance(), ", pid ",
                  response.pid());
  const std::string age = Age(response.start_time(), context.clock.Now());
  if (!age.empty()) absl::StrAppend(&line, ", up ", age);
  context.io.Out(absl::StrCat(line, "\n"));
  for (const v1::Condition& condition : response.conditions()) {
    context.io.Out(
        absl::StrCat("  ", condition.type(), ": ", condition.message(), "\n"));
  }
  return kExitOk;
}

}  // namespace

void AddVersion(CLI::App& app, Context& context) {
  auto flags = std::make_shared<Flags>();
  Command(app, context, "version", "Print the versions of ctl and bulwarkd")
      .Flag("--client", flags->client, "Of ctl only")
      .Option("-o,--output", flags->output, "json")
      .Action([flags](Context& c) { return Run(c, *flags); });
}

}  // namespace bulwark::ctl
