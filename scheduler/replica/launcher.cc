#include "scheduler/replica/launcher.h"

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

// A missing bridge is about to be made; an address in use about to be freed.
absl::Status AsRetryable(const absl::Status& status) {
  return absl::IsNotFound(status) || absl::IsAlreadyExists(status)
             ? absl::UnavailableError(status.message())
             : status;
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
      sandboxes_(engine, network, slots, ids),
      clock_(clock),
      entropy_(entropy),
      dns_domain_(std::move(dns_domain)) {}

absl::StatusOr<engine::ContainerInfo> Launcher::Start(
    const v1::Replica& replica, const v1::Revision& revision,
    const v1::Container& container, const std::string& id) {
  ASSIGN_OR_RETURN(const Place place, PreparePlace(replica, revision));
  const auto connect = [&]() -> absl::Status {
    const absl::Status connected =
        network_.ConnectSandbox(place.sandbox.spec.id);
    if (connected.ok()) return connected;
    Forget(replica.metadata().uid());
    return AsRetryable(connected);
  };
  // The disk takes longer.
  const auto await_program = [&]() -> absl::Status {
    RETURN_IF_ERROR(connect());
    return store_.AwaitDurable(store::RevisionOf(replica.metadata()));
  };
  // Some are of the link, and none may be set anew by the connection.
  if (!container.sysctls().empty()) RETURN_IF_ERROR(connect());
  // So far all goes with the machine; what the engine has done before the
  // program begins counts as half made. Volumes stay, and secrets must not lie
  // about.
  if (!container.volumes().empty() || !InputsOf(container).empty()) {
    RETURN_IF_ERROR(await_program());
  }
  LaunchContext context;
  context.container_id = id;
  context.netns_path = place.sandbox.netns_path;
  context.nameserver = place.gateway;
  context.dns_domain = dns_domain_;
  context.ids = {place.sandbox.spec.ids.first, place.sandbox.spec.ids.size};
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
  spec.await_program = await_program;
  absl::StatusOr<engine::ContainerInfo> started = engine_.Start(spec);
  // The next try sees to the sandbox, too.
  if (!started.ok()) Forget(replica.metadata().uid());
  return started;
}

absl::StatusOr<Launcher::Place> Launcher::PreparePlace(
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
  auto sandbox = sandboxes_.Prepare(replica, std::move(spec));
  if (!sandbox.ok()) return AsRetryable(sandbox.status());
  const Place place{*std::move(sandbox), object->network().status().gateway()};
  absl::MutexLock lock(&mu_);
  return places_[uid] = place;
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
