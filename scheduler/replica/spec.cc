#include "scheduler/replica/spec.h"

#include <sys/resource.h>

#include <csignal>
#include <optional>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/kernel_names.h"
#include "base/signals.h"
#include "base/status.h"
#include "scheduler/names.h"

namespace bulwark::scheduler {
namespace {

constexpr int kDefaultPids = 512;
// Stands for the network's gateway, which is the host.
constexpr char kHostGateway[] = "host-gateway";

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

uint64_t LimitOf(int64_t limit) {
  return limit < 0 ? RLIM_INFINITY : static_cast<uint64_t>(limit);
}

absl::Status AddHosts(const v1::Container& container,
                      const LaunchContext& context,
                      engine::ContainerSpec& spec) {
  for (const v1::HostEntry& host : container.extra_hosts()) {
    std::string address = host.address();
    if (address == kHostGateway) address = context.nameserver;
    if (address.empty()) {
      return absl::FailedPreconditionError(absl::StrCat(
          "give ", host.name(), " the address ", kHostGateway,
          ": the network has no gateway; write the host's address"));
    }
    spec.hosts.push_back({host.name(), std::move(address)});
  }
  return absl::OkStatus();
}

absl::Status AddGiven(const v1::Container& container,
                      const LaunchContext& context,
                      engine::ContainerSpec& spec) {
  for (const v1::TmpfsMount& tmpfs : container.tmpfs()) {
    engine::Mount& mount = spec.mounts.emplace_back();
    mount.kind = engine::Mount::Kind::kTmpfs;
    mount.destination = tmpfs.path();
    mount.size_bytes = tmpfs.size();
    if (tmpfs.has_mode()) mount.mode = tmpfs.mode();
  }
  for (const v1::DeviceMount& device : container.devices()) {
    spec.devices.push_back(
        {device.host_path(),
         device.path().empty() ? device.host_path() : device.path(),
         device.access().empty() ? "rw" : device.access()});
  }
  for (const v1::Ulimit& ulimit : container.ulimits()) {
    const std::optional<int> resource = ParseRlimit(ulimit.name());
    if (!resource.has_value()) {
      return absl::InvalidArgumentError(
          absl::StrCat("set ulimit ", ulimit.name(), ": there is none"));
    }
    spec.ulimits.push_back(
        {*resource, LimitOf(ulimit.soft()),
         LimitOf(ulimit.has_hard() ? ulimit.hard() : ulimit.soft())});
  }
  for (const v1::Sysctl& sysctl : container.sysctls()) {
    spec.sysctls[sysctl.name()] = sysctl.value();
  }
  spec.shm_bytes = container.shm_size();
  return AddHosts(container, context, spec);
}

engine::LogConfig LogOf(const v1::Logging& log) {
  engine::LogConfig config;
  if (log.max_size() > 0) config.max_file_bytes = log.max_size();
  if (log.max_files() > 0) config.max_files = log.max_files();
  switch (log.driver()) {
    case v1::Logging::JSON_FILE:
      config.driver = engine::LogDriver::kJsonFile;
      break;
    case v1::Logging::JOURNALD:
      config.driver = engine::LogDriver::kJournald;
      break;
    case v1::Logging::NONE:
      config.driver = engine::LogDriver::kNone;
      break;
    default:
      break;
  }
  return config;
}

void AddRights(const v1::Container& container, const LaunchContext& context,
               engine::ContainerSpec& spec) {
  if (container.profile() == v1::Container::PRIVILEGED) {
    spec.profile = engine::SecurityProfile::kPrivileged;
  } else if (container.profile() == v1::Container::RESTRICTED) {
    spec.profile = engine::SecurityProfile::kRestricted;
  }
  const v1::Capabilities& capabilities = container.capabilities();
  spec.add_capabilities = {capabilities.add().begin(),
                           capabilities.add().end()};
  spec.drop_capabilities = {capabilities.drop().begin(),
                            capabilities.drop().end()};
  if (!container.host_users() &&
      container.profile() != v1::Container::PRIVILEGED) {
    spec.ids = context.ids;
  }
}

// "24x80"; no size for anything else.
engine::TerminalSize SizeOf(const v1::Replica& replica) {
  const auto& labels = replica.metadata().labels();
  const auto label = labels.find(kTerminalLabel);
  if (label == labels.end()) return {};
  const std::pair<std::string, std::string> texts =
      absl::StrSplit(label->second, absl::MaxSplits('x', 1));
  engine::TerminalSize size;
  if (!absl::SimpleAtoi(texts.first, &size.rows) ||
      !absl::SimpleAtoi(texts.second, &size.columns) || size.rows > 0xffff ||
      size.columns > 0xffff) {
    return {};
  }
  return size;
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
  if (spec.terminal) spec.terminal_size = SizeOf(replica);
  spec.open_stdin = container.stdin();
  const std::string name = replica.metadata().name().substr(0, 63);
  spec.hostname = container.hostname().empty() ? name : container.hostname();
  spec.network_namespace = context.netns_path;
  if (!context.nameserver.empty()) {
    spec.nameservers = {context.nameserver};
    spec.search_domains = {
        absl::StrCat(replica.metadata().project(), ".", context.dns_domain)};
  }
  if (!replica.spec().address().empty()) {
    spec.hosts = {{name, replica.spec().address()}};
    if (spec.hostname != name) {
      spec.hosts.push_back({spec.hostname, replica.spec().address()});
    }
  }
  spec.mounts = context.mounts;
  RETURN_IF_ERROR(AddGiven(container, context, spec));
  spec.log = LogOf(container.log());
  spec.log.name =
      absl::StrCat(replica.metadata().project(), "/", replica.metadata().name(),
                   "/", container.name());
  spec.resources = ResourcesOf(container.resources());
  AddRights(container, context, spec);
  return spec;
}

int SignalNumber(absl::string_view name) {
  return ParseSignal(name).value_or(SIGTERM);
}

}  // namespace bulwark::scheduler
