#include "api/container_lookup.h"

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "api/convert.h"
#include "api/errors.h"
#include "base/status.h"
#include "store/objects.h"
#include "store/readable.h"

namespace bulwark::api {
namespace {

using Names = std::vector<std::string>;

template <typename Containers>
Names NamesOf(const Containers& containers) {
  Names names;
  for (const v1::Container& container : containers) {
    names.push_back(container.name());
  }
  return names;
}

// A service, or a job ("job/import").
struct Owner {
  bool job = false;
  std::string name;

  static Owner Parse(absl::string_view text) {
    Owner owner;
    owner.job = absl::ConsumePrefix(&text, kJobPrefix);
    owner.name = std::string(text);
    return owner;
  }
  static Owner Of(const v1::Replica& replica) {
    const v1::ReplicaSpec& spec = replica.spec();
    return spec.job().empty() ? Owner{false, spec.service()}
                              : Owner{true, spec.job()};
  }
  bool Owns(const v1::Replica& replica) const {
    const v1::ReplicaSpec& spec = replica.spec();
    return (job ? spec.job() : spec.service()) == name;
  }
  bool Owns(const v1::Revision& revision) const {
    return (job ? revision.job() : revision.service()) == name;
  }
};

// What the store knows of one service or job and its replicas.
struct OwnerView {
  std::optional<v1::Object> declared;
  std::map<int64_t, Names> main_of_revision;
  std::vector<v1::Replica> replicas;  // in the order of slots
  uint64_t revision = 0;

  // Main containers of a replica; empty: not known, take all.
  Names MainContainers(const v1::Replica& replica) const {
    const auto found = main_of_revision.find(replica.spec().revision());
    if (found != main_of_revision.end()) return found->second;
    if (!declared.has_value()) return Names();
    return declared->has_job()
               ? NamesOf(declared->job().spec().containers())
               : NamesOf(declared->service().spec().containers());
  }

  // No replica will come any more: it is gone, or a job that has ended.
  bool IsOver() const {
    if (!declared.has_value()) return true;
    if (!declared->has_job()) return false;
    for (const v1::Condition& c : declared->job().status().conditions()) {
      if (c.status() == v1::Condition::TRUE &&
          (c.type() == "Complete" || c.type() == "Failed")) {
        return true;
      }
    }
    return false;
  }
};

absl::StatusOr<OwnerView> ReadOwner(store::MetadataStore& store,
                                    const std::string& project,
                                    const Owner& owner) {
  OwnerView view;
  // Replicas first: what is written later, a watch from here on will tell.
  ASSIGN_OR_RETURN(store::ReadableListing replicas,
                   store::ListReadable(store, "replica", project));
  view.revision = replicas.revision;
  for (v1::Object& object : replicas.objects) {
    if (owner.Owns(object.replica())) {
      view.replicas.push_back(std::move(*object.mutable_replica()));
    }
  }
  std::stable_sort(view.replicas.begin(), view.replicas.end(),
                   [](const v1::Replica& a, const v1::Replica& b) {
                     return a.spec().slot() < b.spec().slot();
                   });
  ASSIGN_OR_RETURN(store::ReadableListing revisions,
                   store::ListReadable(store, "revision", project));
  for (const v1::Object& object : revisions.objects) {
    const v1::Revision& revision = object.revision();
    if (!owner.Owns(revision)) continue;
    view.main_of_revision[revision.number()] =
        NamesOf(revision.template_().containers());
  }
  absl::StatusOr<v1::Object> declared = store::GetObject(
      store,
      store::ObjectKey(owner.job ? "job" : "service", project, owner.name));
  if (declared.ok()) view.declared = *std::move(declared);
  if (!declared.ok() && !absl::IsNotFound(declared.status())) {
    return declared.status();
  }
  return view;
}

// The owner of a replica of that name; `otherwise` if there is no such replica.
absl::StatusOr<Owner> OwnerOfReplica(store::MetadataStore& store,
                                     const std::string& project,
                                     const std::string& name,
                                     const std::string& otherwise) {
  const absl::StatusOr<v1::Object> replica =
      store::GetObject(store, store::ObjectKey("replica", project, name));
  if (replica.ok()) return Owner::Of(replica->replica());
  if (!absl::IsNotFound(replica.status())) return replica.status();
  return Owner::Parse(otherwise);
}

bool HasEnded(const v1::Replica& replica) {
  return replica.status().state() == v1::ReplicaStatus::FAILED ||
         replica.status().state() == v1::ReplicaStatus::STOPPED;
}

// Whether `replica` is the last that has ended in its slot; with a name, the
// last before that replica in the slot of it.
bool IsPrevious(const OwnerView& view, const v1::Replica& replica,
                const std::string& before) {
  const auto started = [](const v1::Replica& r) {
    return ToTime(r.metadata().create_time());
  };
  const v1::Replica* limit = nullptr;
  const v1::Replica* last = nullptr;
  for (const v1::Replica& other : view.replicas) {
    if (other.metadata().name() == before) limit = &other;
  }
  if (limit == nullptr && !before.empty()) return false;
  const int slot = (limit == nullptr ? replica : *limit).spec().slot();
  for (const v1::Replica& other : view.replicas) {
    if (other.spec().slot() != slot || !HasEnded(other) || &other == limit ||
        (limit != nullptr && started(other) > started(*limit))) {
      continue;
    }
    if (last == nullptr || started(*last) <= started(other)) last = &other;
  }
  return last == &replica;
}

bool Contains(const Names& names, const std::string& name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

absl::Status NoContainer(const std::string& owner, const std::string& wanted,
                         const std::set<std::string>& known) {
  return WithRemedy(
      absl::NotFoundError(absl::StrCat("find container ", wanted, " of ", owner,
                                       ": there is none")),
      known.empty() ? "nothing of it has been started yet"
                    : absl::StrCat("it has: ", absl::StrJoin(known, ", ")));
}

}  // namespace

absl::StatusOr<LogTargets> FindLogTargets(store::MetadataStore& store,
                                          const v1::LogsRequest& request) {
  const std::string project = ProjectOr(request.project());
  Owner owner = Owner::Parse(request.service());
  if (owner.name.empty() && !request.replica().empty()) {
    ASSIGN_OR_RETURN(owner,
                     OwnerOfReplica(store, project, request.replica(),
                                    ServiceOfReplica(request.replica())));
  }
  if (owner.name.empty()) {
    return absl::InvalidArgumentError(
        "read logs: name a service or a job, or one of its replicas");
  }
  ASSIGN_OR_RETURN(const OwnerView view, ReadOwner(store, project, owner));
  LogTargets targets;
  targets.revision = view.revision;
  targets.final = true;
  std::set<std::string> known;
  bool found = view.declared.has_value() && request.replica().empty();
  if (found) targets.final = request.previous() || view.IsOver();
  for (const v1::Replica& replica : view.replicas) {
    const std::string& replica_name = replica.metadata().name();
    if (request.previous()) {
      found = found || request.replica() == replica_name;
      if (!IsPrevious(view, replica, request.replica())) continue;
    } else if (!request.replica().empty() &&
               request.replica() != replica_name) {
      continue;
    }
    found = true;
    if (!HasEnded(replica)) targets.final = false;
    const Names main = view.MainContainers(replica);
    for (const v1::ContainerStatus& status : replica.status().containers()) {
      known.insert(status.name());
      const bool wanted = request.container().empty()
                              ? main.empty() || Contains(main, status.name())
                              : request.container() == status.name();
      if (!wanted || status.id().empty()) continue;
      targets.containers.push_back({replica_name, status.name(), status.id()});
    }
  }
  const std::string name =
      request.replica().empty() ? owner.name : request.replica();
  if (!found) {
    return absl::NotFoundError(absl::StrCat("read logs of ",
                                            owner.job ? "job " : "", project,
                                            "/", name, ": not found"));
  }
  if (request.previous() && targets.containers.empty() && known.empty()) {
    return WithRemedy(
        absl::NotFoundError(absl::StrCat("read logs before ", name,
                                         ": no earlier replica is kept")),
        "failed replicas, and those of a revision that was rolled back, are "
        "kept for an hour");
  }
  if (targets.containers.empty() && !request.container().empty() &&
      (!request.follow() || !known.empty()) &&
      known.count(request.container()) == 0) {
    return NoContainer(name, request.container(), known);
  }
  return targets;
}

namespace {

absl::StatusOr<const v1::Replica*> ChooseReplica(const OwnerView& view,
                                                 const std::string& target) {
  const v1::Replica* ready = nullptr;
  for (const v1::Replica& replica : view.replicas) {
    if (replica.metadata().name() == target) return &replica;
    // Nobody asks executions of jobs whether they are ready.
    const bool usable =
        replica.spec().job().empty()
            ? replica.status().ready()
            : replica.status().state() == v1::ReplicaStatus::RUNNING;
    if (ready == nullptr && usable) ready = &replica;
  }
  if (ready != nullptr) return ready;
  return NoneToRunIn(target, view.replicas);
}

absl::StatusOr<ContainerRef> ChooseContainer(const OwnerView& view,
                                             const v1::Replica& replica,
                                             const std::string& wanted) {
  const Names main = view.MainContainers(replica);
  const std::string& name = replica.metadata().name();
  std::set<std::string> known;
  for (const v1::ContainerStatus& status : replica.status().containers()) {
    known.insert(status.name());
    const bool chosen = wanted.empty()
                            ? main.empty() || status.name() == main.front()
                            : status.name() == wanted;
    if (!chosen) continue;
    if (!status.running() || status.id().empty()) {
      return absl::FailedPreconditionError(
          absl::StrCat("run a command in container ", status.name(), " of ",
                       name, ": it does not run"));
    }
    return ContainerRef{name, status.name(), status.id()};
  }
  return NoContainer(
      name, wanted.empty() && !main.empty() ? main.front() : wanted, known);
}

}  // namespace

absl::StatusOr<ContainerRef> FindExecTarget(store::MetadataStore& store,
                                            const v1::ExecStart& start) {
  const std::string project = ProjectOr(start.project());
  if (start.target().empty()) {
    return absl::InvalidArgumentError(
        "run a command: name a service, or one of its replicas");
  }
  // A replica's name, if there is such a replica; else a service's or job's.
  ASSIGN_OR_RETURN(
      const Owner owner,
      OwnerOfReplica(store, project, start.target(), start.target()));
  ASSIGN_OR_RETURN(const OwnerView view, ReadOwner(store, project, owner));
  if (!view.declared.has_value() && view.replicas.empty()) {
    return absl::NotFoundError(absl::StrCat("run a command in ", project, "/",
                                            start.target(), ": not found"));
  }
  ASSIGN_OR_RETURN(const v1::Replica* chosen,
                   ChooseReplica(view, start.target()));
  return ChooseContainer(view, *chosen, start.container());
}

namespace {

// A service of that name, or else a job.
absl::StatusOr<Owner> OwnerOfTarget(store::MetadataStore& store,
                                    const std::string& project,
                                    const std::string& target) {
  ASSIGN_OR_RETURN(const Owner owner,
                   OwnerOfReplica(store, project, target, target));
  if (owner.job) return owner;
  const absl::StatusOr<v1::Object> service =
      store::GetObject(store, store::ObjectKey("service", project, owner.name));
  if (!absl::IsNotFound(service.status())) return owner;
  const absl::StatusOr<v1::Object> job =
      store::GetObject(store, store::ObjectKey("job", project, owner.name));
  return job.ok() ? Owner{true, owner.name} : owner;
}

// Greater: rather this one.
int Preference(const v1::Replica& replica, const std::string& target) {
  if (replica.metadata().name() == target) return 4;
  if (HasEnded(replica)) return 0;
  if (replica.status().ready()) return 3;
  return replica.status().state() == v1::ReplicaStatus::RUNNING ? 2 : 1;
}

absl::Status CheckSingle(const OwnerView& view, const std::string& target) {
  std::vector<std::string> live;
  for (const v1::Replica& replica : view.replicas) {
    if (replica.metadata().name() == target) return absl::OkStatus();
    if (!HasEnded(replica)) live.push_back(replica.metadata().name());
  }
  if (live.size() < 2) return absl::OkStatus();
  return WithRemedy(
      absl::FailedPreconditionError(absl::StrCat(
          "choose a replica of ", target, ": ", live.size(), " of it run")),
      absl::StrCat("name one: ", absl::StrJoin(live, ", ")));
}

const v1::Replica* Preferred(const OwnerView& view, const std::string& target) {
  const v1::Replica* best = nullptr;
  for (const v1::Replica& replica : view.replicas) {
    if (best == nullptr) {
      best = &replica;
      continue;
    }
    const int ours = Preference(replica, target);
    const int theirs = Preference(*best, target);
    const bool newer = replica.metadata().create_time().seconds() >=
                       best->metadata().create_time().seconds();
    if (ours > theirs || (ours == theirs && ours == 0 && newer)) {
      best = &replica;
    }
  }
  return best;
}

std::string EndOf(const OwnerView& view) {
  if (!view.declared.has_value() || !view.declared->has_job()) return "";
  for (const v1::Condition& c : view.declared->job().status().conditions()) {
    if (c.status() == v1::Condition::TRUE && c.type() == "Failed") {
      return c.message();
    }
  }
  return "";
}

}  // namespace

absl::StatusOr<ContainerTarget> FindTarget(store::MetadataStore& store,
                                           const std::string& project,
                                           const std::string& target,
                                           const std::string& container,
                                           bool only_one) {
  if (target.empty()) {
    return absl::InvalidArgumentError(
        "find container: name a service, a job, or one of their replicas");
  }
  ASSIGN_OR_RETURN(const Owner owner, OwnerOfTarget(store, project, target));
  ASSIGN_OR_RETURN(const OwnerView view, ReadOwner(store, project, owner));
  if (!view.declared.has_value() && view.replicas.empty()) {
    return absl::NotFoundError(absl::StrCat("find ", owner.job ? "job " : "",
                                            project, "/", owner.name,
                                            ": not found"));
  }
  if (only_one) RETURN_IF_ERROR(CheckSingle(view, target));
  ContainerTarget result;
  result.owner_ended = view.IsOver();
  result.message = EndOf(view);
  const v1::Replica* replica = Preferred(view, target);
  if (replica == nullptr) return result;
  result.replica = *replica;
  result.replica_ended = HasEnded(*replica);
  const Names main = view.MainContainers(*replica);
  result.container = container.empty() && !main.empty() ? main[0] : container;
  std::set<std::string> known(main.begin(), main.end());
  for (const v1::ContainerStatus& status : replica->status().containers()) {
    known.insert(status.name());
    if (result.container.empty()) result.container = status.name();
    if (status.name() == result.container) result.status = status;
  }
  if (!result.container.empty() && known.count(result.container) == 0) {
    return NoContainer(replica->metadata().name(), result.container, known);
  }
  return result;
}

absl::StatusOr<ContainerRef> FindRunning(store::MetadataStore& store,
                                         const std::string& project,
                                         const std::string& target,
                                         const std::string& container,
                                         bool only_one) {
  ASSIGN_OR_RETURN(const ContainerTarget found,
                   FindTarget(store, project, target, container, only_one));
  if (found.status.id().empty() || !found.status.running()) {
    return absl::FailedPreconditionError(
        found.container.empty()
            ? absl::StrCat("reach ", target, ": nothing of it runs")
            : absl::StrCat("reach container ", found.container, " of ",
                           found.replica.metadata().name(),
                           ": it does not run"));
  }
  return found.Ref();
}

absl::StatusOr<v1::Template> FindTemplate(store::MetadataStore& store,
                                          const std::string& project,
                                          const v1::Replica& replica) {
  const Owner owner = Owner::Of(replica);
  ASSIGN_OR_RETURN(store::ReadableListing revisions,
                   store::ListReadable(store, "revision", project));
  for (v1::Object& object : revisions.objects) {
    v1::Revision& revision = *object.mutable_revision();
    if (owner.Owns(revision) &&
        revision.number() == replica.spec().revision()) {
      return std::move(*revision.mutable_template_());
    }
  }
  return v1::Template();
}

}  // namespace bulwark::api
