#include "scheduler/health/probe_plan.h"

#include <algorithm>

#include "absl/time/time.h"
#include "scheduler/times.h"

namespace bulwark::scheduler {
namespace {

using Role = PlannedProbe::Role;

ProbePolicy PolicyOf(const v1::Probe& probe) {
  ProbePolicy policy;
  if (probe.has_period()) policy.period = ToDuration(probe.period());
  policy.period = std::max(policy.period, absl::Milliseconds(50));
  if (probe.has_timeout()) policy.timeout = ToDuration(probe.timeout());
  if (probe.success() > 0) policy.success = probe.success();
  if (probe.failure() > 0) policy.failure = probe.failure();
  return policy;
}

int FirstPort(const std::vector<v1::Port>& ports) {
  for (const v1::Port& port : ports) {
    if (port.protocol() != v1::Port::UDP) return port.container_port();
  }
  return 0;
}

PlannedProbe Plan(Role role, const v1::Probe& probe, const v1::Replica& replica,
                  const std::string& container_id,
                  const std::vector<v1::Port>& ports) {
  PlannedProbe planned{role, PolicyOf(probe), {}};
  ProbeTarget& target = planned.target;
  target.timeout = planned.policy.timeout;
  target.address = replica.spec().address();
  target.container_id = container_id;
  if (probe.has_exec()) {
    target.kind = ProbeTarget::Kind::kExec;
    target.command.assign(probe.exec().command().begin(),
                          probe.exec().command().end());
  } else if (probe.has_http()) {
    target.kind = ProbeTarget::Kind::kHttp;
    target.port = probe.http().port();
    target.path = probe.http().path().empty() ? "/" : probe.http().path();
  } else {
    target.port = probe.tcp().port();
  }
  if (target.port == 0) target.port = FirstPort(ports);
  return planned;
}

void AddImageHealthcheck(std::vector<PlannedProbe>& probes,
                         const engine::ImageHealthcheck& check,
                         const std::string& container_id) {
  PlannedProbe planned;
  // Docker's defaults: 30 s, 30 s, 3.
  planned.policy.period = check.interval > absl::ZeroDuration()
                              ? check.interval
                              : absl::Seconds(30);
  planned.policy.timeout =
      check.timeout > absl::ZeroDuration() ? check.timeout : absl::Seconds(30);
  planned.policy.failure = check.retries > 0 ? check.retries : 3;
  // Docker's start interval ends with the start period, too; here checks are
  // frequent until one succeeds in any case, and none of them is a verdict.
  planned.policy.start_interval = check.start_interval;
  planned.target.kind = ProbeTarget::Kind::kExec;
  planned.target.container_id = container_id;
  planned.target.command = check.command;
  planned.target.timeout = planned.policy.timeout;
  planned.role = Role::kReadiness;
  probes.push_back(planned);
}

}  // namespace

std::vector<PlannedProbe> PlanProbes(
    const v1::Container& container, const v1::Replica& replica,
    const std::string& container_id, const std::vector<v1::Port>& ports,
    const std::optional<engine::ImageHealthcheck>& healthcheck) {
  std::vector<PlannedProbe> probes;
  auto add = [&](Role role, const v1::Probe& probe) {
    probes.push_back(Plan(role, probe, replica, container_id, ports));
  };
  if (container.has_startup()) add(Role::kStartup, container.startup());
  if (container.has_liveness()) add(Role::kLiveness, container.liveness());
  if (container.has_readiness()) {
    add(Role::kReadiness, container.readiness());
  } else if (healthcheck.has_value()) {
    AddImageHealthcheck(probes, *healthcheck, container_id);
  } else if (FirstPort(ports) != 0) {
    add(Role::kReadiness, v1::Probe());
  }
  return probes;
}

}  // namespace bulwark::scheduler
