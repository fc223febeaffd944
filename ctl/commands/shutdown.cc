// ctl shutdown: everything ends, and comes back with the daemon's next start.
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/status.h"
#include "ctl/commands/commands.h"
#include "ctl/errors.h"

namespace bulwark::ctl {
namespace {

constexpr absl::Duration kDefaultTimeout = absl::Seconds(90);
// For the answer, beyond what the services may take.
constexpr absl::Duration kGrace = absl::Seconds(15);

absl::StatusOr<int> Run(Context& context) {
  const absl::Duration timeout = context.Timeout(kDefaultTimeout);
  v1::ShutdownRequest request;
  request.mutable_timeout()->set_seconds(absl::ToInt64Seconds(timeout));
  request.mutable_timeout()->set_nanos(static_cast<int32_t>(
      absl::ToInt64Nanoseconds(timeout % absl::Seconds(1))));
  context.io.Err("stopping every service\n");
  ASSIGN_OR_RETURN(v1::ShutdownResponse response,
                   context.client().Shutdown(
                       request, context.clock.Now() + timeout + kGrace));
  if (!response.killed().empty()) {
    context.io.Err(absl::StrCat(
        "warning: not stopped in ", absl::FormatDuration(timeout),
        ", and therefore killed: ", absl::StrJoin(response.killed(), ", "),
        "\n"));
  }
  context.io.Out(
      "every service has stopped; they start again with bulwarkd's next "
      "start\n");
  return kExitOk;
}

}  // namespace

void AddShutdown(CLI::App& app, Context& context) {
  Command(app, context, "shutdown",
          "Stop every service of the host, dependents first, for its shutdown; "
          "what\nhas not ended after --timeout (90s) is killed. What is "
          "declared stays, and\nstarts again with bulwarkd's next start")
      .Action([](Context& c) { return Run(c); });
}

}  // namespace bulwark::ctl
