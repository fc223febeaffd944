#include "daemon/prober.h"

#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "lb/probe/probe.h"

namespace bulwark::daemon {
namespace {

using scheduler::ProbeResult;
using scheduler::ProbeTarget;

// What of a failed command's output goes into the message.
constexpr size_t kMaxOutput = 512;

// Reads both streams until both end (true) or `deadline` (steady) passes.
// Keeps the first kMaxOutput bytes in `output`.
bool Drain(engine::ExecSession& session, Clock& clock, absl::Duration deadline,
           std::string& output) {
  pollfd fds[2] = {{session.output(), POLLIN, 0}, {session.error(), POLLIN, 0}};
  while (fds[0].fd >= 0 || fds[1].fd >= 0) {
    const absl::Duration left = deadline - clock.Steady();
    if (left <= absl::ZeroDuration()) return false;
    const int ready =
        poll(fds, 2, static_cast<int>(absl::ToInt64Milliseconds(left)) + 1);
    if (ready < 0) continue;
    for (pollfd& p : fds) {
      if (p.fd < 0 || p.revents == 0) continue;
      char buffer[1024];
      const ssize_t n = read(p.fd, buffer, sizeof(buffer));
      if (n <= 0) {
        p.fd = -1;
        continue;
      }
      output.append(buffer, std::min<size_t>(n, kMaxOutput - output.size()));
    }
  }
  return true;
}

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
  const absl::Duration deadline = clock_.Steady() + target.timeout;
  const std::string name =
      absl::StrCat("exec ", absl::StrJoin(target.command, " "));
  engine::ExecSpec spec;
  spec.args = target.command;
  auto session = engine_.Exec(target.container_id, spec);
  if (!session.ok()) {
    return {false, absl::StrCat(name, ": ", session.status().message())};
  }
  (*session)->CloseInput();
  std::string output;
  if (!Drain(**session, clock_, deadline, output)) {
    (*session)->Signal(SIGKILL).IgnoreError();  // its end is not waited for
    return {false, absl::StrCat(name, ": no answer within ",
                                absl::FormatDuration(target.timeout))};
  }
  absl::StatusOr<int> code = (*session)->Wait();
  if (!code.ok()) {
    return {false, absl::StrCat(name, ": ", code.status().message())};
  }
  if (*code == 0) return {true, ""};
  const absl::string_view said = absl::StripAsciiWhitespace(output);
  return {false, absl::StrCat(name, ": exit status ", *code,
                              said.empty() ? "" : ": ", said)};
}

}  // namespace bulwark::daemon
