#include "api/validate_writers.h"

#include <map>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "api/convert.h"
#include "store/objects.h"

namespace bulwark::api {
namespace {

using Entry = World::Entry;

// The volumes that a service's containers share.
std::set<store::Key> SharedVolumes(const v1::Service& service) {
  std::set<store::Key> keys;
  const v1::ServiceSpec& spec = service.spec();
  for (const auto* list :
       {&spec.containers(), &spec.init_containers(), &spec.sidecars()}) {
    for (const v1::Container& container : *list) {
      for (const v1::VolumeMount& mount : container.volumes()) {
        if (mount.volume().empty() || mount.per_replica()) continue;
        keys.insert(store::ObjectKey("volume", service.metadata().project(),
                                     mount.volume()));
      }
    }
  }
  return keys;
}

int MostReplicas(const v1::ServiceSpec& spec) {
  if (spec.has_autoscale()) return spec.autoscale().max_replicas();
  return spec.has_replicas() ? spec.replicas() : 1;
}

class Writers {
 public:
  Writers(const World& world, Report& report) : report_(report) {
    for (const Entry& entry : world.entries) {
      if (entry.object->has_volume() &&
          entry.object->volume().spec().access() ==
              v1::VolumeSpec::SINGLE_WRITER) {
        single_.emplace(store::KeyOf(*entry.object), &entry);
      }
    }
    for (const Entry& entry : world.entries) {
      if (!entry.object->has_service()) continue;
      for (const store::Key& key : SharedVolumes(entry.object->service())) {
        if (single_.count(key) > 0) users_[key].push_back(&entry);
      }
    }
  }

  void Run() {
    for (const auto& [key, users] : users_) {
      const Entry& volume = *single_.at(key);
      for (const Entry* user : users) CheckReplicas(volume, *user);
      if (users.size() > 1) CheckAlone(volume, users);
    }
  }

 private:
  void CheckReplicas(const Entry& volume, const Entry& user) {
    const v1::ServiceSpec& spec = user.object->service().spec();
    if (MostReplicas(spec) <= 1) return;
    const std::string& name = volume.object->volume().metadata().name();
    if (user.index >= 0) {
      report_.SetObject(user.index);
      report_.Refuse(
          spec.has_autoscale() ? "spec.autoscale.maxReplicas" : "spec.replicas",
          absl::StrCat("volume ", name, " is for one writer, and ",
                       MostReplicas(spec), " replicas would mount it"),
          "declare one replica, mount it with `perReplica: true`, or declare "
          "the volume with `access: shared`");
    } else if (volume.index >= 0) {
      report_.SetObject(volume.index);
      report_.Refuse("spec.access",
                     absl::StrCat(NameOf(*user.object), " mounts it with ",
                                  MostReplicas(spec), " replicas"),
                     "scale that service to one replica first");
    }
  }

  // The last one of the request is told; of none, the volume.
  void CheckAlone(const Entry& volume, const std::vector<const Entry*>& users) {
    const Entry* told = nullptr;
    for (const Entry* user : users) {
      if (user->index >= 0 && (told == nullptr || told->index < user->index)) {
        told = user;
      }
    }
    const std::string& name = volume.object->volume().metadata().name();
    for (const Entry* other : users) {
      if (other == told) continue;
      if (told != nullptr) {
        report_.SetObject(told->index);
        report_.Refuse("spec.containers",
                       absl::StrCat("volume ", name, " is for one writer, and ",
                                    NameOf(*other->object), " mounts it"),
                       "use another volume, or declare this one with "
                       "`access: shared`");
        return;
      }
      if (volume.index < 0) return;
      report_.SetObject(volume.index);
      report_.Refuse("spec.access",
                     absl::StrCat(NameOf(*users[0]->object), " and ",
                                  NameOf(*users[1]->object), " mount it"),
                     "let only one service mount it first");
      return;
    }
  }

  Report& report_;
  std::map<store::Key, const Entry*> single_;
  std::map<store::Key, std::vector<const Entry*>> users_;
};

}  // namespace

void CheckWriters(const World& world, Report& report) {
  Writers(world, report).Run();
  report.SetObject(-1);
}

}  // namespace bulwark::api
