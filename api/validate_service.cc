// The rules of a service.
#include <set>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "api/convert.h"
#include "api/rules.h"
#include "api/validate_autoscale.h"
#include "api/validate_image_update.h"
#include "api/validate_parts.h"
#include "api/validation.h"

namespace bulwark::api {
namespace {

using v1::Port;
using v1::ServiceSpec;

constexpr int kMaxPorts = 128;

bool IsPort(int port) { return port >= 1 && port <= 65535; }

const Rule<ServiceSpec> kServiceRules[] = {
    {"replicas",
     [](const ServiceSpec& s) { return s.replicas() <= kMaxReplicas; },
     "is above 1000", "declare several services"},
    {"containers",
     [](const ServiceSpec& s) { return s.containers_size() <= kMaxContainers; },
     "has more than 32 entries", "declare several services"},
    {"initContainers",
     [](const ServiceSpec& s) {
       return s.init_containers_size() <= kMaxContainers;
     },
     "has more than 32 entries", "do more in each"},
    {"sidecars",
     [](const ServiceSpec& s) { return s.sidecars_size() <= kMaxContainers; },
     "has more than 32 entries", "declare several services"},
    {"ports", [](const ServiceSpec& s) { return s.ports_size() <= kMaxPorts; },
     "has more than 128 entries", "declare several services"},
    {"network", [](const ServiceSpec& s) { return IsLabel(s.network()); },
     kNotLabel, kLabelRemedy, [](const ServiceSpec& s) { return s.network(); }},
    {"stop.signal",
     [](const ServiceSpec& s) { return IsSignal(s.stop().signal()); },
     "is not a signal", "write it like SIGTERM or SIGQUIT",
     [](const ServiceSpec& s) { return s.stop().signal(); }},
    {"stop.timeout",
     [](const ServiceSpec& s) {
       return ToDuration(s.stop().timeout()) <= absl::Hours(24);
     },
     "is above 24h", "use a shorter time"},
    {"loadBalancer.drainTimeout",
     [](const ServiceSpec& s) {
       return ToDuration(s.load_balancer().drain_timeout()) <= absl::Hours(24);
     },
     "is above 24h", "use a shorter time"},
    {"rollout",
     [](const ServiceSpec& s) {
       return s.rollout().strategy() != v1::Rollout::ROLLING ||
              s.rollout().max_surge() != 0 ||
              s.rollout().max_unavailable() != 0;
     },
     "can never go on with maxSurge and maxUnavailable both 0",
     "allow one of them at least 1"},
    {"rollout.maxSurge",
     [](const ServiceSpec& s) {
       return s.rollout().max_surge() == 0 || !HasVolumePerReplica(s);
     },
     "must be 0, as a volume is per replica",
     "leave it out; set maxUnavailable to roll faster"},
    {"rollout.maxSurge",
     [](const ServiceSpec& s) {
       return s.rollout().max_surge() <= kMaxReplicas;
     },
     "is above 1000", "use a lower number"},
    {"rollout.maxUnavailable",
     [](const ServiceSpec& s) {
       return s.rollout().max_unavailable() <= kMaxReplicas;
     },
     "is above 1000", "use a lower number"},
    {"rollout.progressDeadline",
     [](const ServiceSpec& s) {
       return ToDuration(s.rollout().progress_deadline()) >
              ToDuration(s.rollout().min_healthy_time());
     },
     "is not above minHealthyTime: no rollout could succeed",
     "give the rollout more time"},
    {"rollout.history",
     [](const ServiceSpec& s) { return s.rollout().history() <= 100; },
     "is above 100", "keep fewer revisions"},
};

const Rule<Port> kPortRules[] = {
    {"name",
     [](const Port& p) { return p.name().empty() || IsLabel(p.name()); },
     kNotLabel, kLabelRemedy, [](const Port& p) { return p.name(); }},
    {"containerPort",
     [](const Port& p) {
       return p.container_port() == 0 || IsPort(p.container_port());
     },
     "is not a port", "use 1 to 65535",
     [](const Port& p) { return absl::StrCat(p.container_port()); }},
    // An unset port takes the container's: the same number is refused once.
    {"port",
     [](const Port& p) {
       return p.port() == p.container_port() || IsPort(p.port());
     },
     "is not a port", "use 1 to 65535",
     [](const Port& p) { return absl::StrCat(p.port()); }},
    {"hostPort",
     [](const Port& p) { return p.host_port() == 0 || IsPort(p.host_port()); },
     "is not a port", "use 1 to 65535",
     [](const Port& p) { return absl::StrCat(p.host_port()); }},
    {"listen",
     [](const Port& p) {
       return p.host_port() == 0 || p.listen() != Port::INTERNAL;
     },
     "is internal, but hostPort publishes the port",
     "use localhost or all, or leave hostPort out"},
    {"hostPort",
     [](const Port& p) {
       return p.host_port() != 0 || p.listen() == Port::INTERNAL ||
              p.listen() == Port::LISTEN_UNSPECIFIED;
     },
     "is missing: there is no port of the host to listen on",
     "give a hostPort, or use listen: internal"},
};

void ValidatePorts(const ServiceSpec& spec, Report& report) {
  std::set<std::string> names;
  std::set<std::pair<int, int>> ports, host_ports;
  for (int i = 0; i < spec.ports_size(); ++i) {
    const Port& port = spec.ports(i);
    const std::string path = absl::StrCat("spec.ports[", i, "]");
    CheckRules<Port>(port, kPortRules, path, report);
    if (!port.name().empty() && !names.insert(port.name()).second) {
      report.Invalid(absl::StrCat(path, ".name"),
                     absl::StrCat("two ports are named ", Quoted(port.name())),
                     "name each port");
    }
    if (port.port() != 0 &&
        !ports.emplace(port.protocol(), port.port()).second) {
      report.Invalid(absl::StrCat(path, ".port"),
                     absl::StrCat("port ", port.port(), " is given twice"),
                     "use each port of the virtual address once");
    }
    if (port.host_port() != 0 &&
        !host_ports.emplace(port.protocol(), port.host_port()).second) {
      report.Invalid(
          absl::StrCat(path, ".hostPort"),
          absl::StrCat("host port ", port.host_port(), " is given twice"),
          "use each port of the host once");
    }
  }
}

}  // namespace

void ValidateServiceSpec(const ServiceSpec& spec,
                         const NormalizeReference& normalize, Report& report) {
  CheckRules<ServiceSpec>(spec, kServiceRules, "spec", report);
  std::set<std::string> names;
  ValidateContainers(spec.init_containers(), ContainerRole::kInit,
                     "spec.initContainers", normalize, names, report);
  ValidateContainers(spec.sidecars(), ContainerRole::kSidecar, "spec.sidecars",
                     normalize, names, report);
  ValidateContainers(spec.containers(), ContainerRole::kMain, "spec.containers",
                     normalize, names, report);
  SharedSysctls sysctls;
  sysctls.Check(spec.init_containers(), "spec.initContainers", report);
  sysctls.Check(spec.sidecars(), "spec.sidecars", report);
  sysctls.Check(spec.containers(), "spec.containers", report);
  ValidatePorts(spec, report);
  ValidateAutoscale(spec, report);
  ValidateImageUpdate(spec, report);
  ValidateDependencies(spec.depends_on(), "spec", report);
  ValidateChangePolicy(spec, report);
}

}  // namespace bulwark::api
