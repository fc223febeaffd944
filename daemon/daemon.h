// bulwarkd, put together: the only place that names concrete classes.
#ifndef DAEMON_DAEMON_H_
#define DAEMON_DAEMON_H_

#include <atomic>
#include <memory>
#include <optional>
#include <thread>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "api/audit/audit_log.h"
#include "api/audit/secret_reads.h"
#include "api/server.h"
#include "base/clock.h"
#include "base/entropy.h"
#include "daemon/build_networks.h"
#include "daemon/build_users.h"
#include "daemon/config.h"
#include "daemon/disk/collector.h"
#include "daemon/disk/disk.h"
#include "daemon/instance_lock.h"
#include "daemon/metrics/collector.h"
#include "daemon/metrics/measured_exchange.h"
#include "daemon/metrics/measured_images.h"
#include "daemon/node/node_record.h"
#include "daemon/prober.h"
#include "engine/image/local_images.h"
#include "engine/local/local_engine.h"
#include "lb/local/local_proxy.h"
#include "metrics/server.h"
#include "netmesh/linux/linux_network.h"
#include "scheduler/health/health_monitor.h"
#include "scheduler/networks/network_controller.h"
#include "scheduler/publish/publisher.h"
#include "scheduler/scheduler.h"
#include "scheduler/usage/sampler.h"
#include "scheduler/volumes/actions.h"
#include "scheduler/volumes/controller.h"
#include "secrets/keyring/local_vault.h"
#include "secrets/materialize/materializer.h"
#include "store/rocks/rocks_store.h"
#include "volumes/image/image_volumes.h"
#include "volumes/local/local_volumes.h"
#include "volumes/restic/restic_backups.h"
#include "volumes/router/routed_volumes.h"
#include "volumes/tmpfs/tmpfs_volumes.h"

namespace bulwark::daemon {

// Thread-compatible.
class Daemon {
 public:
  // A first start, a restart, an upgrade and a reboot are one path: store,
  // containers, networks, data plane, controllers, and the API last. On
  // success the API answers. An error ends the start; nothing that runs is
  // touched. `config` is complete and says where the store is; clock and
  // entropy outlive the daemon.
  static absl::StatusOr<std::unique_ptr<Daemon>> Start(
      const Config& config, Clock& clock, Entropy& entropy,
      store::RocksOptions store = {});

  // Ends what Config::teardown says.
  static absl::Status Teardown(const Config& config, Clock& clock);

  // Stops serving; containers, proxy and keeper go on.
  ~Daemon();

 private:
  Daemon(const Config& config, Clock& clock, Entropy& entropy)
      : config_(config), clock_(clock), entropy_(entropy) {}

  absl::Status OpenStores(store::RocksOptions options);
  absl::Status OpenVolumes();
  absl::Status OpenSecrets();
  absl::Status OpenKernel();
  absl::Status StartControllers();
  absl::Status StartVolumes();
  // The newest version of a secret, for bulwarkd's own use.
  absl::StatusOr<SecretText> ReadSecret(const std::string& project,
                                        const std::string& name);
  api::VolumeActions VolumeCalls();
  absl::Status StartServer();
  void StartImageCollector();
  void StartMetrics();
  void RepairLoop();
  void RepairNetwork();
  void UpdateNode();

  const Config config_;
  Clock& clock_;
  Entropy& entropy_;

  // In the order of their start; destroyed in reverse.
  std::optional<InstanceLock> lock_;
  std::unique_ptr<store::RocksStore> store_;
  std::unique_ptr<secrets::LocalVault> vault_;
  std::unique_ptr<secrets::Materializer> delivery_;
  std::unique_ptr<api::AuditLog> audit_;
  std::unique_ptr<api::SecretReadLog> secret_reads_;
  std::unique_ptr<engine::LocalEngine> engine_;
  std::unique_ptr<netmesh::LinuxNetwork> network_;
  scheduler::IdPool ids_;  // of replicas, and of builds
  std::unique_ptr<BuildUsers> build_users_;
  std::unique_ptr<BuildNetworks> build_networks_;
  std::unique_ptr<engine::LocalImages> local_images_;
  std::unique_ptr<MeasuredImages> images_;  // the same, counted
  std::unique_ptr<MeasuredExchange> exchange_;
  std::unique_ptr<volumes::LocalVolumes> local_volumes_;
  std::unique_ptr<volumes::ImageVolumes> image_volumes_;
  std::unique_ptr<volumes::TmpfsVolumes> tmpfs_volumes_;
  std::unique_ptr<volumes::RoutedVolumes> volumes_;
  std::unique_ptr<volumes::ResticBackups> backups_;
  std::unique_ptr<lb::LocalProxy> proxy_;
  std::unique_ptr<LocalProber> prober_;
  std::unique_ptr<scheduler::NetworkController> networks_;
  std::unique_ptr<scheduler::Publisher> publisher_;
  std::unique_ptr<scheduler::HealthMonitor> health_;
  std::unique_ptr<scheduler::UsageSampler> usage_;
  std::unique_ptr<scheduler::Scheduler> scheduler_;
  std::unique_ptr<scheduler::VolumeController> volume_controller_;
  std::unique_ptr<scheduler::VolumeActions> volume_actions_;
  // What the engine's events go to; null before and after the scheduler works.
  std::atomic<scheduler::Scheduler*> events_to_ = nullptr;

  absl::Mutex mu_;
  bool stop_ ABSL_GUARDED_BY(mu_) = false;
  std::thread repair_;
  std::unique_ptr<NodeRecord> node_;
  bool node_open_ = false;    // of the repairing thread only
  std::string last_trouble_;  // of the network, as last logged; its too
  std::unique_ptr<Disk> disk_;
  std::unique_ptr<ImageCollector> image_collector_;
  std::unique_ptr<api::Server> server_;
  std::unique_ptr<Collector> collector_;
  std::unique_ptr<metrics::Server> metrics_;  // null: off
};

}  // namespace bulwark::daemon

#endif  // DAEMON_DAEMON_H_
