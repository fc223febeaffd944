// Prepares the sandboxes of replicas.
#ifndef SCHEDULER_REPLICA_SANDBOX_MAKER_H_
#define SCHEDULER_REPLICA_SANDBOX_MAKER_H_

#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "engine/engine.h"
#include "netmesh/network.h"
#include "proto/bulwark/v1/service.pb.h"
#include "scheduler/replica/id_pool.h"
#include "scheduler/slot_guard.h"

namespace bulwark::scheduler {

// Thread-safe.
class SandboxMaker {
 public:
  // The references must outlive this object.
  SandboxMaker(engine::Engine& engine, netmesh::Network& network,
               SlotGuard& slots, IdPool ids);
  SandboxMaker(const SandboxMaker&) = delete;
  SandboxMaker& operator=(const SandboxMaker&) = delete;

  // The sandbox of a replica, prepared (see Network): the one that its slot
  // has, if that fits, with its ids, or a new one with ids of its own.
  // Idempotent. Errors as those of PickIds, DeleteSandbox and PrepareSandbox.
  absl::StatusOr<netmesh::Sandbox> Prepare(const v1::Replica& replica,
                                           netmesh::SandboxSpec spec);

 private:
  // What the slot has already, if it can be kept.
  absl::StatusOr<bool> Keep(const v1::Replica& replica,
                            netmesh::SandboxSpec& spec);
  // Whether the engine has a container of the replica.
  bool HasContainers(const v1::Replica& replica);
  absl::StatusOr<netmesh::IdRange> Pick();

  engine::Engine& engine_;
  netmesh::Network& network_;
  SlotGuard& slots_;
  const IdPool ids_;

  // From the choice of ids until the network knows them.
  absl::Mutex mu_;
};

}  // namespace bulwark::scheduler

#endif  // SCHEDULER_REPLICA_SANDBOX_MAKER_H_
