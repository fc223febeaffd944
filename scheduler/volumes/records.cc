#include "scheduler/volumes/records.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "store/objects.h"

namespace bulwark::scheduler {
namespace {

using Work = bulwark::volumes::v1::VolumeWork;

absl::StatusOr<Work> Parse(const store::Record& record) {
  Work work;
  if (work.ParseFromString(record.value)) return work;
  return absl::DataLossError(
      absl::StrCat("read ", record.key.ToString(), ": damaged"));
}

store::Filter AllWorks(const std::string& project) {
  store::Filter filter;
  filter.kind = kVolumeWork;
  filter.project = project.empty() ? "default" : project;
  return filter;
}

}  // namespace

store::Key WorkKey(const std::string& project, const std::string& volume) {
  return store::Key{kVolumeWork, project.empty() ? "default" : project, volume};
}

absl::StatusOr<std::optional<StoredWork>> FindWork(store::MetadataStore& store,
                                                   const store::Key& key) {
  absl::StatusOr<store::Record> record = store.Get(key);
  if (absl::IsNotFound(record.status())) return std::nullopt;
  if (!record.ok()) return record.status();
  ASSIGN_OR_RETURN(Work work, Parse(*record));
  return StoredWork{key, std::move(work), record->revision};
}

absl::Status SaveWork(store::MetadataStore& store, StoredWork& work) {
  ASSIGN_OR_RETURN(
      work.revision,
      store.Commit(
          store::Batch()
              .Put(work.key, work.work.SerializeAsString(), work.revision)
              .Essential()));
  return absl::OkStatus();
}

absl::StatusOr<std::vector<StoredWork>> ClonesOf(
    store::MetadataStore& store, const std::string& project,
    const std::string& volume_uid) {
  ASSIGN_OR_RETURN(const store::Listing listing, store.List(AllWorks(project)));
  std::vector<StoredWork> clones;
  for (const store::Record& record : listing.records) {
    absl::StatusOr<Work> work = Parse(record);
    // Nobody goes on with one that is damaged.
    if (!work.ok()) continue;
    if (work->has_target() && work->volume_uid() == volume_uid) {
      clones.push_back({record.key, *std::move(work), record.revision});
    }
  }
  return clones;
}

absl::StatusOr<std::set<std::string>> HeldVolumes(store::MetadataStore& store,
                                                  const std::string& project) {
  ASSIGN_OR_RETURN(const store::Listing listing, store.List(AllWorks(project)));
  std::set<std::string> held;
  for (const store::Record& record : listing.records) {
    ASSIGN_OR_RETURN(const Work work, Parse(record));
    if (work.phase() == Work::SWAPPING) held.insert(record.key.name);
  }
  return held;
}

absl::StatusOr<std::set<std::string>> SingleWriterAmong(
    store::MetadataStore& store, const std::string& project,
    const std::set<std::string>& names) {
  std::set<std::string> found;
  for (const std::string& name : names) {
    const absl::StatusOr<v1::Object> object =
        store::GetObject(store, store::ObjectKey("volume", project, name));
    if (absl::IsNotFound(object.status())) continue;
    if (!object.ok()) return object.status();
    if (object->volume().spec().access() == v1::VolumeSpec::SINGLE_WRITER) {
      found.insert(name);
    }
  }
  return found;
}

volumes::VolumeSpec DriverSpec(const v1::Volume& volume) {
  volumes::VolumeSpec spec;
  spec.id = volume.metadata().uid();
  spec.size_bytes = volume.spec().size();
  switch (volume.spec().driver()) {
    case v1::VolumeSpec::IMAGE:
      spec.driver = volumes::Driver::kImage;
      break;
    case v1::VolumeSpec::TMPFS:
      spec.driver = volumes::Driver::kTmpfs;
      break;
    default:
      spec.driver = volumes::Driver::kLocal;
  }
  return spec;
}

}  // namespace bulwark::scheduler
