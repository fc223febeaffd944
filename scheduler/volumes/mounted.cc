#include "scheduler/volumes/mounted.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

namespace bulwark::scheduler {
namespace {

template <typename F>
void ForEachMount(const v1::Template& t, F&& f) {
  for (const auto* group :
       {&t.containers(), &t.init_containers(), &t.sidecars()}) {
    for (const v1::Container& container : *group) {
      for (const v1::VolumeMount& mount : container.volumes()) {
        if (!mount.volume().empty()) f(mount);
      }
    }
  }
}

bool Means(absl::string_view owner, const v1::VolumeMount& mount,
           absl::string_view name) {
  if (!mount.per_replica()) return mount.volume() == name;
  return absl::ConsumePrefix(&name,
                             absl::StrCat(owner, "-", mount.volume(), "-")) &&
         !name.empty() &&
         name.find_first_not_of("0123456789") == absl::string_view::npos;
}

}  // namespace

std::string VolumeName(absl::string_view owner, int slot,
                       const v1::VolumeMount& mount) {
  if (!mount.per_replica()) return mount.volume();
  return absl::StrCat(owner, "-", mount.volume(), "-", slot);
}

std::string VolumeName(const v1::Replica& replica,
                       const v1::VolumeMount& mount) {
  return VolumeName(OwnerOf(replica), replica.spec().slot(), mount);
}

const std::string& OwnerOf(const v1::Replica& replica) {
  return replica.spec().job().empty() ? replica.spec().service()
                                      : replica.spec().job();
}

std::set<std::string> VolumesOf(const v1::Template& t,
                                const v1::Replica& replica) {
  std::set<std::string> names;
  ForEachMount(t, [&](const v1::VolumeMount& mount) {
    names.insert(VolumeName(replica, mount));
  });
  return names;
}

std::set<std::string> NamedVolumes(const v1::Template& t) {
  std::set<std::string> names;
  ForEachMount(t, [&](const v1::VolumeMount& mount) {
    if (!mount.per_replica()) names.insert(mount.volume());
  });
  return names;
}

std::string FirstMounted(const v1::Template& t, absl::string_view owner,
                         const std::set<std::string>& names) {
  std::string found;
  if (names.empty()) return found;
  ForEachMount(t, [&](const v1::VolumeMount& mount) {
    for (const std::string& name : names) {
      if (found.empty() && Means(owner, mount, name)) found = name;
    }
  });
  return found;
}

MountKinds KindsOf(const v1::Template& t, absl::string_view name) {
  MountKinds kinds;
  ForEachMount(t, [&](const v1::VolumeMount& mount) {
    if (mount.volume() != name) return;
    (mount.per_replica() ? kinds.as_pattern : kinds.itself) = true;
  });
  return kinds;
}

}  // namespace bulwark::scheduler
