#include "api/validate_world.h"

#include <algorithm>
#include <map>
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
  Checker(const World& world, Report& report) : world_(world), report_(report) {
    for (const Entry& entry : world.entries) {
      by_key_[store::KeyOf(*entry.object)] = &entry;
    }
  }

  void Run() {
    for (const Entry& entry : world_.entries) {
      if (entry.index < 0) continue;
      report_.SetObject(entry.index);
      if (entry.object->has_service()) {
        CheckHostPorts(entry);
        CheckNetwork(entry.object->service());
        CheckVolumes(entry.object->service());
        CheckDependencies(entry.object->service());
      } else if (entry.object->has_network()) {
        CheckSubnets(entry);
      }
    }
    CheckCycles();
    CheckWriters(world_, report_);
    report_.SetObject(-1);
  }

 private:
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

  void CheckNetwork(const v1::Service& service) {
    const store::Key key = store::ObjectKey(
        "network", service.metadata().project(), service.spec().network());
    if (world_.leaving.count(key) > 0) {
      report_.Refuse("spec.network",
                     absl::StrCat("network ", key.name, " is being deleted"),
                     "wait until it is gone, or use another one");
    } else if (key.name != "default" && by_key_.count(key) == 0) {
      report_.Refuse("spec.network",
                     absl::StrCat("there is no network ", key.name,
                                  " in project ", key.project),
                     "declare it in the same apply");
    }
  }

  void CheckVolumes(const v1::Service& service) {
    const v1::ServiceSpec& spec = service.spec();
    CheckVolumesOf(service, "containers", spec.containers());
    CheckVolumesOf(service, "initContainers", spec.init_containers());
    CheckVolumesOf(service, "sidecars", spec.sidecars());
  }

  template <typename Containers>
  void CheckVolumesOf(const v1::Service& service, absl::string_view field,
                      const Containers& containers) {
    for (int i = 0; i < containers.size(); ++i) {
      for (int n = 0; n < containers[i].volumes_size(); ++n) {
        const std::string volume =
            Leaving(service.metadata(), containers[i].volumes(n));
        if (volume.empty()) continue;
        report_.Refuse(
            absl::StrCat("spec.", field, "[", i, "].volumes[", n, "].volume"),
            absl::StrCat("volume ", volume, " is being deleted"),
            "wait until it is gone, or use another one");
      }
    }
  }

  // A volume that `mount` means and that is being deleted; empty: none.
  std::string Leaving(const v1::Metadata& service,
                      const v1::VolumeMount& mount) const {
    for (const store::Key& key : world_.leaving) {
      if (key.kind == "volume" && key.project == service.project() &&
          Names(service.name(), mount, key.name)) {
        return key.name;
      }
    }
    return "";
  }

  void CheckDependencies(const v1::Service& service) {
    for (int i = 0; i < service.spec().depends_on_size(); ++i) {
      const std::string& name = service.spec().depends_on(i).service();
      const std::string& project = service.metadata().project();
      if (name.empty() ||
          by_key_.count(store::ObjectKey("service", project, name)) > 0) {
        continue;
      }
      report_.Refuse(absl::StrCat("spec.dependsOn[", i, "].service"),
                     absl::StrCat("there is no service ", Quoted(name),
                                  " in project ", project),
                     "declare it in the same apply, or mend the name");
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

  // Each circle once, at the first of its services that the request has.
  void CheckCycles() {
    DependencyGraph graph;
    for (const Entry& entry : world_.entries) {
      if (!entry.object->has_service()) continue;
      const v1::Service& service = entry.object->service();
      const std::string& project = service.metadata().project();
      std::vector<std::string>& edges =
          graph[absl::StrCat(project, "/", service.metadata().name())];
      for (const v1::Dependency& dependency : service.spec().depends_on()) {
        edges.push_back(absl::StrCat(project, "/", dependency.service()));
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
      const size_t slash = node.find('/');
      names.push_back(node.substr(slash + 1));
      const auto entry = by_key_.find(
          store::ObjectKey("service", node.substr(0, slash), names.back()));
      if (index < 0 && entry != by_key_.end()) index = entry->second->index;
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

bool Uses(const v1::Service& service, const v1::Object& object) {
  const v1::Metadata& metadata = store::MetadataOf(object);
  if (ProjectOr(service.metadata().project()) !=
      ProjectOr(metadata.project())) {
    return false;
  }
  const v1::ServiceSpec& spec = service.spec();
  if (object.has_network()) return spec.network() == metadata.name();
  for (const auto* list :
       {&spec.containers(), &spec.init_containers(), &spec.sidecars()}) {
    for (const v1::Container& container : *list) {
      for (const v1::VolumeMount& mount : container.volumes()) {
        if (Names(service.metadata().name(), mount, metadata.name())) {
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
    } else if ((object.has_network() || object.has_volume()) &&
               entry.object->has_service() &&
               Uses(entry.object->service(), object)) {
      users.push_back(NameOf(*entry.object));
    }
  }
  return users;
}

}  // namespace bulwark::api
