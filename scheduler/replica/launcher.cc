#include "scheduler/replica/launcher.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "netmesh/network.h"
#include "scheduler/names.h"
#include "scheduler/replica/mounts.h"
#include "scheduler/replica/spec.h"
#include "store/objects.h"

namespace bulwark::scheduler {
namespace {

bool SameSandbox(const netmesh::SandboxSpec& a, const netmesh::SandboxSpec& b) {
  return a.network == b.network && a.address == b.address &&
         a.address6 == b.address6;
}

}  // namespace

Launcher::Launcher(store::MetadataStore& store, engine::Engine& engine,
                   engine::Images& images, netmesh::Network& network,
                   volumes::Volumes& volumes, secrets::Delivery& delivery,
                   secrets::RecordReads record_reads, SlotGuard& slots,
                   Clock& clock, Entropy& entropy, std::string dns_domain,
                   IdPool ids)
    : store_(store),
      engine_(engine),
      images_(images),
      network_(network),
      volumes_(volumes),
      inputs_(store, delivery, std::move(record_reads)),
      slots_(slots),
      clock_(clock),
      entropy_(entropy),
      dns_domain_(std::move(dns_domain)),
      ids_(ids) {}

absl::StatusOr<engine::ContainerInfo> Launcher::Start(
    const v1::Replica& replica, const v1::Revision& revision,
    const v1::Container& container, const std::string& id) {
  ASSIGN_OR_RETURN(Place place, EnsurePlace(replica, revision));
  // All so far goes with the machine. What follows stays on the disk, or may
  // be seen outside.
  RETURN_IF_ERROR(store_.AwaitDurable(store::RevisionOf(replica.metadata())));
  LaunchContext context;
  context.container_id = id;
  context.netns_path = place.netns_path;
  context.nameserver = place.gateway;
  context.dns_domain = dns_domain_;
  context.ids = {place.ids.first, place.ids.size};
  ASSIGN_OR_RETURN(context.mounts,
                   EnsureMounts(replica, container, store_, volumes_, entropy_,
                                clock_.Now()));
  ASSIGN_OR_RETURN(engine::Image image, FindImage(revision, container));
  // Last, so that nobody waits with secrets laid out.
  ASSIGN_OR_RETURN(std::vector<engine::Mount> files,
                   inputs_.Deliver({replica, revision, container, id}));
  for (engine::Mount& file : files) context.mounts.push_back(std::move(file));
  ASSIGN_OR_RETURN(engine::ContainerSpec spec,
                   BuildSpec(replica, container, image, context));
  return engine_.Start(spec);
}

absl::StatusOr<Launcher::Place> Launcher::EnsurePlace(
    const v1::Replica& replica, const v1::Revision& revision) {
  const std::string& uid = replica.metadata().uid();
  {
    absl::MutexLock lock(&mu_);
    auto it = places_.find(uid);
    if (it != places_.end()) return it->second;
  }
  const std::string& declared = revision.template_().network();
  const std::string name = declared.empty() ? "default" : declared;
  const absl::StatusOr<v1::Object> object = store::GetObject(
      store_, store::ObjectKey("network", replica.metadata().project(), name));
  if (absl::IsNotFound(object.status())) {
    return absl::UnavailableError(
        absl::StrCat("join network ", name, ": it does not exist (yet)"));
  }
  if (!object.ok()) return object.status();
  netmesh::SandboxSpec spec;
  spec.id = SandboxId(replica.spec().service_uid(), replica.spec().slot());
  spec.network = object->network().metadata().uid();
  spec.address = replica.spec().address();
  spec.address6 = replica.spec().address6();
  absl::StatusOr<netmesh::Sandbox> sandbox = [&] {
    SlotGuard::Hold hold(slots_, spec.id);
    return EnsureSandbox(replica, spec);
  }();
  // A missing bridge is about to be made; an address in use about to be freed.
  if (absl::IsNotFound(sandbox.status()) ||
      absl::IsAlreadyExists(sandbox.status())) {
    return absl::UnavailableError(sandbox.status().message());
  }
  if (!sandbox.ok()) return sandbox.status();
  const Place place{sandbox->netns_path, object->network().status().gateway(),
                    sandbox->spec.ids};
  absl::MutexLock lock(&mu_);
  return places_[uid] = place;
}

absl::StatusOr<netmesh::Sandbox> Launcher::EnsureSandbox(
    const v1::Replica& replica, netmesh::SandboxSpec spec) {
  for (const netmesh::Sandbox& old : network_.ListSandboxes()) {
    if (old.spec.id != spec.id) continue;
    // It keeps its ids, which are the slot's. Those of another kind, of before
    // a change of --id-base, it keeps for as long as somebody lives in it.
    const bool fits = (old.spec.ids.size != 0) == ids_.enabled();
    if (SameSandbox(old.spec, spec) && (fits || HasContainers(replica))) {
      spec.ids = old.spec.ids;
      return network_.EnsureSandbox(spec);
    }
    // The slot moved to another network or address, or gets users of its own:
    // its last replica has ended, so nothing lives in the old sandbox.
    RETURN_IF_ERROR(network_.DeleteSandbox(spec.id));
  }
  return MakeSandbox(std::move(spec));
}

absl::StatusOr<netmesh::Sandbox> Launcher::MakeSandbox(
    netmesh::SandboxSpec spec) {
  if (!ids_.enabled()) return network_.EnsureSandbox(spec);
  {
    absl::MutexLock lock(&mu_);
    // In this order: what is made in between is still among the picked.
    std::vector<netmesh::IdRange> used = picked_;
    for (const netmesh::Sandbox& other : network_.ListSandboxes()) {
      used.push_back(other.spec.ids);
    }
    ASSIGN_OR_RETURN(spec.ids, PickIds(ids_, used));
    picked_.push_back(spec.ids);
  }
  absl::StatusOr<netmesh::Sandbox> made = network_.EnsureSandbox(spec);
  absl::MutexLock lock(&mu_);
  picked_.erase(std::find(picked_.begin(), picked_.end(), spec.ids));
  return made;
}

bool Launcher::HasContainers(const v1::Replica& replica) {
  for (const engine::ContainerInfo& container : engine_.List()) {
    const auto label = container.labels.find(kReplicaLabel);
    if (label != container.labels.end() &&
        label->second == replica.metadata().uid()) {
      return true;
    }
  }
  return false;
}

absl::StatusOr<engine::Image> Launcher::FindImage(
    const v1::Revision& revision, const v1::Container& container) {
  auto it = revision.image_digests().find(container.image());
  if (it == revision.image_digests().end()) {
    return absl::InvalidArgumentError(absl::StrCat(
        "start container ", container.name(), ": revision ", revision.number(),
        " has no digest of image ", container.image()));
  }
  const bool may_ask = container.pull() != v1::Container::NEVER;
  absl::StatusOr<engine::Image> image = images_.Get(it->second);
  if (image.ok()) {
    const absl::Status trusted =
        images_.CheckTrust({container.image(), it->second, may_ask,
                            [this] { return !cancelled_.load(); }});
    if (absl::IsCancelled(trusted)) {
      return absl::UnavailableError(trusted.message());
    }
    if (!trusted.ok()) return trusted;
    return image;
  }
  if (!absl::IsNotFound(image.status()) || !may_ask) return image;
  // Somebody removed it: the digest says exactly what to fetch again.
  engine::PullRequest request;
  request.reference = PinnedReference(container.image(), it->second);
  request.wanted = [this] { return !cancelled_.load(); };
  absl::StatusOr<engine::Image> pulled = images_.Pull(request, nullptr);
  // Cancelled because we stop: no fault of the replica's.
  if (absl::IsCancelled(pulled.status())) {
    return absl::UnavailableError(pulled.status().message());
  }
  return pulled;
}

int Launcher::StopSignal(const v1::Revision& revision,
                         absl::string_view container) {
  const v1::Template& t = revision.template_();
  if (!t.stop().signal().empty()) return SignalNumber(t.stop().signal());
  for (const auto* group :
       {&t.containers(), &t.init_containers(), &t.sidecars()}) {
    for (const v1::Container& c : *group) {
      auto digest = revision.image_digests().find(c.image());
      if (c.name() != container || digest == revision.image_digests().end()) {
        continue;
      }
      absl::StatusOr<engine::Image> image = images_.Get(digest->second);
      if (image.ok()) return SignalNumber(image->config.stop_signal);
    }
  }
  return SignalNumber("");
}

void Launcher::Forget(const std::string& replica_uid) {
  absl::MutexLock lock(&mu_);
  places_.erase(replica_uid);
}

}  // namespace bulwark::scheduler
