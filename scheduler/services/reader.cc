#include "scheduler/services/reader.h"

#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "scheduler/names.h"
#include "store/objects.h"
#include "store/readable.h"

namespace bulwark::scheduler {

std::string OwnerInName(const store::Key& key) {
  absl::string_view name = key.name;
  const auto drop_last = [&name] {
    const size_t dash = name.rfind('-');
    const absl::string_view last =
        dash == absl::string_view::npos ? "" : name.substr(dash + 1);
    name = name.substr(0, last.empty() ? 0 : dash);
    return last;
  };
  if (key.kind == "replica") drop_last();  // the uid's
  int64_t number = 0;
  return absl::SimpleAtoi(drop_last(), &number) ? std::string(name) : "";
}

absl::StatusOr<std::vector<v1::Object>> ListOwned(store::MetadataStore& store,
                                                  const std::string& kind,
                                                  const std::string& project,
                                                  const std::string& service) {
  store::Filter filter;
  filter.kind = kind;
  filter.project = project;
  filter.name_prefix = service + "-";
  ASSIGN_OR_RETURN(store::ReadableListing listing,
                   store::ListReadable(store, filter));
  for (const store::Unreadable& bad : listing.unreadable) {
    // Whoever cannot count its own must not decide; others can.
    if (OwnerInName(bad.record.key) == service) return bad.why;
  }
  return std::move(listing.objects);
}

absl::StatusOr<std::vector<v1::Replica>> ListReplicas(
    store::MetadataStore& store, const std::string& project,
    const std::string& service) {
  ASSIGN_OR_RETURN(auto objects, ListOwned(store, "replica", project, service));
  std::vector<v1::Replica> replicas;
  for (v1::Object& object : objects) {
    if (object.replica().spec().service() != service) continue;
    replicas.push_back(std::move(*object.mutable_replica()));
  }
  return replicas;
}

absl::StatusOr<std::vector<v1::Replica>> ListReplicasOfJob(
    store::MetadataStore& store, const std::string& project,
    const std::string& job) {
  ASSIGN_OR_RETURN(auto objects, ListOwned(store, "replica", project, job));
  std::vector<v1::Replica> replicas;
  for (v1::Object& object : objects) {
    if (object.replica().spec().job() != job) continue;
    replicas.push_back(std::move(*object.mutable_replica()));
  }
  return replicas;
}

absl::StatusOr<std::vector<v1::Revision>> ListRevisions(
    store::MetadataStore& store, const std::string& project,
    const std::string& service) {
  return ListRevisionsOf(store, "service", project, service);
}

absl::StatusOr<std::vector<v1::Revision>> ListRevisionsOf(
    store::MetadataStore& store, const std::string& kind,
    const std::string& project, const std::string& name) {
  const bool job = kind == "job";
  ASSIGN_OR_RETURN(auto objects,
                   ListOwned(store, "revision", project,
                             job ? absl::StrCat("job.", name) : name));
  std::vector<v1::Revision> revisions;
  for (v1::Object& object : objects) {
    const v1::Revision& r = object.revision();
    if ((job ? r.job() : r.service()) != name) continue;
    revisions.push_back(std::move(*object.mutable_revision()));
  }
  return revisions;
}

absl::StatusOr<std::optional<v1::Object>> FindObject(
    store::MetadataStore& store, const std::string& kind,
    const std::string& project, const std::string& name) {
  auto object = store::GetObject(store, store::ObjectKey(kind, project, name));
  if (absl::IsNotFound(object.status())) return std::nullopt;
  if (!object.ok()) return object.status();
  return *std::move(object);
}

absl::StatusOr<std::optional<v1::Object>> FindService(
    store::MetadataStore& store, const std::string& project,
    const std::string& service) {
  return FindObject(store, "service", project, service);
}

store::Key OwnerKeyOf(const v1::Replica& replica) {
  const v1::ReplicaSpec& spec = replica.spec();
  const std::string& project = replica.metadata().project();
  return spec.job().empty()
             ? store::ObjectKey("service", project, spec.service())
             : store::ObjectKey("job", project, spec.job());
}

store::Key RevisionKeyOf(const v1::Replica& replica) {
  const v1::ReplicaSpec& spec = replica.spec();
  return store::ObjectKey("revision", replica.metadata().project(),
                          spec.job().empty()
                              ? RevisionName(spec.service(), spec.revision())
                              : JobRevisionName(spec.job(), spec.revision()));
}

absl::StatusOr<std::optional<v1::Scale>> FindScale(store::MetadataStore& store,
                                                   const v1::Service& service) {
  if (!service.spec().has_autoscale()) return std::nullopt;
  auto object = store::GetObject(
      store, store::ObjectKey("scale", service.metadata().project(),
                              service.metadata().name()));
  if (absl::IsNotFound(object.status())) return std::nullopt;
  if (!object.ok()) return object.status();
  if (object->scale().service_uid() != service.metadata().uid()) {
    return std::nullopt;
  }
  return std::move(*object->mutable_scale());
}

std::optional<int> CountOf(const std::optional<v1::Scale>& scale) {
  if (!scale.has_value()) return std::nullopt;
  return scale->replicas();
}

void RequireScale(const std::optional<v1::Scale>& scale, store::Batch& batch) {
  if (!scale.has_value()) return;
  v1::Object object;
  *object.mutable_scale() = *scale;
  batch.Require(store::KeyOf(object), store::RevisionOf(object));
}

std::string QueueKey(const store::Key& key) {
  return absl::StrCat(key.project, "/", key.name);
}

std::string QueueKey(const v1::Metadata& metadata) {
  return absl::StrCat(
      metadata.project().empty() ? "default" : metadata.project(), "/",
      metadata.name());
}

absl::StatusOr<store::Key> ParseQueueKey(const std::string& kind,
                                         const std::string& key) {
  return store::Key::Parse(absl::StrCat(kind, "/", key));
}

}  // namespace bulwark::scheduler
