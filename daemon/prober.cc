#include "daemon/prober.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "engine/command.h"
#include "lb/probe/probe.h"

namespace bulwark::daemon {
namespace {

using scheduler::ProbeResult;
using scheduler::ProbeTarget;

// What of a failed command's output goes into the message.
constexpr size_t kMaxOutput = 512;

}  // namespace

ProbeResult LocalProber::Run(const ProbeTarget& target) {
  if (target.kind == ProbeTarget::Kind::kExec) return RunExec(target);
  lb::SocketFactory sockets = [this](int domain, int type, int protocol) {
    return network_.OpenSocket(domain, type, protocol);
  };
  const lb::ProbeResult result =
      target.kind == ProbeTarget::Kind::kHttp
          ? lb::ProbeHttp(sockets, target.address, target.port, target.path,
                          target.timeout, clock_)
          : lb::ProbeTcp(sockets, target.address, target.port, target.timeout,
                         clock_);
  return {result.success, result.reason};
}

ProbeResult LocalProber::RunExec(const ProbeTarget& target) {
  const std::string name =
      absl::StrCat("exec ", absl::StrJoin(target.command, " "));
  engine::Command command;
  command.container_id = target.container_id;
  command.args = target.command;
  command.timeout = target.timeout;
  command.max_output = kMaxOutput;
  const absl::StatusOr<engine::CommandEnd> end =
      engine::RunCommand(engine_, clock_, command);
  if (!end.ok()) {
    return {false, absl::StrCat(name, ": ", end.status().message())};
  }
  if (end->exit_code == 0) return {true, ""};
  const absl::string_view said = absl::StripAsciiWhitespace(end->output);
  return {false, absl::StrCat(name, ": exit status ", end->exit_code,
                              said.empty() ? "" : ": ", said)};
}

}  // namespace bulwark::daemon
