#include "scheduler/replica/spec.h"

#include <csignal>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/signals.h"
#include "scheduler/names.h"

namespace bulwark::scheduler {
namespace {

constexpr int kDefaultPids = 512;

// ENTRYPOINT and CMD: a command replaces both, args replace CMD alone.
std::vector<std::string> ArgsOf(const v1::Container& container,
                                const engine::ImageConfig& image) {
  std::vector<std::string> args(container.command().begin(),
                                container.command().end());
  if (args.empty()) args = image.entrypoint;
  if (!container.args().empty()) {
    args.insert(args.end(), container.args().begin(), container.args().end());
  } else if (container.command().empty()) {
    args.insert(args.end(), image.command.begin(), image.command.end());
  }
  return args;
}

// The image's variables, then the container's own, each name once.
std::vector<std::string> EnvOf(const v1::Container& container,
                               const engine::ImageConfig& image) {
  std::vector<std::string> env = image.env;
  for (const v1::EnvVar& variable : container.env()) {
    const std::string prefix = variable.name() + "=";
    std::string entry = prefix + variable.value();
    bool found = false;
    for (std::string& old : env) {
      if (old.rfind(prefix, 0) != 0) continue;
      old = entry;
      found = true;
    }
    if (!found) env.push_back(std::move(entry));
  }
  return env;
}

std::map<std::string, std::string> LabelsOf(const v1::Replica& replica,
                                            const v1::Container& container) {
  const v1::ReplicaSpec& owner = replica.spec();
  return {{kReplicaLabel, replica.metadata().uid()},
          {kReplicaNameLabel, replica.metadata().name()},
          {kProjectLabel, replica.metadata().project()},
          owner.job().empty() ? std::make_pair(kServiceLabel, owner.service())
                              : std::make_pair(kJobLabel, owner.job()),
          {kContainerLabel, container.name()}};
}

}  // namespace

engine::Resources ResourcesOf(const v1::ResourceLimits& limits) {
  engine::Resources r;
  r.cpu_request_millicores = limits.cpu().request();
  r.cpu_limit_millicores = limits.cpu().limit();
  r.memory_limit_bytes = limits.memory().limit();
  r.pids_limit = limits.pids() > 0 ? limits.pids() : kDefaultPids;
  return r;
}

absl::StatusOr<engine::ContainerSpec> BuildSpec(const v1::Replica& replica,
                                                const v1::Container& container,
                                                const engine::Image& image,
                                                const LaunchContext& context) {
  engine::ContainerSpec spec;
  spec.id = context.container_id;
  spec.labels = LabelsOf(replica, container);
  spec.layers = image.layers;
  spec.read_only_root = container.read_only();
  spec.args = ArgsOf(container, image.config);
  if (spec.args.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat("start container ", container.name(),
                     ": neither the service nor image ", container.image(),
                     " says which command to run; set `command`"));
  }
  spec.env = EnvOf(container, image.config);
  spec.cwd = container.working_dir().empty() ? image.config.working_dir
                                             : container.working_dir();
  spec.user = container.user().empty() ? image.config.user : container.user();
  spec.terminal = container.tty();
  spec.hostname = replica.metadata().name().substr(0, 63);
  spec.network_namespace = context.netns_path;
  if (!context.nameserver.empty()) {
    spec.nameservers = {context.nameserver};
    spec.search_domains = {
        absl::StrCat(replica.metadata().project(), ".", context.dns_domain)};
  }
  if (!replica.spec().address().empty()) {
    spec.hosts = {{spec.hostname, replica.spec().address()}};
  }
  spec.mounts = context.mounts;
  spec.resources = ResourcesOf(container.resources());
  if (container.profile() == v1::Container::PRIVILEGED) {
    spec.profile = engine::SecurityProfile::kPrivileged;
  }
  return spec;
}

int SignalNumber(absl::string_view name) {
  return ParseSignal(name).value_or(SIGTERM);
}

}  // namespace bulwark::scheduler
