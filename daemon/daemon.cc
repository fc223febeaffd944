#include "daemon/daemon.h"

#include <fcntl.h>

#include <filesystem>
#include <optional>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "api/credentials.h"
#include "api/keyring_rows.h"
#include "base/log.h"
#include "base/status.h"
#include "base/unique_fd.h"
#include "daemon/doctor/gather.h"
#include "daemon/doctor/judge.h"
#include "daemon/id_ranges.h"
#include "daemon/image_updates.h"
#include "daemon/usage_stats.h"
#include "engine/image/byte_source.h"
#include "engine/image/unpack.h"
#include "os/cgroup.h"
#include "os/files.h"
#include "os/kernel.h"
#include "os/mounts.h"
#include "scheduler/reap/reaper.h"
#include "secrets/materialize/memory_mount.h"

namespace bulwark::daemon {
namespace {

constexpr int64_t kMaxMountInfo = int64_t{64} << 20;
// How soon rules and links that others removed are put back.
constexpr absl::Duration kRepairPeriod = absl::Seconds(2);
constexpr int kProbesAtOnce = 16;

engine::LocalEngineConfig EngineConfig(const Config& config) {
  engine::LocalEngineConfig engine;
  engine.instance = config.instance;
  engine.runtime_dir = config.runtime_dir;
  engine.state_dir = config.state_dir;
  engine.shim_path = config.bin_dir + "/bulwark-shim";
  engine.max_kernel = config.max_kernel;
  return engine;
}

netmesh::LinuxNetworkConfig NetworkConfig(const Config& config) {
  netmesh::LinuxNetworkConfig network;
  network.instance = config.instance;
  network.runtime_dir = config.runtime_dir;
  network.uplink_subnet = config.uplink_subnet;
  network.virtual_pool = config.virtual_pool;
  network.allow_host_namespace = config.own_host;
  return network;
}

lb::LocalProxyConfig ProxyConfig(const Config& config,
                                 std::string dataplane_netns) {
  lb::LocalProxyConfig proxy;
  proxy.runtime_dir = config.runtime_dir;
  proxy.state_dir = config.state_dir;
  proxy.keeper_path = config.bin_dir + "/bulwark-keeper";
  proxy.proxy_path = config.bin_dir + "/bulwark-proxy";
  proxy.dataplane_netns = std::move(dataplane_netns);
  proxy.workers = config.proxy_workers;
  proxy.engine = config.proxy_engine;
  return proxy;
}

// Where secrets and configs lie in memory.
std::string InputsDirectory(const Config& config) {
  return config.runtime_dir + "/inputs";
}

// Where secrets of builds lie in memory.
std::string BuildSecretsDirectory(const Config& config) {
  return config.runtime_dir + "/build-secrets";
}

absl::Status MakeDirectory(const std::string& path) {
  std::error_code error;
  std::filesystem::create_directories(path, error);
  if (error) return ErrnoStatus(error.value(), "make directory", path);
  return absl::OkStatus();
}

// A build context: a tar from a client.
absl::Status UnpackContext(int fd, const std::string& dir) {
  UniqueFd root(open(dir.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!root.ok()) return ErrnoStatus("open", dir);
  ASSIGN_OR_RETURN(auto tar,
                   engine::image::NewDecompressor(
                       std::make_unique<engine::image::FdSource>(fd)));
  return engine::image::UnpackLayer(tar.get(), root.get(), {}).status();
}

// What to do when there is another store, or state directory, than the one
// from which running containers were started.
absl::Status WithWayOut(const absl::Status& status, const Config& config) {
  if (!absl::IsFailedPrecondition(status)) return status;
  return absl::FailedPreconditionError(absl::StrCat(
      status.message(), " Put back what was in ", config.state_dir,
      ", or, if that is lost: `bulwarkd --teardown`, with the same flags as "
      "now, ends what runs; then start, and apply the manifests again"));
}

absl::Status RemoveCgroups(const Config& config, Clock& clock) {
  ASSIGN_OR_RETURN(std::string mounts,
                   os::ReadFile("/proc/self/mountinfo", kMaxMountInfo));
  ASSIGN_OR_RETURN(os::CgroupLayout layout, os::ParseCgroupLayout(mounts));
  return os::Cgroups(std::move(layout), config.instance, clock).Cleanup();
}

// Ends all containers, also those that the state directory does not know.
absl::Status EndContainers(const Config& config, Clock& clock) {
  engine::LocalEngineConfig engine_config = EngineConfig(config);
  engine_config.erase_unknown = true;
  ASSIGN_OR_RETURN(auto engine, engine::LocalEngine::Create(
                                    std::move(engine_config), clock));
  absl::Status first = engine->Recover([](absl::string_view) {});
  for (const engine::ContainerInfo& c : engine->List()) {
    first.Update(engine->Kill(c.id));
    first.Update(engine->Remove(c.id));
  }
  return first;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Daemon>> Daemon::Start(
    const Config& config, Clock& clock, Entropy& entropy,
    store::RocksOptions store) {
  std::unique_ptr<Daemon> daemon(new Daemon(config, clock, entropy));
  ASSIGN_OR_RETURN(InstanceLock lock, InstanceLock::Take(config, clock));
  daemon->lock_.emplace(std::move(lock));
  RETURN_IF_ERROR(daemon->OpenStores(std::move(store)));
  RETURN_IF_ERROR(daemon->OpenSecrets());
  RETURN_IF_ERROR(daemon->OpenKernel());
  RETURN_IF_ERROR(daemon->StartControllers());
  RETURN_IF_ERROR(daemon->StartServer());
  daemon->StartImageCollector();
  daemon->StartMetrics();
  return daemon;
}

absl::Status Daemon::OpenStores(store::RocksOptions options) {
  RETURN_IF_ERROR(MakeDirectory(config_.state_dir));
  options.path = config_.state_dir + "/store";
  ASSIGN_OR_RETURN(
      store_, store::RocksStore::Open(std::move(options), clock_, entropy_));
  return OpenVolumes();
}

absl::Status Daemon::OpenSecrets() {
  vault_ = std::make_unique<secrets::LocalVault>(config_.key_file, clock_);
  // Whatever needs no secret runs all the same, also on a full disk.
  if (absl::Status loaded = api::LoadKeyring(*store_, *vault_); !loaded.ok()) {
    LOG_ERROR("the keyring of secrets is not stored", {{"cause", loaded}});
  }
  const secrets::VaultStatus status = vault_->Status();
  if (status.sealed) {
    LOG_ERROR("secrets are sealed: what needs one waits",
              {{"cause", status.message}, {"remedy", status.remedy}});
  }
  audit_ = std::make_unique<api::AuditLog>(*store_, clock_);
  secret_reads_ = std::make_unique<api::SecretReadLog>(*audit_, clock_);
  delivery_ = std::make_unique<secrets::Materializer>(InputsDirectory(config_),
                                                      *vault_);
  const auto features = os::ProbeKernel(config_.max_kernel);
  const bool tmpfs = features.ok() && features->tmpfs_noswap;
  if (absl::Status opened = delivery_->Open(tmpfs); !opened.ok()) {
    LOG_ERROR("secrets and configs cannot be delivered", {{"cause", opened}});
  }
  return absl::OkStatus();
}

absl::Status Daemon::OpenKernel() {
  ASSIGN_OR_RETURN(engine_,
                   engine::LocalEngine::Create(EngineConfig(config_), clock_));
  RETURN_IF_ERROR(WithWayOut(engine_->Recover([this](absl::string_view id) {
    scheduler::Scheduler* scheduler = events_to_;
    if (scheduler != nullptr) scheduler->OnEngineEvent(id);
  }),
                             config_));
  RETURN_IF_ERROR(
      WithWayOut(scheduler::CheckStoreKnows(*store_, *engine_), config_));
  network_ = std::make_unique<netmesh::LinuxNetwork>(NetworkConfig(config_));
  RETURN_IF_ERROR(network_->Recover());
  ids_ = FindIds(config_);
  build_users_ = std::make_unique<BuildUsers>(*network_, ids_);
  build_networks_ = std::make_unique<BuildNetworks>(*network_, entropy_,
                                                    config_.build_subnet);
  // Services do not wait for what only builds need.
  if (absl::Status status = build_networks_->Open(); !status.ok()) {
    LOG_WARN("builds have no network; see --build-subnet", {{"cause", status}});
  }
  engine::LocalImagesConfig images;
  images.state_dir = config_.state_dir + "/images";
  images.insecure_registries = config_.insecure_registries;
  images.certificate_dirs = {config_.certs_dir, "/etc/docker/certs.d"};
  images.registry_pace = {absl::Seconds(config_.registry_stall_timeout),
                          config_.registry_min_rate};
  ASSIGN_OR_RETURN(images.mirrors, MirrorsOf(config_.registry_mirrors));
  images.required_signatures = config_.required_signatures;
  images.clock = &clock_;
  images.entropy = &entropy_;
  images.engine = engine_.get();
  images.credentials = [this](const std::string& registry)
      -> absl::StatusOr<std::optional<engine::RegistryAuth>> {
    ASSIGN_OR_RETURN(std::optional<api::OpenCredential> credential,
                     api::FindCredential(*store_, *vault_, registry));
    if (!credential.has_value()) return std::nullopt;
    return engine::RegistryAuth{std::move(credential->username),
                                SecretText(credential->password.Reveal())};
  };
  images.build_users = [this] { return build_users_->Acquire(); };
  images.build_network = [this](const engine::IdRange& ids) {
    return build_networks_->Acquire(ids);
  };
  const auto features = os::ProbeKernel(config_.max_kernel);
  const std::string memory = BuildSecretsDirectory(config_);
  if (absl::Status opened = secrets::EnsureMemoryMount(
          memory, features.ok() && features->tmpfs_noswap);
      opened.ok()) {
    images.memory_dir = memory;
  } else {
    LOG_ERROR("builds cannot be given secrets", {{"cause", opened}});
  }
  ASSIGN_OR_RETURN(local_images_, engine::LocalImages::Open(std::move(images)));
  images_ = std::make_unique<MeasuredImages>(*local_images_, clock_);
  exchange_ = std::make_unique<MeasuredExchange>(*local_images_, clock_);
  proxy_ = std::make_unique<lb::LocalProxy>(
      ProxyConfig(config_, network_->dataplane_netns()), clock_);
  return proxy_->Start();
}

absl::Status Daemon::StartControllers() {
  scheduler::NetworkControllerOptions network_options;
  network_options.pool = config_.container_pool;
  networks_ = std::make_unique<scheduler::NetworkController>(
      *store_, *network_, clock_, entropy_, std::move(network_options));
  // They start after the scheduler, and stop before it.
  const scheduler::TellEvent tell =
      [this](const v1::ObjectReference& subject, absl::string_view reason,
             absl::string_view message, v1::Event::Severity severity) {
        scheduler_->events().Record(subject, reason, message, severity);
      };
  publisher_ = std::make_unique<scheduler::Publisher>(
      *store_, *proxy_, clock_,
      scheduler::PublisherOptions{config_.dns_upstreams,
                                  build_networks_->DnsAddresses(), tell});
  prober_ = std::make_unique<LocalProber>(*engine_, *network_, clock_);
  health_ = std::make_unique<scheduler::HealthMonitor>(
      *store_, *images_, *prober_, clock_, kProbesAtOnce, tell);
  usage_ = std::make_unique<scheduler::UsageSampler>(scheduler::UsagePorts{
      *store_, *engine_, *network_, *proxy_,
      [this] { return ReadNode(config_.state_dir); }, clock_});
  scheduler::SchedulerOptions options;
  options.virtual_pool = config_.virtual_pool;
  options.ids = ids_;
  scheduler_ = std::make_unique<scheduler::Scheduler>(
      scheduler::SchedulerPorts{*store_, *engine_, *images_, *network_,
                                *volumes_, *vault_, *delivery_, *publisher_,
                                clock_, entropy_,
                                [this] { return usage_->History(); },
                                [this](const secrets::SecretReads& reads) {
                                  return secret_reads_->Record(reads);
                                },
                                AuditImageUpdates(*audit_)},
      std::move(options));
  // One network that cannot be had is in its condition and tried again.
  if (absl::Status status = networks_->ReconcileOnce(); !status.ok()) {
    LOG_WARN("networks are not complete", {{"cause", status}});
  }
  networks_->Start();
  events_to_ = scheduler_.get();
  RETURN_IF_ERROR(scheduler_->Start());
  RETURN_IF_ERROR(StartVolumes());
  publisher_->Start([this](const std::string& replica_uid) {
    scheduler_->OnEndpointsChanged(replica_uid);
  });
  health_->Start();
  usage_->Start();
  node_ = std::make_unique<NodeRecord>(
      *store_, clock_, scheduler_->events(), IdentifyHost(clock_),
      config_.program_version, clock_.Now(),
      [this] { return Judge(Gather(config_, *store_, clock_)); },
      [this] { return vault_->Status().public_key; });
  repair_ = std::thread([this] { RepairLoop(); });
  if (std::string why = scheduler_->degraded(); !why.empty()) {
    LOG_ERROR("degraded", {{"cause", why}});
  }
  return absl::OkStatus();
}

absl::Status Daemon::StartServer() {
  api::ServerOptions options;
  options.socket_path = config_.socket;
  options.group = config_.socket_group;
  options.state_dir = config_.state_dir;
  options.version.version = config_.program_version;
  options.version.instance = config_.instance;
  options.version.start_time = clock_.Now();
  api::ServerDependencies dependencies{
      *store_,
      *engine_,
      *images_,
      clock_,
      entropy_,
      engine::NormalizeReference,
      UnpackContext,
      [this](absl::Duration timeout) {
        return scheduler_->ShutdownAll(timeout);
      }};
  dependencies.stats = [this](absl::Duration max_age) {
    return ToStats(*usage_->Fresh(max_age));
  };
  dependencies.host.doctor = [this]() -> absl::StatusOr<v1::DoctorResponse> {
    return Judge(Gather(config_, *store_, clock_));
  };
  disk_ = std::make_unique<Disk>(config_.state_dir, *store_, *engine_, *images_,
                                 *volumes_);
  dependencies.host.disk_usage = [this] { return disk_->Usage(); };
  dependencies.host.prune = [this](const v1::PruneRequest& request) {
    return disk_->Prune(request);
  };
  dependencies.volumes = VolumeCalls();
  dependencies.vault = vault_.get();
  dependencies.audit = audit_.get();
  dependencies.access = engine_.get();
  dependencies.files = engine_.get();
  dependencies.commits = local_images_.get();
  dependencies.content = local_images_.get();
  dependencies.exchange = exchange_.get();
  dependencies.registries = {
      engine::NormalizeRegistry, engine::NormalizeReference,
      [this](const std::string& registry, const engine::RegistryAuth& auth) {
        return local_images_->CheckCredentials(registry, auth);
      }};
  dependencies.unsealed = [this] { scheduler_->OnUnsealed(); };
  ASSIGN_OR_RETURN(server_, api::Server::Start(options, dependencies));
  return absl::OkStatus();
}

void Daemon::StartImageCollector() {
  CollectorOptions options;
  options.marks = {config_.image_gc_start, config_.image_gc_stop};
  image_collector_ = std::make_unique<ImageCollector>(
      *disk_, clock_, options, [this](bool enough, const std::string& message) {
        scheduler_->events().Record(
            NodeReference(), enough ? "ImagesCollected" : "DiskTooFull",
            message, enough ? v1::Event::NORMAL : v1::Event::WARNING);
      });
  image_collector_->Start();
}

void Daemon::RepairLoop() {
  while (true) {
    UpdateNode();
    {
      absl::MutexLock lock(&mu_);
      if (clock_.AwaitUntil(mu_, absl::Condition(&stop_),
                            clock_.Steady() + kRepairPeriod)) {
        return;
      }
    }
    RepairNetwork();
  }
}

void Daemon::RepairNetwork() {
  const absl::Status status = network_->Repair();
  if (!status.ok() && status.ToString() != last_trouble_) {
    LOG_WARN("network is not repaired", {{"cause", status}});
  }
  last_trouble_ = status.ToString();
}

// The record only informs: when it cannot be written, the next round tries.
void Daemon::UpdateNode() {
  const absl::Status status = node_open_ ? node_->Update() : node_->Open();
  if (status.ok()) {
    node_open_ = true;
  } else {
    LOG_DEBUG("the node's record is not written", {{"cause", status}});
  }
}

Daemon::~Daemon() {
  metrics_.reset();
  if (collector_ != nullptr) collector_->Stop();
  if (image_collector_ != nullptr) image_collector_->Stop();
  if (volume_controller_ != nullptr) volume_controller_->Interrupt();
  if (server_ != nullptr) server_->Stop(absl::Seconds(5));
  server_.reset();
  {
    absl::MutexLock lock(&mu_);
    stop_ = true;
  }
  if (repair_.joinable()) repair_.join();
  if (usage_ != nullptr) usage_->Stop();
  if (health_ != nullptr) health_->Stop();
  if (publisher_ != nullptr) publisher_->Stop();
  if (networks_ != nullptr) networks_->Stop();
  events_to_ = nullptr;
  if (volume_controller_ != nullptr) volume_controller_->Stop();
  if (scheduler_ != nullptr) scheduler_->Stop();
}

absl::Status Daemon::Teardown(const Config& config, Clock& clock) {
  // The controllers that would start things again must not run.
  ASSIGN_OR_RETURN(const InstanceLock lock, InstanceLock::Take(config, clock));
  RETURN_IF_ERROR(MakeDirectory(config.state_dir));
  absl::Status first = EndContainers(config, clock);
  netmesh::LinuxNetwork network(NetworkConfig(config));
  lb::LocalProxy proxy(ProxyConfig(config, network.dataplane_netns()), clock);
  first.Update(proxy.Shutdown());
  first.Update(network.Teardown());
  first.Update(RemoveCgroups(config, clock));
  // Before the directory goes: what is still mounted there would go with it.
  first.Update(os::UnmountBelow(config.runtime_dir));
  first.Update(secrets::Materializer::Teardown(InputsDirectory(config)));
  first.Update(secrets::RemoveMemoryMount(BuildSecretsDirectory(config)));
  if (!first.ok()) return first;
  std::error_code ignored;
  std::filesystem::remove_all(config.runtime_dir, ignored);
  return absl::OkStatus();
}

}  // namespace bulwark::daemon
