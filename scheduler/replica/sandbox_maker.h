// Makes the sandboxes of replicas while the rest of a start goes on.
#ifndef SCHEDULER_REPLICA_SANDBOX_MAKER_H_
#define SCHEDULER_REPLICA_SANDBOX_MAKER_H_

#include <chrono>
#include <deque>
#include <future>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "engine/engine.h"
#include "netmesh/network.h"
#include "proto/bulwark/v1/service.pb.h"
#include "scheduler/replica/id_pool.h"
#include "scheduler/slot_guard.h"

namespace bulwark::scheduler {

// A sandbox that may still have to be made. Copies are of the same one.
struct ComingSandbox {
  std::string netns_path;  // where it is, or will be
  netmesh::IdRange ids;
  std::shared_future<absl::StatusOr<netmesh::Sandbox>> made;

  // Whether `made` has come, for better or worse.
  bool IsMade() const {
    return made.wait_for(std::chrono::seconds(0)) == std::future_status::ready;
  }
};

// Makes one at a time, as the network does, on a thread of its own.
// Thread-safe.
class SandboxMaker {
 public:
  // The references must outlive this object.
  SandboxMaker(engine::Engine& engine, netmesh::Network& network,
               SlotGuard& slots, IdPool ids);
  SandboxMaker(const SandboxMaker&) = delete;
  SandboxMaker& operator=(const SandboxMaker&) = delete;
  // What was begun is finished.
  ~SandboxMaker();

  // The sandbox of a replica: the one that its slot has, if that fits, with its
  // ids, or a new one with ids of its own. Idempotent. Errors as those of
  // PickIds and Network::DeleteSandbox; `made` has those of EnsureSandbox.
  absl::StatusOr<ComingSandbox> Begin(const v1::Replica& replica,
                                      netmesh::SandboxSpec spec);

 private:
  struct Task;

  // What the slot has already, if it can be kept.
  absl::StatusOr<bool> Keep(const v1::Replica& replica,
                            netmesh::SandboxSpec& spec);
  // Whether the engine has a container of the replica.
  bool HasContainers(const v1::Replica& replica);
  absl::StatusOr<netmesh::IdRange> Pick();
  void Work();

  engine::Engine& engine_;
  netmesh::Network& network_;
  SlotGuard& slots_;
  const IdPool ids_;

  absl::Mutex mu_;
  // Ids of sandboxes that are being made.
  std::vector<netmesh::IdRange> picked_ ABSL_GUARDED_BY(mu_);
  std::deque<std::unique_ptr<Task>> tasks_ ABSL_GUARDED_BY(mu_);
  bool stop_ ABSL_GUARDED_BY(mu_) = false;
  std::thread thread_;  // last: it uses the rest
};

}  // namespace bulwark::scheduler

#endif  // SCHEDULER_REPLICA_SANDBOX_MAKER_H_
