#include "scheduler/replica/mounts.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "scheduler/times.h"
#include "store/objects.h"

namespace bulwark::scheduler {
namespace {

// The uid of the volume's record, which is made if there is none.
absl::StatusOr<std::string> EnsureRecord(const std::string& project,
                                         const std::string& name,
                                         store::MetadataStore& store,
                                         Entropy& entropy, absl::Time now) {
  const store::Key key = store::ObjectKey("volume", project, name);
  absl::StatusOr<v1::Object> found = store::GetObject(store, key);
  if (found.ok()) {
    const v1::Metadata& metadata = found->volume().metadata();
    if (metadata.has_delete_time()) {
      return absl::FailedPreconditionError(
          absl::StrCat("mount volume ", name, ": it is being deleted"));
    }
    return metadata.uid();
  }
  if (!absl::IsNotFound(found.status())) return found.status();
  v1::Object object;
  v1::Volume& volume = *object.mutable_volume();
  volume.mutable_metadata()->set_project(project);
  volume.mutable_metadata()->set_name(name);
  volume.mutable_metadata()->set_uid(NewUid(entropy));
  volume.mutable_metadata()->set_generation(1);
  SetTime(volume.mutable_metadata()->mutable_create_time(), now);
  volume.mutable_spec()->set_driver(v1::VolumeSpec::LOCAL);
  RETURN_IF_ERROR(
      store.Commit(store::Batch().Put(key, store::Encode(object), 0)).status());
  return volume.metadata().uid();
}

}  // namespace

std::string VolumeName(const v1::Replica& replica,
                       const v1::VolumeMount& mount) {
  if (!mount.per_replica()) return mount.volume();
  return absl::StrCat(replica.spec().service(), "-", mount.volume(), "-",
                      replica.spec().slot());
}

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
      ASSIGN_OR_RETURN(
          std::string uid,
          EnsureRecord(replica.metadata().project(),
                       VolumeName(replica, wanted), store, entropy, now));
      ASSIGN_OR_RETURN(volumes::VolumeInfo info,
                       volumes.Ensure({.id = std::move(uid)}));
      mount.source = info.path;
    }
    mounts.push_back(std::move(mount));
  }
  return mounts;
}

}  // namespace bulwark::scheduler
