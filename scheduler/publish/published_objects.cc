#include "scheduler/publish/published_objects.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "store/objects.h"

namespace bulwark::scheduler {
namespace {

constexpr const char* kKinds[] = {"service", "replica", "network", "volume"};

// As pools are called.
std::string NameOf(const store::Key& key) {
  return absl::StrCat(key.project.empty() ? "default" : key.project, "/",
                      key.name);
}

// Whether a snapshot (BuildSnapshot, Publisher) has anything of it.
bool IsPublished(const v1::Replica& replica) {
  return replica.status().state() >= v1::ReplicaStatus::RUNNING;
}
bool IsPublished(const v1::Service&) { return true; }
bool IsPublished(const v1::Network&) { return true; }
bool IsPublished(const v1::Volume&) { return true; }

// Whether a snapshot has the same of both, which are published.
bool LooksSame(const v1::Replica& a, const v1::Replica& b) {
  return a.metadata().uid() == b.metadata().uid() &&
         a.spec().service() == b.spec().service() &&
         a.spec().slot() == b.spec().slot() &&
         a.spec().address() == b.spec().address() &&
         a.spec().address6() == b.spec().address6() &&
         a.spec().goal() == b.spec().goal() &&
         a.status().state() == b.status().state() &&
         a.status().ready() == b.status().ready();
}
bool LooksSame(const v1::Service& a, const v1::Service& b) {
  return a.metadata().uid() == b.metadata().uid() &&
         a.metadata().has_delete_time() == b.metadata().has_delete_time() &&
         a.status().virtual_address() == b.status().virtual_address() &&
         a.spec().SerializeAsString() == b.spec().SerializeAsString();
}
bool LooksSame(const v1::Network&, const v1::Network&) { return false; }
bool LooksSame(const v1::Volume&, const v1::Volume&) { return false; }

// Of a change to or from it, if both look different. One that runs and was not
// ready yet has nobody.
Urgency UrgencyOf(const v1::Replica& replica) {
  return replica.status().ready() ||
                 replica.status().state() > v1::ReplicaStatus::RUNNING
             ? Urgency::kNow
             : Urgency::kSoon;
}
template <typename T>
Urgency UrgencyOf(const T&) {
  return Urgency::kSoon;
}

}  // namespace

template <typename T>
Urgency PublishedObjects::Set(const store::Key& key, T object, Keys& keys,
                              std::vector<T>& rows) {
  const auto at = std::lower_bound(keys.begin(), keys.end(), key);
  const auto row = rows.begin() + (at - keys.begin());
  const bool published = IsPublished(object);
  const Urgency urgency = UrgencyOf(object);
  if (at != keys.end() && *at == key) {
    const bool was_published = IsPublished(*row);
    const bool same =
        published ? was_published && LooksSame(*row, object) : !was_published;
    const Urgency before = UrgencyOf(*row);
    *row = std::move(object);
    return same ? Urgency::kNone : std::max(urgency, before);
  }
  rows.insert(row, std::move(object));
  keys.insert(at, key);
  return published ? urgency : Urgency::kNone;
}

template <typename T>
Urgency PublishedObjects::Erase(const store::Key& key, Keys& keys,
                                std::vector<T>& rows) {
  const auto at = std::lower_bound(keys.begin(), keys.end(), key);
  if (at == keys.end() || !(*at == key)) return Urgency::kNone;
  const auto row = rows.begin() + (at - keys.begin());
  const Urgency urgency = IsPublished(*row) ? UrgencyOf(*row) : Urgency::kNone;
  rows.erase(row);
  keys.erase(at);
  return urgency;
}

absl::Status PublishedObjects::Read(store::MetadataStore& store) {
  for (Keys* keys : {&services_, &replicas_, &networks_, &volumes_}) {
    keys->clear();
  }
  view_.services.clear();
  view_.replicas.clear();
  view_.networks.clear();
  view_.single_writer.clear();
  view_.unreadable.clear();
  for (const char* kind : kKinds) RETURN_IF_ERROR(ReadKind(store, kind));
  return absl::OkStatus();
}

absl::Status PublishedObjects::ReadKind(store::MetadataStore& store,
                                        absl::string_view kind) {
  store::Filter filter;
  filter.kind = std::string(kind);
  ASSIGN_OR_RETURN(const store::Listing listing, store.List(filter));
  for (const store::Record& record : listing.records) {
    Put(record.key, record.value, record.revision);
  }
  read_[filter.kind] = listing.revision;
  return absl::OkStatus();
}

Urgency PublishedObjects::Take(const std::vector<store::Change>& changes) {
  Urgency urgency = Urgency::kNone;
  for (const store::Change& change : changes) {
    const auto read = read_.find(change.key.kind);
    if (read == read_.end() || change.revision <= read->second) continue;
    urgency =
        std::max(urgency, change.op == store::Change::Op::kPut
                              ? Put(change.key, change.value, change.revision)
                              : Remove(change.key));
  }
  return urgency;
}

Urgency PublishedObjects::Put(const store::Key& key, absl::string_view value,
                              uint64_t revision) {
  absl::StatusOr<v1::Object> object = store::Decode(key, value, revision);
  // One bad record must not hold up all others' traffic.
  if (!object.ok()) {
    Remove(key);
    NoteReadable(key, false);
    return Urgency::kNow;
  }
  const Urgency again =
      NoteReadable(key, true) ? Urgency::kNow : Urgency::kNone;
  if (object->has_service()) {
    return std::max(Set(key, std::move(*object->mutable_service()), services_,
                        view_.services),
                    again);
  }
  if (object->has_replica()) {
    return Set(key, std::move(*object->mutable_replica()), replicas_,
               view_.replicas);
  }
  if (object->has_network()) {
    return Set(key, std::move(*object->mutable_network()), networks_,
               view_.networks);
  }
  if (object->volume().spec().access() == v1::VolumeSpec::SINGLE_WRITER) {
    return Set(key, std::move(*object->mutable_volume()), volumes_,
               view_.single_writer);
  }
  return Erase(key, volumes_, view_.single_writer);
}

Urgency PublishedObjects::Remove(const store::Key& key) {
  const Urgency again =
      NoteReadable(key, true) ? Urgency::kNow : Urgency::kNone;
  if (key.kind == "service") {
    return std::max(Erase(key, services_, view_.services), again);
  }
  if (key.kind == "replica") return Erase(key, replicas_, view_.replicas);
  if (key.kind == "network") return Erase(key, networks_, view_.networks);
  return Erase(key, volumes_, view_.single_writer);
}

// Only of a service it matters that its record is bad.
bool PublishedObjects::NoteReadable(const store::Key& key, bool readable) {
  if (key.kind != "service") return false;
  if (readable && view_.unreadable.empty()) return false;
  const std::string name = NameOf(key);
  std::vector<std::string>& all = view_.unreadable;
  const auto at = std::lower_bound(all.begin(), all.end(), name);
  const bool noted = at != all.end() && *at == name;
  if (readable && noted) all.erase(at);
  if (!readable && !noted) all.insert(at, name);
  return readable == noted;
}

}  // namespace bulwark::scheduler
