#include "scheduler/replica/mounts.h"

#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "scheduler/times.h"
#include "scheduler/volumes/mounted.h"
#include "scheduler/volumes/records.h"
#include "store/objects.h"

namespace bulwark::scheduler {
namespace {

// What a volume that nobody declared is like.
absl::StatusOr<v1::VolumeSpec> SpecFor(const std::string& project,
                                       const v1::VolumeMount& mount,
                                       store::MetadataStore& store) {
  v1::VolumeSpec spec;
  spec.set_driver(v1::VolumeSpec::LOCAL);
  if (!mount.per_replica()) return spec;
  const absl::StatusOr<v1::Object> pattern = store::GetObject(
      store, store::ObjectKey("volume", project, mount.volume()));
  if (absl::IsNotFound(pattern.status())) return spec;
  if (!pattern.ok()) return pattern.status();
  return pattern->volume().spec();
}

// The volume's record, which is made if there is none.
absl::StatusOr<v1::Volume> EnsureRecord(const v1::Replica& replica,
                                        const v1::VolumeMount& mount,
                                        store::MetadataStore& store,
                                        Entropy& entropy, absl::Time now) {
  const std::string& project = replica.metadata().project();
  const std::string name = VolumeName(replica, mount);
  const store::Key key = store::ObjectKey("volume", project, name);
  absl::StatusOr<v1::Object> found = store::GetObject(store, key);
  if (found.ok()) {
    if (found->volume().metadata().has_delete_time()) {
      return absl::FailedPreconditionError(
          absl::StrCat("mount volume ", name, ": it is being deleted"));
    }
    return found->volume();
  }
  if (!absl::IsNotFound(found.status())) return found.status();
  v1::Object object;
  v1::Volume& volume = *object.mutable_volume();
  volume.mutable_metadata()->set_project(project);
  volume.mutable_metadata()->set_name(name);
  volume.mutable_metadata()->set_uid(NewUid(entropy));
  volume.mutable_metadata()->set_generation(1);
  SetTime(volume.mutable_metadata()->mutable_create_time(), now);
  ASSIGN_OR_RETURN(*volume.mutable_spec(), SpecFor(project, mount, store));
  RETURN_IF_ERROR(
      store.Commit(store::Batch().Put(key, store::Encode(object), 0)).status());
  return volume;
}

// Looked at after the replica's record was written: either whoever restores the
// volume sees the replica, or the replica sees the restore.
absl::Status CheckNotHeld(const v1::Volume& volume,
                          store::MetadataStore& store) {
  ASSIGN_OR_RETURN(const std::set<std::string> held,
                   HeldVolumes(store, volume.metadata().project()));
  if (!held.contains(volume.metadata().name())) return absl::OkStatus();
  return absl::UnavailableError(
      absl::StrCat("mount volume ", volume.metadata().name(),
                   ": it is being restored; the start waits for that"));
}

}  // namespace

absl::StatusOr<std::vector<engine::Mount>> EnsureMounts(
    const v1::Replica& replica, const v1::Container& container,
    store::MetadataStore& store, volumes::Volumes& volumes, Entropy& entropy,
    absl::Time now) {
  std::vector<engine::Mount> mounts;
  for (const v1::VolumeMount& wanted : container.volumes()) {
    engine::Mount mount;
    mount.destination = wanted.path();
    mount.read_only = wanted.read_only();
    mount.source = wanted.host_path();
    if (!wanted.volume().empty()) {
      ASSIGN_OR_RETURN(const v1::Volume volume,
                       EnsureRecord(replica, wanted, store, entropy, now));
      RETURN_IF_ERROR(CheckNotHeld(volume, store));
      ASSIGN_OR_RETURN(const volumes::VolumeInfo info,
                       volumes.Ensure(DriverSpec(volume)));
      mount.source = info.path;
    }
    mounts.push_back(std::move(mount));
  }
  return mounts;
}

}  // namespace bulwark::scheduler
