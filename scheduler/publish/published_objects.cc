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

}  // namespace

template <typename T>
void PublishedObjects::Set(const store::Key& key, T object, Keys& keys,
                           std::vector<T>& rows) {
  const auto at = std::lower_bound(keys.begin(), keys.end(), key);
  const auto row = rows.begin() + (at - keys.begin());
  if (at != keys.end() && *at == key) {
    *row = std::move(object);
    return;
  }
  rows.insert(row, std::move(object));
  keys.insert(at, key);
}

template <typename T>
void PublishedObjects::Erase(const store::Key& key, Keys& keys,
                             std::vector<T>& rows) {
  const auto at = std::lower_bound(keys.begin(), keys.end(), key);
  if (at == keys.end() || !(*at == key)) return;
  rows.erase(rows.begin() + (at - keys.begin()));
  keys.erase(at);
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

bool PublishedObjects::Take(const std::vector<store::Change>& changes) {
  bool concerns = false;
  for (const store::Change& change : changes) {
    const auto read = read_.find(change.key.kind);
    if (read == read_.end() || change.revision <= read->second) continue;
    if (change.op == store::Change::Op::kPut) {
      Put(change.key, change.value, change.revision);
    } else {
      Remove(change.key);
    }
    concerns = true;
  }
  return concerns;
}

void PublishedObjects::Put(const store::Key& key, absl::string_view value,
                           uint64_t revision) {
  absl::StatusOr<v1::Object> object = store::Decode(key, value, revision);
  // One bad record must not hold up all others' traffic.
  if (!object.ok()) {
    Remove(key);
    return NoteReadable(key, false);
  }
  NoteReadable(key, true);
  if (object->has_service()) {
    Set(key, std::move(*object->mutable_service()), services_, view_.services);
  } else if (object->has_replica()) {
    Set(key, std::move(*object->mutable_replica()), replicas_, view_.replicas);
  } else if (object->has_network()) {
    Set(key, std::move(*object->mutable_network()), networks_, view_.networks);
  } else if (object->volume().spec().access() ==
             v1::VolumeSpec::SINGLE_WRITER) {
    Set(key, std::move(*object->mutable_volume()), volumes_,
        view_.single_writer);
  } else {
    Erase(key, volumes_, view_.single_writer);
  }
}

void PublishedObjects::Remove(const store::Key& key) {
  NoteReadable(key, true);
  if (key.kind == "service") {
    Erase(key, services_, view_.services);
  } else if (key.kind == "replica") {
    Erase(key, replicas_, view_.replicas);
  } else if (key.kind == "network") {
    Erase(key, networks_, view_.networks);
  } else {
    Erase(key, volumes_, view_.single_writer);
  }
}

// Only of a service it matters that its record is bad.
void PublishedObjects::NoteReadable(const store::Key& key, bool readable) {
  if (key.kind != "service") return;
  if (readable && view_.unreadable.empty()) return;
  const std::string name = NameOf(key);
  std::vector<std::string>& all = view_.unreadable;
  const auto at = std::lower_bound(all.begin(), all.end(), name);
  const bool noted = at != all.end() && *at == name;
  if (readable && noted) all.erase(at);
  if (!readable && !noted) all.insert(at, name);
}

}  // namespace bulwark::scheduler
