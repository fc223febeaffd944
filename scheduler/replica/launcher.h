// Makes what a replica's containers need, and starts them.
#ifndef SCHEDULER_REPLICA_LAUNCHER_H_
#define SCHEDULER_REPLICA_LAUNCHER_H_

#include <atomic>
#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "base/clock.h"
#include "base/entropy.h"
#include "engine/engine.h"
#include "engine/images.h"
#include "netmesh/network.h"
#include "proto/bulwark/v1/service.pb.h"
#include "scheduler/replica/id_pool.h"
#include "scheduler/replica/inputs.h"
#include "scheduler/replica/sandbox_maker.h"
#include "scheduler/slot_guard.h"
#include "secrets/delivery.h"
#include "store/store.h"
#include "volumes/volume.h"

namespace bulwark::scheduler {

// Thread-safe. Blocks on kernel, disk and, for an image that was removed, the
// registry.
class Launcher {
 public:
  // The references must outlive this object.
  Launcher(store::MetadataStore& store, engine::Engine& engine,
           engine::Images& images, netmesh::Network& network,
           volumes::Volumes& volumes, secrets::Delivery& delivery,
           secrets::RecordReads record_reads, SlotGuard& slots, Clock& clock,
           Entropy& entropy, std::string dns_domain, IdPool ids = {});

  // Sandbox, volumes, image, container: each made unless it is there.
  // Idempotent. An error that IsRetryable() may pass; any other is the
  // declaration's fault, and the replica has failed.
  absl::StatusOr<engine::ContainerInfo> Start(const v1::Replica& replica,
                                              const v1::Revision& revision,
                                              const v1::Container& container,
                                              const std::string& id);

  // The stop signal: of the template, else of the image, else SIGTERM.
  int StopSignal(const v1::Revision& revision, absl::string_view container);

  // The files of secrets and configs.
  InputFiles& inputs() { return inputs_; }

  // Forgets what it remembers of a replica that ended.
  void Forget(const std::string& replica_uid);

  // Makes running and future pulls end with CANCELLED.
  void Cancel() { cancelled_ = true; }

 private:
  struct Place {
    netmesh::Sandbox sandbox;
    std::string gateway;
  };

  // With a sandbox that can be entered, made unless it was.
  absl::StatusOr<Place> PreparePlace(const v1::Replica& replica,
                                     const v1::Revision& revision);
  absl::StatusOr<engine::Image> FindImage(const v1::Revision& revision,
                                          const v1::Container& container);

  store::MetadataStore& store_;
  engine::Engine& engine_;
  engine::Images& images_;
  netmesh::Network& network_;
  volumes::Volumes& volumes_;
  InputFiles inputs_;
  SandboxMaker sandboxes_;
  Clock& clock_;
  Entropy& entropy_;
  const std::string dns_domain_;
  std::atomic<bool> cancelled_{false};

  absl::Mutex mu_;
  std::map<std::string, Place> places_ ABSL_GUARDED_BY(mu_);  // by uid
};

}  // namespace bulwark::scheduler

#endif  // SCHEDULER_REPLICA_LAUNCHER_H_
