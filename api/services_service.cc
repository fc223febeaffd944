#include "api/services_service.h"

#include <algorithm>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "api/convert.h"
#include "api/errors.h"
#include "api/unreadable.h"
#include "api/values.h"
#include "base/status.h"
#include "google/protobuf/util/message_differencer.h"
#include "store/objects.h"
#include "store/readable.h"

namespace bulwark::api {
namespace {

// Each loss means that a controller has written the revision in between.
constexpr int kThawAttempts = 32;

absl::Status SetReplicas(int32_t replicas, const v1::Service& service,
                         v1::ServiceSpec& spec) {
  if (replicas < 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("scale service ", service.metadata().name(), ": ",
                     replicas, " is not a number of replicas"));
  }
  if (spec.has_autoscale()) {
    return WithRemedy(
        absl::FailedPreconditionError(absl::StrCat(
            "scale service ", service.metadata().name(),
            ": its autoscaler decides how many replicas run, from ",
            spec.autoscale().min_replicas(), " to ",
            spec.autoscale().max_replicas())),
        "change spec.autoscale, or take it out and scale again");
  }
  spec.set_replicas(replicas);
  return absl::OkStatus();
}

v1::Template TemplateOf(const v1::ServiceSpec& spec) {
  v1::Template declared;
  *declared.mutable_containers() = spec.containers();
  *declared.mutable_init_containers() = spec.init_containers();
  *declared.mutable_sidecars() = spec.sidecars();
  *declared.mutable_stop() = spec.stop();
  declared.set_network(spec.network());
  return declared;
}

absl::StatusOr<std::vector<v1::Revision>> ListRevisions(
    store::MetadataStore& store, const v1::Service& service) {
  ASSIGN_OR_RETURN(
      store::ReadableListing listing,
      store::ListReadable(store, "revision", service.metadata().project()));
  std::vector<v1::Revision> revisions;
  for (v1::Object& object : listing.objects) {
    if (object.revision().service() == service.metadata().name()) {
      revisions.push_back(std::move(*object.mutable_revision()));
    }
  }
  return revisions;
}

// What an apply would call the same revision: limits change in place, and the
// versions of secrets and configs are not in a spec.
v1::Template Comparable(v1::Template t) {
  t.clear_inputs();
  for (auto* list : {t.mutable_containers(), t.mutable_init_containers(),
                     t.mutable_sidecars()}) {
    for (v1::Container& container : *list) container.clear_resources();
  }
  return t;
}

bool IsLike(const v1::Template& revision, const v1::Template& declared) {
  return google::protobuf::util::MessageDifferencer::Equals(
      Comparable(revision), Comparable(declared));
}

// A value that a revision read, and which is not the current one.
struct OldValue {
  std::string kind;
  std::string name;
  int64_t version = 0;
  int64_t current = 0;  // 0: there is none any more
};

absl::StatusOr<std::vector<OldValue>> OldValuesOf(
    store::MetadataStore& store, const std::string& project,
    const v1::Revision& revision) {
  std::vector<OldValue> values;
  for (const v1::InputVersion& input : revision.template_().inputs()) {
    if (input.version() == 0) continue;
    const absl::StatusOr<v1::Object> object = store::GetObject(
        store, store::ObjectKey(input.kind(), project, input.name()));
    if (!object.ok() && !absl::IsNotFound(object.status())) {
      return object.status();
    }
    const int64_t current = object.ok() ? CurrentVersion(*object) : 0;
    if (current == input.version()) continue;
    values.push_back({input.kind(), input.name(), input.version(), current});
  }
  return values;
}

std::string FlagOf(const std::string& project) {
  return project == "default" ? "" : absl::StrCat(" -p ", project);
}

// "version 1 of secret db", and the commands that make it current again.
struct OldValueWords {
  std::vector<std::string> versions, commands;

  OldValueWords(const std::vector<OldValue>& values,
                const std::string& project) {
    for (const OldValue& value : values) {
      if (value.current == 0) continue;
      versions.push_back(absl::StrCat("version ", value.version, " of ",
                                      value.kind, " ", value.name));
      commands.push_back(absl::StrCat("`ctl ", value.kind, " rollback ",
                                      value.name, FlagOf(project), " --to ",
                                      value.version, "`"));
    }
  }
  std::string Remedy() const {
    return absl::StrCat(absl::StrJoin(commands, " and "),
                        versions.size() == 1 ? " brings that value back"
                                             : " bring those values back");
  }
};

// A revision that differs from what is declared in a secret or config alone
// cannot be had by declaring anything: that goes back by itself.
absl::Status CheckInputs(const v1::Service& service,
                         const v1::Revision& revision,
                         const std::vector<OldValue>& values) {
  if (!IsLike(revision.template_(), TemplateOf(service.spec()))) {
    return absl::OkStatus();
  }
  const std::string project = ProjectOr(service.metadata().project());
  for (const OldValue& value : values) {
    if (value.current != 0) continue;
    return WithRemedy(
        absl::FailedPreconditionError(absl::StrCat(
            "undo service ", service.metadata().name(), ": revision ",
            revision.number(), " reads ", value.kind, " ", value.name,
            ", which was deleted with its values")),
        absl::StrCat("`ctl ", value.kind, " create ", value.name,
                     FlagOf(project), "` makes it anew"));
  }
  const OldValueWords words(values, project);
  if (words.versions.empty()) return absl::OkStatus();
  return WithRemedy(
      absl::FailedPreconditionError(absl::StrCat(
          "undo service ", service.metadata().name(), ": revision ",
          revision.number(), " is what is declared, but for ",
          absl::StrJoin(words.versions, " and "), ", which it read")),
      words.Remedy());
}

// What somebody who goes back to `revision` may not expect.
std::string ValueWarning(const v1::Revision& revision,
                         const std::vector<OldValue>& values,
                         const std::string& project) {
  const OldValueWords words(values, project);
  if (words.versions.empty()) return "";
  return absl::StrCat("revision ", revision.number(), " read ",
                      absl::StrJoin(words.versions, " and "),
                      "; containers go back, values do not: ", words.Remedy());
}

// The number of what is declared, which after a roll-back is not what runs; the
// largest number if it has none yet.
int64_t DeclaredNumber(const v1::Service& service,
                       const std::vector<v1::Revision>& revisions) {
  const v1::Template declared = TemplateOf(service.spec());
  int64_t number = 0;
  for (const v1::Revision& revision : revisions) {
    if (IsLike(revision.template_(), declared)) {
      number = std::max(number, revision.number());
    }
  }
  return number == 0 ? std::numeric_limits<int64_t>::max() : number;
}

// The revision to go back to: number `wanted`, or for 0 the last good one
// before what is declared.
absl::StatusOr<v1::Revision> FindRevision(store::MetadataStore& store,
                                          const v1::Service& service,
                                          int64_t wanted) {
  ASSIGN_OR_RETURN(const std::vector<v1::Revision> revisions,
                   ListRevisions(store, service));
  const int64_t declared = DeclaredNumber(service, revisions);
  const v1::Revision* best = nullptr;
  for (const v1::Revision& revision : revisions) {
    const bool fits = wanted != 0
                          ? revision.number() == wanted
                          : revision.good() && revision.failure().empty() &&
                                revision.number() < declared;
    if (fits && (best == nullptr || revision.number() > best->number())) {
      best = &revision;
    }
  }
  if (best != nullptr) return *best;
  return WithRemedy(
      absl::NotFoundError(
          wanted != 0
              ? absl::StrCat("undo service ", service.metadata().name(),
                             ": there is no revision ", wanted)
              : absl::StrCat("undo service ", service.metadata().name(),
                             ": no revision before the declared one was ever "
                             "fully available")),
      "list the service's revisions to see which there are");
}

// A revision that somebody asks for by its number is tried again, although it
// was rolled back once. What is declared may be this very revision: the service
// is written as it is, so that its controller looks at it now.
absl::Status Thaw(store::MetadataStore& store, const v1::Revision& revision) {
  if (revision.failure().empty()) return absl::OkStatus();
  const std::string& project = revision.metadata().project();
  const store::Key key =
      store::ObjectKey("revision", project, revision.metadata().name());
  const store::Key service_key =
      store::ObjectKey("service", project, revision.service());
  for (int attempt = 0; attempt < kThawAttempts; ++attempt) {
    ASSIGN_OR_RETURN(v1::Object object, store::GetObject(store, key));
    object.mutable_revision()->clear_failure();
    ASSIGN_OR_RETURN(const v1::Object service,
                     store::GetObject(store, service_key));
    const absl::Status status =
        store
            .Commit(
                store::Batch()
                    .Put(key, store::Encode(object), store::RevisionOf(object))
                    .Put(service_key, store::Encode(service),
                         store::RevisionOf(service)))
            .status();
    if (!absl::IsAborted(status)) return status;
  }
  return absl::AbortedError(absl::StrCat("undo service ", revision.service(),
                                         ": it changes all the time"));
}

absl::Time RolloutOf(const v1::Revision& revision) {
  return ToTime(revision.rollout_time());
}

// Revisions of what is declared may differ in their images' digests alone, and
// the newest of them is the one that runs. Going back to an older one means
// that the newer are not wanted: the service controller then runs the last good
// one.
absl::Status TakeBackImages(store::MetadataStore& store,
                            const v1::Service& service,
                            const v1::Revision& wanted,
                            const std::string& who) {
  const v1::Template declared = TemplateOf(service.spec());
  if (!IsLike(wanted.template_(), declared)) return absl::OkStatus();
  const std::string& project = service.metadata().project();
  const store::Key service_key =
      store::ObjectKey("service", project, service.metadata().name());
  for (int attempt = 0; attempt < kThawAttempts; ++attempt) {
    ASSIGN_OR_RETURN(const std::vector<v1::Revision> revisions,
                     ListRevisions(store, service));
    store::Batch batch;
    int taken_back = 0;
    const v1::Revision* runs = nullptr;
    for (const v1::Revision& r : revisions) {
      if (!r.failure().empty()) continue;
      if (r.number() > wanted.number() && IsLike(r.template_(), declared) &&
          r.hash() != wanted.hash()) {
        v1::Object object;
        *object.mutable_revision() = r;
        object.mutable_revision()->set_failure(absl::StrCat("undone by ", who));
        batch.Put(store::KeyOf(object), store::Encode(object),
                  store::RevisionOf(object));
        ++taken_back;
      } else if (r.good() &&
                 (runs == nullptr || RolloutOf(r) > RolloutOf(*runs))) {
        runs = &r;
      }
    }
    if (taken_back == 0) return absl::OkStatus();
    if (runs == nullptr || runs->number() != wanted.number()) {
      return WithRemedy(
          absl::FailedPreconditionError(absl::StrCat(
              "undo service ", service.metadata().name(), ": revision ",
              wanted.number(),
              " differs from what is declared in its images' "
              "digests alone, and is not the last good one before it")),
          "apply the service with the image named by the digest that you want");
    }
    ASSIGN_OR_RETURN(const v1::Object current,
                     store::GetObject(store, service_key));
    batch.Put(service_key, store::Encode(current), store::RevisionOf(current));
    const absl::Status status = store.Commit(batch).status();
    if (!absl::IsAborted(status)) return status;
  }
  return absl::AbortedError(absl::StrCat(
      "undo service ", service.metadata().name(), ": it changes all the time"));
}

void Restore(const v1::Template& from, v1::ServiceSpec& spec) {
  *spec.mutable_containers() = from.containers();
  *spec.mutable_init_containers() = from.init_containers();
  *spec.mutable_sidecars() = from.sidecars();
  *spec.mutable_stop() = from.stop();
  spec.set_network(from.network());
}

}  // namespace

grpc::Status ServicesService::Scale(grpc::ServerContext* context,
                                    const v1::ScaleRequest* request,
                                    v1::ScaleResponse* response) {
  return gate_.Run(
      *context, "/bulwark.v1.Services/Scale", *request,
      [&](const Caller& caller) -> absl::Status {
        ASSIGN_OR_RETURN(
            *response->mutable_service(),
            writer_.ChangeService(
                {request->project(), request->service(), "Scaled",
                 absl::StrCat(request->replicas(), " replicas")},
                caller, [&](const v1::Service& service, v1::ServiceSpec& spec) {
                  return SetReplicas(request->replicas(), service, spec);
                }));
        return absl::OkStatus();
      });
}

grpc::Status ServicesService::Stop(grpc::ServerContext* context,
                                   const v1::StopRequest* request,
                                   v1::StopResponse* response) {
  return gate_.Run(
      *context, "/bulwark.v1.Services/Stop", *request,
      [&](const Caller& caller) -> absl::Status {
        ASSIGN_OR_RETURN(
            *response->mutable_service(),
            writer_.ChangeService({request->project(), request->service(),
                                   "StopRequested", "to stop"},
                                  caller,
                                  [](const v1::Service&, v1::ServiceSpec& s) {
                                    s.set_stopped(true);
                                    return absl::OkStatus();
                                  }));
        return absl::OkStatus();
      });
}

grpc::Status ServicesService::Start(grpc::ServerContext* context,
                                    const v1::StartRequest* request,
                                    v1::StartResponse* response) {
  return gate_.Run(
      *context, "/bulwark.v1.Services/Start", *request,
      [&](const Caller& caller) -> absl::Status {
        ASSIGN_OR_RETURN(
            *response->mutable_service(),
            writer_.ChangeService({request->project(), request->service(),
                                   "StartRequested", "to start"},
                                  caller,
                                  [](const v1::Service&, v1::ServiceSpec& s) {
                                    s.set_stopped(false);
                                    return absl::OkStatus();
                                  }));
        return absl::OkStatus();
      });
}

absl::Status ServicesService::UndoChecked(const v1::UndoRequest& request,
                                          const Caller& caller,
                                          v1::UndoResponse& response,
                                          std::string& warning) {
  if (request.has_to_revision() && request.to_revision() < 1) {
    return WithRemedy(
        absl::InvalidArgumentError(absl::StrCat(
            "undo service ", request.service(), ": ", request.to_revision(),
            " is not a revision: they count from 1")),
        "name none to go back to the last good one");
  }
  ASSIGN_OR_RETURN(
      const v1::Object object,
      store::GetObject(store_, store::ObjectKey("service", request.project(),
                                                request.service())));
  ASSIGN_OR_RETURN(
      const v1::Revision revision,
      FindRevision(store_, object.service(), request.to_revision()));
  // Before anything is written.
  v1::Object restored = object;
  Restore(revision.template_(), *restored.mutable_service()->mutable_spec());
  RETURN_IF_ERROR(caller.Require(DemandsOfChange(&object, &restored)));
  const std::string project = ProjectOr(request.project());
  ASSIGN_OR_RETURN(const std::vector<OldValue> values,
                   OldValuesOf(store_, project, revision));
  RETURN_IF_ERROR(CheckInputs(object.service(), revision, values));
  RETURN_IF_ERROR(Thaw(store_, revision));
  RETURN_IF_ERROR(TakeBackImages(store_, object.service(), revision,
                                 caller.identity().name()));
  ASSIGN_OR_RETURN(*response.mutable_service(),
                   writer_.ChangeService(
                       {request.project(), request.service(), "Undone",
                        absl::StrCat("back to revision ", revision.number())},
                       caller, [&](const v1::Service&, v1::ServiceSpec& spec) {
                         Restore(revision.template_(), spec);
                         return absl::OkStatus();
                       }));
  warning = ValueWarning(revision, values, project);
  return absl::OkStatus();
}

grpc::Status ServicesService::Undo(grpc::ServerContext* context,
                                   const v1::UndoRequest* request,
                                   v1::UndoResponse* response) {
  return gate_.Run(*context, "/bulwark.v1.Services/Undo", *request,
                   [&](const Caller& caller) {
                     std::string warning;
                     const absl::Status status =
                         UndoChecked(*request, caller, *response, warning);
                     if (!warning.empty()) {
                       context->AddInitialMetadata(kWarningMetadata, warning);
                     }
                     return status;
                   });
}

}  // namespace bulwark::api
