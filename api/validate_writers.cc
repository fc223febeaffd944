#include "api/validate_writers.h"

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "api/convert.h"
#include "store/objects.h"

namespace bulwark::api {
namespace {

using Entry = World::Entry;

using Containers = google::protobuf::RepeatedPtrField<v1::Container>;
using Dependencies = google::protobuf::RepeatedPtrField<v1::Dependency>;

const v1::JobSpec& JobSpecOf(const v1::Object& object) {
  return object.has_job() ? object.job().spec()
                          : object.cron_job().spec().job();
}

bool IsUser(const v1::Object& object) {
  if (object.has_service() || object.has_cron_job()) return true;
  // The jobs of a cron job are counted as that.
  if (!object.has_job() || object.job().metadata().has_owner()) return false;
  const auto& conditions = object.job().status().conditions();
  return std::none_of(
      conditions.begin(), conditions.end(), [](const v1::Condition& c) {
        return (c.type() == "Complete" || c.type() == "Failed") &&
               c.status() == v1::Condition::TRUE;
      });
}

// The volumes that the containers of a service or job share.
std::set<store::Key> SharedVolumes(const v1::Object& object) {
  std::vector<const Containers*> lists;
  if (object.has_service()) {
    const v1::ServiceSpec& spec = object.service().spec();
    lists = {&spec.containers(), &spec.init_containers(), &spec.sidecars()};
  } else {
    const v1::JobSpec& spec = JobSpecOf(object);
    lists = {&spec.containers(), &spec.init_containers()};
  }
  std::set<store::Key> keys;
  for (const Containers* list : lists) {
    for (const v1::Container& container : *list) {
      for (const v1::VolumeMount& mount : container.volumes()) {
        if (mount.volume().empty() || mount.per_replica()) continue;
        keys.insert(store::ObjectKey(
            "volume", store::MetadataOf(object).project(), mount.volume()));
      }
    }
  }
  return keys;
}

// Where an object says that several of it may run at once.
struct Several {
  const char* field;
  std::string what;  // "2 replicas"
  const char* help;
};

std::optional<Several> SeveralOf(const v1::ServiceSpec& spec) {
  const bool scaled = spec.has_autoscale();
  const int most = scaled                ? spec.autoscale().max_replicas()
                   : spec.has_replicas() ? spec.replicas()
                                         : 1;
  if (most <= 1) return std::nullopt;
  return Several{scaled ? "spec.autoscale.maxReplicas" : "spec.replicas",
                 absl::StrCat(most, " replicas"),
                 "declare one replica, mount it with `perReplica: true`, or "
                 "declare the volume with `access: shared`"};
}

std::optional<Several> SeveralOf(const v1::Object& object) {
  if (object.has_service()) return SeveralOf(object.service().spec());
  const v1::JobSpec& spec = JobSpecOf(object);
  const int most = std::min(std::max(1, spec.parallelism()),
                            std::max(1, spec.completions()));
  if (most > 1) {
    return Several{
        object.has_job() ? "spec.parallelism" : "spec.job.parallelism",
        absl::StrCat(most, " executions"),
        "declare a parallelism of 1, or the volume with `access: shared`"};
  }
  if (!object.has_cron_job()) return std::nullopt;
  const auto concurrency = object.cron_job().spec().concurrency();
  if (concurrency == v1::CronJobSpec::FORBID ||
      concurrency == v1::CronJobSpec::REPLACE) {
    return std::nullopt;
  }
  return Several{"spec.concurrency", "jobs of several times",
                 "declare `concurrency: forbid` or `replace`, or the volume "
                 "with `access: shared`"};
}

const Dependencies& DependenciesOf(const v1::Object& object) {
  return object.has_service() ? object.service().spec().depends_on()
                              : JobSpecOf(object).depends_on();
}

// Whether `later` begins only when the job `earlier` has ended.
bool WaitsFor(const v1::Object& later, const v1::Object& earlier) {
  if (!earlier.has_job()) return false;
  const Dependencies& all = DependenciesOf(later);
  return std::any_of(all.begin(), all.end(), [&](const v1::Dependency& d) {
    return d.condition() == v1::Dependency::COMPLETED &&
           d.service() == earlier.job().metadata().name();
  });
}

// What is stored of it, null if nothing is.
const v1::Object* StoredOf(const Entry& entry) {
  return entry.index < 0 ? entry.object : entry.before;
}

// A service that is to have no replicas, and has none any more: what restores
// its data runs meanwhile.
bool Rests(const v1::Object& object, const v1::Object* stored) {
  if (!object.has_service()) return false;
  const v1::ServiceSpec& spec = object.service().spec();
  return (spec.stopped() || (!spec.has_autoscale() && spec.has_replicas() &&
                             spec.replicas() == 0)) &&
         (stored == nullptr || stored->service().status().replicas() == 0);
}

// Whether the two can be at work at the same time.
bool MayMeet(const v1::Object& a, const v1::Object* a_stored,
             const v1::Object& b, const v1::Object* b_stored) {
  const bool services = a.has_service() && b.has_service();
  if (!services && (Rests(a, a_stored) || Rests(b, b_stored))) return false;
  return !WaitsFor(a, b) && !WaitsFor(b, a);
}
bool MayMeet(const Entry& a, const Entry& b) {
  return MayMeet(*a.object, StoredOf(a), *b.object, StoredOf(b));
}

// Whether they could before the request: then it does not make things worse,
// and whoever has them must be able to scale, restart and take back.
bool MightMeetBefore(const Entry& a, const Entry& b, const store::Key& volume) {
  const v1::Object *one = StoredOf(a), *two = StoredOf(b);
  return one != nullptr && two != nullptr && IsUser(*one) && IsUser(*two) &&
         SharedVolumes(*one).count(volume) > 0 &&
         SharedVolumes(*two).count(volume) > 0 && MayMeet(*one, one, *two, two);
}

// What who declares `told`, beside `other`, can do.
std::string HelpOf(const v1::Object& told, const v1::Object& other) {
  constexpr char kInTurn[] =
      "let one depend on the end of the other (dependsOn with `completed`), ";
  constexpr char kElse[] =
      "use another volume, or declare this one with `access: shared`";
  if (told.has_service() && other.has_service()) return kElse;
  if (other.has_service()) {
    return absl::StrCat("stop that first (`ctl stop ",
                        other.service().metadata().name(), " --wait`), ",
                        told.has_cron_job() ? "" : kInTurn, kElse);
  }
  if (other.has_cron_job()) return kElse;
  return absl::StrCat("wait until that has ended, ", kInTurn, kElse);
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
    if (single_.empty()) return;
    for (const Entry& entry : world.entries) {
      if (!IsUser(*entry.object)) continue;
      for (const store::Key& key : SharedVolumes(*entry.object)) {
        if (single_.count(key) > 0) users_[key].push_back(&entry);
      }
    }
  }

  void Run() {
    for (const auto& [key, users] : users_) {
      const Entry& volume = *single_.at(key);
      for (const Entry* user : users) CheckSeveral(volume, *user);
      CheckAlone(volume, users);
    }
  }

 private:
  void CheckSeveral(const Entry& volume, const Entry& user) {
    const std::optional<Several> several = SeveralOf(*user.object);
    if (!several.has_value()) return;
    const std::string& name = volume.object->volume().metadata().name();
    // As it was before: see MightMeetBefore().
    if (volume.index < 0 && user.before != nullptr &&
        !user.object->has_service() && SeveralOf(*user.before).has_value() &&
        SharedVolumes(*user.before).count(store::KeyOf(*volume.object)) > 0) {
      return;
    }
    if (user.index >= 0) {
      report_.SetObject(user.index);
      report_.Refuse(several->field,
                     absl::StrCat("volume ", name, " is for one writer, and ",
                                  several->what, " would mount it"),
                     several->help);
    } else if (volume.index >= 0) {
      report_.SetObject(volume.index);
      report_.Refuse(
          "spec.access",
          absl::StrCat(NameOf(*user.object), " mounts it with ", several->what),
          "let no more than one of it run first");
    }
  }

  // Two that may mount it at the same time: of the request's the later one is
  // told, of none the volume.
  void CheckAlone(const Entry& volume, const std::vector<const Entry*>& users) {
    const std::string& name = volume.object->volume().metadata().name();
    for (size_t i = 0; i < users.size(); ++i) {
      for (size_t j = 0; j < i; ++j) {
        const Entry* told = users[i];
        const Entry* other = users[j];
        if (!MayMeet(*told, *other)) continue;
        if (volume.index < 0 &&
            MightMeetBefore(*told, *other, store::KeyOf(*volume.object))) {
          continue;
        }
        if (told->index < other->index) std::swap(told, other);
        if (told->index >= 0) {
          report_.SetObject(told->index);
          report_.Refuse(
              told->object->has_cron_job() ? "spec.job.containers"
                                           : "spec.containers",
              absl::StrCat("volume ", name, " is for one writer, and ",
                           NameOf(*other->object), " mounts it"),
              HelpOf(*told->object, *other->object));
          return;
        }
        if (volume.index < 0) continue;
        report_.SetObject(volume.index);
        report_.Refuse("spec.access",
                       absl::StrCat(NameOf(*other->object), " and ",
                                    NameOf(*told->object), " mount it"),
                       "let only one of them mount it first");
        return;
      }
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
