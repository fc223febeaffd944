#include "scheduler/reap/reaper.h"

#include <algorithm>
#include <optional>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/log.h"
#include "base/status.h"
#include "scheduler/names.h"
#include "scheduler/reap/plan.h"
#include "scheduler/rollout/restart.h"
#include "scheduler/services/reader.h"
#include "store/objects.h"

namespace bulwark::scheduler {
namespace {

std::string OwnerOf(const engine::ContainerInfo& info) {
  auto it = info.labels.find(kReplicaLabel);
  return it == info.labels.end() ? "" : it->second;
}

std::string SandboxOf(const v1::Replica& replica) {
  return SandboxId(replica.spec().service_uid(), replica.spec().slot());
}

// Whether a replica of the same slot needs the sandbox that `replica` has: a
// live one, or the record of an ended one that still holds the address.
bool KeepsSandbox(const v1::Replica& other, const v1::Replica& replica,
                  bool for_records) {
  return other.metadata().uid() != replica.metadata().uid() &&
         other.spec().service_uid() == replica.spec().service_uid() &&
         other.spec().slot() == replica.spec().slot() &&
         (!HasEnded(other) ||
          (for_records && other.spec().address() == replica.spec().address()));
}

absl::StatusOr<bool> HoldsServices(store::MetadataStore& store) {
  ASSIGN_OR_RETURN(store::Listing all, store.List(store::Filter{}));
  return std::any_of(
      all.records.begin(), all.records.end(), [](const store::Record& r) {
        return r.key.kind == "service" || r.key.kind == "job" ||
               r.key.kind == "replica" || r.key.kind == "revision";
      });
}

}  // namespace

absl::Status CheckStoreKnows(store::MetadataStore& store,
                             engine::Engine& engine) {
  std::vector<std::string> running;
  for (const engine::ContainerInfo& c : engine.List()) {
    if (c.state == engine::ContainerState::kRunning && !OwnerOf(c).empty()) {
      running.push_back(c.id);
    }
  }
  if (running.empty()) return absl::OkStatus();
  ASSIGN_OR_RETURN(const bool holds_services, HoldsServices(store));
  if (holds_services) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrCat(
      "take over ", running.size(), " running containers (", running.front(),
      running.size() > 1 ? " and others" : "",
      "): the store holds no service that could have asked for them; nothing "
      "was touched. Was the store lost?"));
}

Reaper::Reaper(store::MetadataStore& store, engine::Engine& engine,
               netmesh::Network& network, secrets::Delivery& delivery,
               SlotGuard& slots, Clock& clock, Changed changed)
    : store_(store),
      engine_(engine),
      network_(network),
      delivery_(delivery),
      slots_(slots),
      clock_(clock),
      changed_(std::move(changed)) {}

absl::StatusOr<ReapPlan> Reaper::Plan(const store::Key& owner,
                                      std::vector<v1::Replica>& replicas) {
  ASSIGN_OR_RETURN(std::optional<v1::Object> object,
                   FindObject(store_, owner.kind, owner.project, owner.name));
  if (owner.kind == "job") {
    ASSIGN_OR_RETURN(replicas,
                     ListReplicasOfJob(store_, owner.project, owner.name));
    return PlanReapOfJob(object.has_value() ? &object->job() : nullptr,
                         replicas);
  }
  ASSIGN_OR_RETURN(replicas, ListReplicas(store_, owner.project, owner.name));
  if (!object.has_value()) return PlanReap(nullptr, replicas, clock_.Now());
  ASSIGN_OR_RETURN(const std::optional<v1::Scale> scale,
                   FindScale(store_, object->service()));
  return PlanReap(&object->service(), replicas, clock_.Now(), CountOf(scale));
}

absl::StatusOr<Result> Reaper::Reconcile(const std::string& key) {
  ASSIGN_OR_RETURN(const store::Key owner, store::Key::Parse(key));
  std::vector<v1::Replica> replicas;
  ASSIGN_OR_RETURN(const ReapPlan plan, Plan(owner, replicas));
  const auto listed = [](const std::vector<std::string>& names,
                         const v1::Replica& r) {
    return std::find(names.begin(), names.end(), r.metadata().name()) !=
           names.end();
  };
  absl::Status first;
  for (const v1::Replica& r : replicas) {
    // One that resists does not hold up the others.
    if (listed(plan.remove, r)) {
      first.Update(Remove(r));
    } else if (listed(plan.release, r)) {
      first.Update(Release(r));
    }
  }
  if (!plan.remove.empty() || !plan.release.empty()) changed_(owner);
  RETURN_IF_ERROR(first);
  Result result;
  if (plan.wake_at != absl::InfiniteFuture()) {
    result.requeue_after = plan.wake_at - clock_.Now();
  }
  return result;
}

absl::StatusOr<std::vector<v1::Replica>> Reaper::SiblingsOf(
    const v1::Replica& replica) {
  const v1::ReplicaSpec& spec = replica.spec();
  const std::string& project = replica.metadata().project();
  return spec.job().empty() ? ListReplicas(store_, project, spec.service())
                            : ListReplicasOfJob(store_, project, spec.job());
}

absl::Status Reaper::Remove(const v1::Replica& replica) {
  const std::string& uid = replica.metadata().uid();
  RETURN_IF_ERROR(RemoveContainers(
      [&](const engine::ContainerInfo& info) { return OwnerOf(info) == uid; }));
  RETURN_IF_ERROR(WithdrawInputs(
      [&](const std::string& id) { return ReplicaUidOf(id) == uid; }));
  const std::string sandbox = SandboxOf(replica);
  SlotGuard::Hold hold(slots_, sandbox);
  // Read under the hold: whoever came to the slot before has a record, and
  // whoever comes later makes the sandbox anew.
  ASSIGN_OR_RETURN(const std::vector<v1::Replica> now, SiblingsOf(replica));
  const bool used =
      std::any_of(now.begin(), now.end(), [&](const v1::Replica& other) {
        return KeepsSandbox(other, replica, /*for_records=*/true);
      });
  if (!used) RETURN_IF_ERROR(network_.DeleteSandbox(sandbox));
  // Not fsynced: a record that comes back is reaped again.
  return store_
      .Commit(
          store::Batch()
              .Delete(store::ObjectKey("replica", replica.metadata().project(),
                                       replica.metadata().name()))
              .NotDurable())
      .status();
}

absl::Status Reaper::Release(const v1::Replica& replica) {
  const std::string sandbox = SandboxOf(replica);
  SlotGuard::Hold hold(slots_, sandbox);
  ASSIGN_OR_RETURN(const std::vector<v1::Replica> now, SiblingsOf(replica));
  const bool lived_in =
      std::any_of(now.begin(), now.end(), [&](const v1::Replica& other) {
        return KeepsSandbox(other, replica, /*for_records=*/false);
      });
  if (lived_in) return absl::OkStatus();
  RETURN_IF_ERROR(network_.DeleteSandbox(sandbox));
  v1::Object object;
  *object.mutable_replica() = replica;
  object.mutable_replica()->mutable_spec()->clear_address();
  object.mutable_replica()->mutable_spec()->clear_address6();
  // Not fsynced: an address that comes back is released again.
  const absl::Status status =
      store_
          .Commit(store::Batch()
                      .Put(store::KeyOf(object), store::Encode(object),
                           store::RevisionOf(object))
                      .NotDurable())
          .status();
  // Somebody else wrote the record, and is heard of.
  return absl::IsAborted(status) ? absl::OkStatus() : status;
}

absl::Status Reaper::WithdrawInputs(
    const std::function<bool(const std::string& container_id)>& belongs) {
  absl::Status first;
  for (const std::string& id : delivery_.List()) {
    if (belongs(id)) first.Update(delivery_.Withdraw(id));
  }
  return first;
}

absl::Status Reaper::RemoveContainers(
    const std::function<bool(const engine::ContainerInfo&)>& belongs) {
  absl::Status first;
  for (const engine::ContainerInfo& info : engine_.List()) {
    if (!belongs(info)) continue;
    if (info.state == engine::ContainerState::kRunning) {
      const absl::Status killed = engine_.Kill(info.id);
      if (!killed.ok() && !absl::IsNotFound(killed)) {
        first.Update(killed);
        continue;
      }
    }
    first.Update(engine_.Remove(info.id));
  }
  return first;
}

absl::Status Reaper::SweepOrphans() {
  ASSIGN_OR_RETURN(const bool declared, HoldsServices(store_));
  const std::vector<engine::ContainerInfo> containers = engine_.List();
  const bool ours = std::any_of(
      containers.begin(), containers.end(),
      [](const engine::ContainerInfo& c) { return !OwnerOf(c).empty(); });
  if (!declared && ours) {
    return absl::FailedPreconditionError(absl::StrCat(
        "remove leftovers: the store holds no service, but the engine has ",
        containers.size(),
        " containers; nothing is touched. Restore the state directory, or "
        "remove the containers by hand"));
  }
  std::set<std::string> uids;
  std::set<std::string> sandboxes;
  ASSIGN_OR_RETURN(auto replicas, store::ListObjects(store_, "replica"));
  for (const v1::Object& object : replicas.objects) {
    const v1::Replica& r = object.replica();
    uids.insert(r.metadata().uid());
    if (HasEnded(r) && r.spec().address().empty()) continue;  // released
    sandboxes.insert(SandboxId(r.spec().service_uid(), r.spec().slot()));
  }
  absl::Status first = RemoveContainers([&](const engine::ContainerInfo& info) {
    const std::string owner = OwnerOf(info);
    if (owner.empty() || uids.contains(owner)) return false;
    LOG_WARN("removing a container that no replica accounts for",
             {{"container", info.id}});
    return true;
  });
  if (!declared) return first;
  // What was laid out for containers that never came, or have gone.
  std::set<std::string> running;
  for (const engine::ContainerInfo& info : engine_.List()) {
    if (info.state == engine::ContainerState::kRunning) running.insert(info.id);
  }
  first.Update(WithdrawInputs(
      [&](const std::string& id) { return !running.contains(id); }));
  for (const netmesh::Sandbox& sandbox : network_.ListSandboxes()) {
    if (sandboxes.contains(sandbox.spec.id)) continue;
    first.Update(network_.DeleteSandbox(sandbox.spec.id));
  }
  return first;
}

}  // namespace bulwark::scheduler
