#include "scheduler/networks/network_controller.h"

#include <algorithm>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/log.h"
#include "base/status.h"
#include "netmesh/ipam.h"
#include "scheduler/conditions.h"
#include "scheduler/times.h"
#include "store/objects.h"
#include "store/readable.h"

namespace bulwark::scheduler {
namespace {

constexpr absl::Duration kResyncPeriod = absl::Seconds(30);
// Who waits for a network looks for it less often.
constexpr absl::Duration kGather = absl::Milliseconds(10);
constexpr char kDefault[] = "default";

std::string Project(const v1::Metadata& metadata) {
  return metadata.project().empty() ? kDefault : metadata.project();
}

// Of a service or a job.
std::string NetworkOf(const v1::Object& user) {
  const std::string& network = user.has_job() ? user.job().spec().network()
                                              : user.service().spec().network();
  return network.empty() ? kDefault : network;
}

}  // namespace

NetworkController::NetworkController(store::MetadataStore& store,
                                     netmesh::Network& network, Clock& clock,
                                     Entropy& entropy,
                                     NetworkControllerOptions options)
    : store_(store),
      network_(network),
      clock_(clock),
      entropy_(entropy),
      options_(std::move(options)),
      follower_(
          "networks", store, clock, store::Filter{},
          [this](const std::vector<store::Change>* changes)
              -> absl::StatusOr<absl::Duration> {
            if (changes == nullptr || changes->empty() ||
                std::any_of(changes->begin(), changes->end(),
                            [this](const store::Change& change) {
                              return Concerns(change);
                            })) {
              RETURN_IF_ERROR(ReconcileOnce());
            }
            return kResyncPeriod;
          },
          kGather) {}

std::string NetworkController::NetmeshId(const v1::Network& network) {
  return network.metadata().uid();
}

bool NetworkController::Concerns(const store::Change& change) {
  if (change.key.kind == "network") return true;
  if (change.key.kind != "service" && change.key.kind != "job") return false;
  if (change.op == store::Change::Op::kDelete) return true;
  const absl::StatusOr<v1::Object> object =
      store::Decode(change.key, change.value, change.revision);
  if (!object.ok()) return true;
  const std::string network = NetworkOf(*object);
  const auto known = networks_of_.find(change.key);
  if (known != networks_of_.end()) return known->second != network;
  if (!up_.contains({change.key.project, network})) return true;
  networks_of_[change.key] = network;
  return false;
}

absl::StatusOr<NetworkController::View> NetworkController::Read() {
  View view;
  networks_of_.clear();
  ASSIGN_OR_RETURN(auto networks, store::ListReadable(store_, "network"));
  view.networks = std::move(networks.objects);
  view.unreadable = std::move(networks.unreadable);
  for (const char* kind : {"service", "job"}) {
    ASSIGN_OR_RETURN(auto users, store::ListReadable(store_, kind));
    for (const store::Unreadable& bad : users.unreadable) {
      view.unknown_users.insert(bad.record.key.project);
    }
    for (const v1::Object& user : users.objects) {
      const store::Key key = store::KeyOf(user);
      networks_of_[key] = NetworkOf(user);
      view.users.insert({key.project, NetworkOf(user)});
    }
  }
  return view;
}

absl::Status NetworkController::ReconcileOnce() {
  up_.clear();
  ASSIGN_OR_RETURN(View view, Read());
  RETURN_IF_ERROR(AddMissingDefaults(view));
  absl::Status first;
  // One broken network must not keep the others waiting.
  for (size_t i = 0; i < view.networks.size(); ++i) {
    absl::Status status = Reconcile(view, view.networks[i]);
    const v1::Metadata& metadata = view.networks[i].network().metadata();
    if (status.ok() && !metadata.has_delete_time()) {
      up_.insert({Project(metadata), metadata.name()});
    }
    // Later ones must not be given the same subnet.
    auto current = store::GetObject(store_, store::KeyOf(view.networks[i]));
    if (current.ok()) view.networks[i] = *std::move(current);
    first.Update(status);
  }
  return first;
}

absl::Status NetworkController::AddMissingDefaults(View& view) {
  std::set<std::string> have;
  for (const v1::Object& o : view.networks) {
    if (o.network().metadata().name() == kDefault) {
      have.insert(Project(o.network().metadata()));
    }
  }
  for (const store::Unreadable& bad : view.unreadable) {
    if (bad.record.key.name == kDefault) have.insert(bad.record.key.project);
  }
  std::set<std::string> wanted = {kDefault};
  for (const auto& [project, name] : view.users) {
    if (name == kDefault) wanted.insert(project);
  }
  for (const std::string& project : wanted) {
    if (have.count(project) > 0) continue;
    v1::Object object;
    v1::Metadata& metadata = *object.mutable_network()->mutable_metadata();
    metadata.set_name(kDefault);
    metadata.set_project(project);
    metadata.set_uid(NewUid(entropy_));
    metadata.set_generation(1);
    SetTime(metadata.mutable_create_time(), clock_.Now());
    RETURN_IF_ERROR(Commit(object, true));
    view.networks.push_back(std::move(object));
  }
  return absl::OkStatus();
}

absl::Status NetworkController::Reconcile(const View& view, v1::Object object) {
  v1::Network& network = *object.mutable_network();
  if (network.metadata().has_delete_time()) return Delete(view, object);
  v1::Condition condition;
  condition.set_type("Ready");
  absl::Status status = Allocate(view, object);
  if (status.ok()) {
    status = network_
                 .EnsureNetwork({NetmeshId(network), network.status().subnet(),
                                 network.status().subnet6()})
                 .status();
  }
  condition.set_status(status.ok() ? v1::Condition::TRUE
                                   : v1::Condition::FALSE);
  condition.set_reason(status.ok() ? "Up" : "NetworkFailed");
  condition.set_message(std::string(status.message()));
  if (SetCondition(*network.mutable_status()->mutable_conditions(), condition,
                   clock_.Now())) {
    RETURN_IF_ERROR(Commit(object, false));
  }
  return status;
}

absl::Status NetworkController::Delete(const View& view,
                                       const v1::Object& object) {
  const v1::Network& network = object.network();
  const std::string project = Project(network.metadata());
  if (view.unknown_users.contains(project) ||
      view.users.contains({project, network.metadata().name()})) {
    return absl::OkStatus();  // its user's end comes back here as a change
  }
  RETURN_IF_ERROR(network_.DeleteNetwork(NetmeshId(network)));
  return store_
      .Commit(store::Batch().Delete(store::KeyOf(object),
                                    store::RevisionOf(object)))
      .status();
}

absl::Status NetworkController::Allocate(const View& view, v1::Object& object) {
  v1::Network& network = *object.mutable_network();
  if (!network.status().subnet().empty()) return absl::OkStatus();
  std::string subnet = network.spec().subnet();
  if (subnet.empty() && !view.unreadable.empty()) {
    // Which subnet that one has is not known.
    return Annotate(view.unreadable.front().why, "choose a subnet");
  }
  if (subnet.empty()) {
    std::vector<std::string> used;
    for (const v1::Object& o : view.networks) {
      for (const std::string& s :
           {o.network().status().subnet(), o.network().spec().subnet()}) {
        if (!s.empty()) used.push_back(s);
      }
    }
    ASSIGN_OR_RETURN(
        subnet,
        netmesh::PickSubnet(options_.pool, netmesh::kDefaultSubnetBits, used));
  }
  ASSIGN_OR_RETURN(std::string gateway, netmesh::GatewayOf(subnet));
  network.mutable_status()->set_subnet(subnet);
  network.mutable_status()->set_gateway(gateway);
  if (!network.spec().subnet6().empty()) {
    ASSIGN_OR_RETURN(std::string gateway6,
                     netmesh::GatewayOf(network.spec().subnet6()));
    network.mutable_status()->set_subnet6(network.spec().subnet6());
    network.mutable_status()->set_gateway6(gateway6);
  }
  return Commit(object, true);
}

absl::Status NetworkController::Commit(v1::Object& object, bool durable) {
  store::Batch batch;
  batch.Put(store::KeyOf(object), store::Encode(object),
            store::RevisionOf(object));
  batch.Essential();
  if (!durable) batch.NotDurable();
  ASSIGN_OR_RETURN(uint64_t revision, store_.Commit(batch));
  store::MutableMetadata(object).set_resource_version(absl::StrCat(revision));
  return absl::OkStatus();
}

}  // namespace bulwark::scheduler
