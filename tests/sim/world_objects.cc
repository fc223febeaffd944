// What users do and see.
#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "scheduler/conditions.h"
#include "scheduler/rollout/defaults.h"
#include "scheduler/rollout/restart.h"
#include "scheduler/services/reader.h"
#include "scheduler/times.h"
#include "store/objects.h"
#include "tests/sim/world.h"

namespace bulwark::sim {

void World::SetFault(store::MemStore::Fault fault) {
  fault_ = std::move(fault);
  store.SetFault(fault_);
}

absl::Status World::CommitAnyway(const store::Batch& batch) {
  store.SetFault(nullptr);
  const absl::Status status = store.Commit(batch).status();
  store.SetFault(fault_);
  return status;
}

v1::Service World::MakeService(const std::string& name,
                               const std::string& image, int replicas) {
  v1::Service service;
  service.mutable_metadata()->set_name(name);
  service.mutable_metadata()->set_project("default");
  v1::ServiceSpec& spec = *service.mutable_spec();
  spec.set_replicas(replicas);
  v1::Container& container = *spec.add_containers();
  container.set_name(name);
  container.set_image(image);
  return service;
}

void World::Publish(const std::string& image, Behavior behavior, int version) {
  engine::ImageConfig config;
  config.command = {"/app"};
  behaviors_[images.Publish(image, version, config).layers[0]] = behavior;
}

void World::AskForImages(const std::string& service) {
  auto object =
      store::GetObject(store, store::ObjectKey("service", "default", service));
  CHECK(object.ok());
  v1::Condition condition;
  condition.set_type(scheduler::kImageRefresh);
  condition.set_status(v1::Condition::TRUE);
  scheduler::SetCondition(
      *object->mutable_service()->mutable_status()->mutable_conditions(),
      condition, clock.Now());
  CHECK(CommitAnyway(
            store::Batch().Put(store::KeyOf(*object), store::Encode(*object)))
            .ok());
}

void World::Apply(v1::Service service) {
  v1::Object object;
  *object.mutable_service() = std::move(service);
  ApplyObject(std::move(object));
}

void World::ApplyObject(v1::Object object) {
  v1::Metadata& metadata = store::MutableMetadata(object);
  metadata.set_project("default");
  const store::Key key = store::KeyOf(object);
  auto old = store::GetObject(store, key);
  if (old.ok()) {
    metadata = store::MetadataOf(*old);
    metadata.set_generation(metadata.generation() + 1);
    if (object.has_service()) {
      *object.mutable_service()->mutable_status() = old->service().status();
    } else if (object.has_job()) {
      *object.mutable_job()->mutable_status() = old->job().status();
    } else {
      *object.mutable_cron_job()->mutable_status() = old->cron_job().status();
    }
  } else {
    metadata.set_uid(NewUid(entropy));
    metadata.set_generation(1);
    scheduler::SetTime(metadata.mutable_create_time(), clock.Now());
  }
  CHECK(CommitAnyway(store::Batch().Put(key, store::Encode(object))).ok());
}

void World::Delete(const std::string& name, const std::string& kind) {
  auto object =
      store::GetObject(store, store::ObjectKey(kind, "default", name));
  if (!object.ok()) return;
  scheduler::SetTime(store::MutableMetadata(*object).mutable_delete_time(),
                     clock.Now());
  CHECK(CommitAnyway(
            store::Batch().Put(store::KeyOf(*object), store::Encode(*object)))
            .ok());
}

std::optional<v1::Service> World::GetService(const std::string& name) {
  auto object = scheduler::FindService(store, "default", name);
  CHECK(object.ok());
  if (!object->has_value()) return std::nullopt;
  return (*object)->service();
}

void World::Decide(const std::string& name, int count) {
  std::optional<v1::Service> service = GetService(name);
  if (!service.has_value()) return;
  v1::Object object;
  v1::Scale& scale = *object.mutable_scale();
  scale.mutable_metadata()->set_name(name);
  scale.mutable_metadata()->set_project("default");
  scale.set_service_uid(service->metadata().uid());
  scale.set_replicas(count);
  CHECK(CommitAnyway(
            store::Batch().Put(store::KeyOf(object), store::Encode(object)))
            .ok());
}

std::optional<int> World::Scaled(const std::string& service) {
  std::optional<v1::Service> found = GetService(service);
  if (!found.has_value()) return std::nullopt;
  auto scale = scheduler::FindScale(store, *found);
  CHECK(scale.ok());
  return scheduler::CountOf(*scale);
}

int World::Wanted(const std::string& service) {
  return scheduler::SettingsOf(GetService(service).value_or(v1::Service()),
                               nullptr, Scaled(service))
      .replicas;
}

std::vector<v1::Replica> World::Replicas(const std::string& service) {
  auto replicas = scheduler::ListReplicas(store, "default", service);
  CHECK(replicas.ok());
  return *replicas;
}

std::vector<v1::Replica> World::Live(const std::string& service) {
  std::vector<v1::Replica> live = Replicas(service);
  std::erase_if(live, [](const v1::Replica& r) {
    return scheduler::HasEnded(r) || r.spec().goal() != v1::ReplicaSpec::RUN;
  });
  return live;
}

std::vector<v1::Revision> World::Revisions(const std::string& service) {
  auto revisions = scheduler::ListRevisions(store, "default", service);
  CHECK(revisions.ok());
  return *revisions;
}

std::vector<v1::Event> World::Events(const std::string& reason) {
  auto events = store::ListObjects(store, "event");
  CHECK(events.ok());
  std::vector<v1::Event> found;
  for (const v1::Object& o : events->objects) {
    if (o.event().reason() == reason) found.push_back(o.event());
  }
  return found;
}

int World::Available(const std::string& service) {
  int n = 0;
  for (const v1::Replica& r : Live(service)) {
    if (r.status().state() == v1::ReplicaStatus::RUNNING &&
        r.status().ready()) {
      ++n;
    }
  }
  return n;
}

const v1::Condition* World::Condition(const std::string& service,
                                      const std::string& type) {
  std::optional<v1::Service> found = GetService(service);
  if (!found.has_value()) return nullptr;
  scratch_ = *found;
  return scheduler::FindCondition(scratch_.status().conditions(), type);
}

scheduler::ServiceView World::View(const std::string& service) {
  scheduler::ServiceView view;
  view.service = GetService(service).value_or(v1::Service());
  view.revisions = Revisions(service);
  view.replicas = Replicas(service);
  view.scaled = Scaled(service);
  view.now = clock.Now();
  return view;
}

bool World::CrashOneContainer(Entropy& random) {
  std::vector<std::string> running;
  for (const engine::ContainerInfo& c : engine.List()) {
    if (c.state == engine::ContainerState::kRunning) running.push_back(c.id);
  }
  if (running.empty()) return false;
  return engine.Exit(running[random.Next() % running.size()], 1).ok();
}

}  // namespace bulwark::sim
