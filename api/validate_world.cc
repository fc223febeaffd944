#include "api/validate_world.h"

#include <algorithm>
#include <map>
#include <optional>
#include <string>
#include <tuple>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "api/cidr.h"
#include "api/convert.h"
#include "api/rules.h"
#include "api/validate_writers.h"
#include "base/graph.h"
#include "store/objects.h"

namespace bulwark::api {
namespace {

using Entry = World::Entry;
using Containers = google::protobuf::RepeatedPtrField<v1::Container>;
using Dependencies = google::protobuf::RepeatedPtrField<v1::Dependency>;

// What of an object makes containers: the part that services, jobs and cron
// jobs share. Points into it.
struct Workload {
  const v1::Metadata* metadata;
  std::string path;  // "spec", or "spec.job"
  const std::string* network;
  const Dependencies* depends_on;
  // By the name of their field.
  std::vector<std::pair<const char*, const Containers*>> containers;
};

std::optional<Workload> WorkloadOf(const v1::Object& object) {
  if (object.has_service()) {
    const v1::ServiceSpec& spec = object.service().spec();
    return Workload{&object.service().metadata(),
                    "spec",
                    &spec.network(),
                    &spec.depends_on(),
                    {{"containers", &spec.containers()},
                     {"initContainers", &spec.init_containers()},
                     {"sidecars", &spec.sidecars()}}};
  }
  if (!object.has_job() && !object.has_cron_job()) return std::nullopt;
  const v1::JobSpec& spec =
      object.has_job() ? object.job().spec() : object.cron_job().spec().job();
  return Workload{&store::MetadataOf(object),
                  object.has_job() ? "spec" : "spec.job",
                  &spec.network(),
                  &spec.depends_on(),
                  {{"containers", &spec.containers()},
                   {"initContainers", &spec.init_containers()}}};
}

// What `dependency` of an object of `project` names.
store::Key KeyOf(const std::string& project, const v1::Dependency& dependency) {
  const bool job = dependency.condition() == v1::Dependency::COMPLETED;
  return store::ObjectKey(job ? "job" : "service", project,
                          dependency.service());
}

// Whether `mount` of a service means the volume of that name.
bool Names(const std::string& service, const v1::VolumeMount& mount,
           absl::string_view volume) {
  if (mount.volume().empty()) return false;
  if (!mount.per_replica()) return mount.volume() == volume;
  // SERVICE-NAME-SLOT.
  return absl::ConsumePrefix(&volume,
                             absl::StrCat(service, "-", mount.volume(), "-")) &&
         !volume.empty() &&
         volume.find_first_not_of("0123456789") == absl::string_view::npos;
}

// The world by key, with the request's problems to report.
class Checker {
 public:
  Checker(const World& world, Report& report)
      : world_(world), report_(report) {}

  void Run() {
    for (const Entry& entry : world_.entries) {
      if (entry.index < 0) continue;
      report_.SetObject(entry.index);
      if (entry.object->has_service()) CheckHostPorts(entry);
      if (entry.object->has_network()) CheckSubnets(entry);
      const std::optional<Workload> workload = WorkloadOf(*entry.object);
      if (!workload.has_value()) continue;
      CheckNetwork(*workload);
      CheckVolumes(*workload);
      CheckDependencies(*workload);
    }
    CheckCycles();
    CheckWriters(world_, report_);
    report_.SetObject(-1);
  }

 private:
  // The world by key, made once somebody asks: for most requests nobody does.
  const Entry* Find(const store::Key& key) {
    if (by_key_.empty()) {
      for (const Entry& entry : world_.entries) {
        by_key_.emplace(store::KeyOf(*entry.object), &entry);
      }
    }
    const auto found = by_key_.find(key);
    return found == by_key_.end() ? nullptr : found->second;
  }

  // Of two objects of the request, the later one is told.
  static bool Goes(const Entry& other, const Entry& entry) {
    return other.index < entry.index;
  }

  void CheckHostPorts(const Entry& entry) {
    const v1::ServiceSpec& spec = entry.object->service().spec();
    for (int i = 0; i < spec.ports_size(); ++i) {
      const v1::Port& port = spec.ports(i);
      const Entry* holder = HolderOf(port, entry);
      if (holder == nullptr) continue;
      report_.Refuse(absl::StrCat("spec.ports[", i, "].hostPort"),
                     absl::StrCat("host port ", port.host_port(),
                                  " belongs to ", NameOf(*holder->object)),
                     "use another hostPort, or delete that service");
    }
  }

  const Entry* HolderOf(const v1::Port& port, const Entry& entry) const {
    if (port.host_port() == 0) return nullptr;
    for (const Entry& other : world_.entries) {
      if (!other.object->has_service() || !Goes(other, entry)) continue;
      for (const v1::Port& taken : other.object->service().spec().ports()) {
        if (taken.host_port() == port.host_port() &&
            taken.protocol() == port.protocol()) {
          return &other;
        }
      }
    }
    return nullptr;
  }

  void CheckNetwork(const Workload& workload) {
    const store::Key key = store::ObjectKey(
        "network", workload.metadata->project(), *workload.network);
    const std::string place = absl::StrCat(workload.path, ".network");
    if (world_.leaving.count(key) > 0) {
      report_.Refuse(place,
                     absl::StrCat("network ", key.name, " is being deleted"),
                     "wait until it is gone, or use another one");
    } else if (key.name != "default" && Find(key) == nullptr) {
      report_.Refuse(place,
                     absl::StrCat("there is no network ", key.name,
                                  " in project ", key.project),
                     "declare it in the same apply");
    }
  }

  void CheckVolumes(const Workload& workload) {
    for (const auto& [field, containers] : workload.containers) {
      for (int i = 0; i < containers->size(); ++i) {
        const v1::Container& container = (*containers)[i];
        for (int n = 0; n < container.volumes_size(); ++n) {
          const std::string volume =
              Leaving(*workload.metadata, container.volumes(n));
          if (volume.empty()) continue;
          report_.Refuse(absl::StrCat(workload.path, ".", field, "[", i,
                                      "].volumes[", n, "].volume"),
                         absl::StrCat("volume ", volume, " is being deleted"),
                         "wait until it is gone, or use another one");
        }
      }
    }
  }

  // A volume that `mount` means and that is being deleted; empty: none.
  std::string Leaving(const v1::Metadata& user,
                      const v1::VolumeMount& mount) const {
    for (const store::Key& key : world_.leaving) {
      if (key.kind == "volume" && key.project == user.project() &&
          Names(user.name(), mount, key.name)) {
        return key.name;
      }
    }
    return "";
  }

  void CheckDependencies(const Workload& workload) {
    const std::string& project = workload.metadata->project();
    for (int i = 0; i < workload.depends_on->size(); ++i) {
      const v1::Dependency& dependency = (*workload.depends_on)[i];
      const store::Key key = KeyOf(project, dependency);
      if (key.name.empty() || Find(key) != nullptr) continue;
      const bool other =
          Find(store::ObjectKey(key.kind == "job" ? "service" : "job", project,
                                key.name)) != nullptr;
      report_.Refuse(absl::StrCat(workload.path, ".dependsOn[", i, "].service"),
                     absl::StrCat("there is no ", key.kind, " ",
                                  Quoted(key.name), " in project ", project),
                     !other ? "declare it in the same apply, or mend the name"
                     : key.kind == "job"
                         ? "wait for a service with started or healthy"
                         : "wait for a job with completed");
    }
  }

  void CheckSubnets(const Entry& entry) {
    const v1::NetworkSpec& spec = entry.object->network().spec();
    CheckSubnet(entry, "spec.subnet", spec.subnet());
    CheckSubnet(entry, "spec.subnet6", spec.subnet6());
  }

  void CheckSubnet(const Entry& entry, absl::string_view field,
                   const std::string& subnet) {
    const auto cidr = Cidr::Parse(subnet);
    if (!cidr.has_value()) return;
    for (const Entry& other : world_.entries) {
      if (!other.object->has_network() || !Goes(other, entry)) continue;
      const v1::Network& network = other.object->network();
      for (const std::string& taken :
           {network.spec().subnet(), network.spec().subnet6(),
            network.status().subnet(), network.status().subnet6()}) {
        const auto theirs = Cidr::Parse(taken);
        if (!theirs.has_value() || !cidr->Overlaps(*theirs)) continue;
        report_.Refuse(field,
                       absl::StrCat(subnet, " overlaps ", taken, " of ",
                                    NameOf(*other.object)),
                       "use another subnet, or leave it out");
        return;
      }
    }
  }

  // Each circle once, at the first of its objects that the request has: a new
  // one has an edge from one of those.
  void CheckCycles() {
    const bool has_edges = std::any_of(
        world_.entries.begin(), world_.entries.end(), [](const Entry& entry) {
          if (entry.index < 0) return false;
          const std::optional<Workload> workload = WorkloadOf(*entry.object);
          return workload.has_value() && !workload->depends_on->empty();
        });
    if (!has_edges) return;
    DependencyGraph graph;
    for (const Entry& entry : world_.entries) {
      const std::optional<Workload> workload = WorkloadOf(*entry.object);
      // Nothing can depend on a cron job.
      if (!workload.has_value() || entry.object->has_cron_job()) continue;
      const store::Key key = store::KeyOf(*entry.object);
      std::vector<std::string>& edges = graph[key.ToString()];
      for (const v1::Dependency& dependency : *workload->depends_on) {
        edges.push_back(KeyOf(key.project, dependency).ToString());
      }
    }
    while (true) {
      const std::vector<std::string> cycle = SortTopologically(graph).cycle;
      if (cycle.empty()) return;
      ReportCycle(cycle);
      // Without this edge, look for the next one.
      std::vector<std::string>& edges = graph[cycle[0]];
      edges.erase(std::remove(edges.begin(), edges.end(), cycle[1]),
                  edges.end());
    }
  }

  void ReportCycle(const std::vector<std::string>& cycle) {
    std::vector<std::string> names;
    int index = -1;
    for (const std::string& node : cycle) {
      const absl::StatusOr<store::Key> key = store::Key::Parse(node);
      if (!key.ok()) continue;
      names.push_back(key->kind == "job" ? absl::StrCat("job ", key->name)
                                         : key->name);
      const Entry* entry = Find(*key);
      if (index < 0 && entry != nullptr) index = entry->index;
    }
    report_.SetObject(index);
    report_.Invalid(
        "spec.dependsOn",
        absl::StrCat("depends on itself: ", absl::StrJoin(names, " \u2192 ")),
        "take one of the dependencies out");
  }

  const World& world_;
  Report& report_;
  std::map<store::Key, const Entry*> by_key_;
};

bool Reads(const v1::Container& container, const v1::Object& object) {
  const std::string& name = store::MetadataOf(object).name();
  const auto names = [&name](const auto& mounts) {
    return std::any_of(mounts.begin(), mounts.end(),
                       [&](const auto& mount) { return mount.name() == name; });
  };
  return object.has_secret()   ? names(container.secrets())
         : object.has_config() ? names(container.configs())
                               : false;
}

// Of a ServiceSpec or a JobSpec.
template <typename Spec>
bool AnyReads(const Spec& spec, const v1::Object& object) {
  const auto any = [&object](const auto& containers) {
    return std::any_of(
        containers.begin(), containers.end(),
        [&](const v1::Container& c) { return Reads(c, object); });
  };
  return any(spec.containers()) || any(spec.init_containers());
}

// Whether containers that `user` declares read the secret or config `object`.
bool ReadsValue(const v1::Object& user, const v1::Object& object) {
  if (store::KeyOf(user).project != store::KeyOf(object).project) return false;
  if (user.has_service()) {
    const v1::ServiceSpec& spec = user.service().spec();
    return AnyReads(spec, object) ||
           std::any_of(
               spec.sidecars().begin(), spec.sidecars().end(),
               [&](const v1::Container& c) { return Reads(c, object); });
  }
  if (user.has_job()) return AnyReads(user.job().spec(), object);
  return user.has_cron_job() && AnyReads(user.cron_job().spec().job(), object);
}

bool Uses(const Workload& workload, const v1::Object& object) {
  const v1::Metadata& metadata = store::MetadataOf(object);
  if (ProjectOr(workload.metadata->project()) !=
      ProjectOr(metadata.project())) {
    return false;
  }
  if (object.has_network()) return *workload.network == metadata.name();
  for (const auto& [field, containers] : workload.containers) {
    for (const v1::Container& container : *containers) {
      for (const v1::VolumeMount& mount : container.volumes()) {
        if (Names(workload.metadata->name(), mount, metadata.name())) {
          return true;
        }
      }
    }
  }
  return false;
}

}  // namespace

void ValidateWorld(const World& world, Report& report) {
  Checker(world, report).Run();
}

std::vector<std::string> UsersOf(const World& world, const v1::Object& object) {
  std::vector<std::string> users;
  const std::string& name = store::MetadataOf(object).name();
  for (const Entry& entry : world.entries) {
    if (object.has_project()) {
      if (!entry.object->has_project() &&
          store::KeyOf(*entry.object).project == name) {
        users.push_back(NameOf(*entry.object));
      }
    } else if (object.has_secret() || object.has_config()) {
      if (ReadsValue(*entry.object, object)) {
        users.push_back(NameOf(*entry.object));
      }
    } else if (object.has_network() || object.has_volume()) {
      const std::optional<Workload> workload = WorkloadOf(*entry.object);
      if (workload.has_value() && Uses(*workload, object)) {
        users.push_back(NameOf(*entry.object));
      }
    }
  }
  return users;
}

}  // namespace bulwark::api
