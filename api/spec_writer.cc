#include "api/spec_writer.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "api/audit/describe.h"
#include "api/convert.h"
#include "api/errors.h"
#include "api/fields.h"
#include "api/unreadable.h"
#include "base/status.h"
#include "store/objects.h"

namespace bulwark::api {
namespace {

// Each loss means that a controller has written a status in between.
constexpr int kMostAttempts = 32;

// Of the host's record; 0 if there is none yet.
int64_t HostMemory(store::MetadataStore& store) {
  const absl::StatusOr<v1::Object> node =
      store::GetObject(store, store::ObjectKey("node", "default", "local"));
  return node.ok() ? node->node().status().memory() : 0;
}

}  // namespace

SpecWriter::SpecWriter(store::MetadataStore& store, Clock& clock,
                       Entropy& entropy, NormalizeReference normalize,
                       secrets::Vault* vault)
    : store_(store),
      clock_(clock),
      entropy_(entropy),
      normalize_(std::move(normalize)),
      vault_(vault),
      declared_(store) {}

PlanContext SpecWriter::ContextOf(const StoredObjects& stored,
                                  const v1::Identity& caller) const {
  PlanContext context{stored, normalize_, caller, clock_.Now(), entropy_};
  context.vault = vault_;
  return context;
}

absl::StatusOr<uint64_t> SpecWriter::Change(
    const Caller& caller,
    absl::FunctionRef<absl::StatusOr<store::Batch>(const StoredObjects&)> plan,
    absl::FunctionRef<void()> tried) {
  absl::MutexLock lock(&mu_);
  for (int attempt = 1;; ++attempt) {
    ASSIGN_OR_RETURN(const StoredObjects* const stored, declared_.Read());
    ASSIGN_OR_RETURN(const store::Batch batch, plan(*stored));
    if (batch.empty()) {
      // What it found as it should be, others may have declared just now.
      RETURN_IF_ERROR(store_.AwaitDurable(stored->revision));
      return stored->revision;
    }
    absl::StatusOr<uint64_t> revision = caller.record()->Commit(store_, batch);
    if (revision.ok() || !absl::IsAborted(revision.status()) ||
        attempt == kMostAttempts) {
      tried();
      return revision;
    }
  }
}

absl::StatusOr<v1::ApplyResponse> SpecWriter::Apply(
    const v1::ApplyRequest& request, const Caller& caller) {
  v1::ApplyResponse response;
  ASSIGN_OR_RETURN(
      const uint64_t revision,
      Change(caller,
             [&](const StoredObjects& stored) -> absl::StatusOr<store::Batch> {
               PlanContext context = ContextOf(stored, caller);
               context.host_memory = HostMemory(store_);
               ASSIGN_OR_RETURN(ApplyPlan plan, PlanApply(request, context));
               RETURN_IF_ERROR(caller.Require(plan.demands));
               response = std::move(plan.response);
               if (request.validate_only()) return store::Batch();
               DescribeResults(response, caller.record()->record());
               return std::move(plan.batch);
             }));
  response.set_revision(static_cast<int64_t>(revision));
  for (v1::ApplyResult& result : *response.mutable_results()) {
    ClearInputOnly(*result.mutable_object());
    if (result.action() == v1::ApplyResult::UNCHANGED) continue;
    if (request.validate_only()) continue;
    store::MutableMetadata(*result.mutable_object())
        .set_resource_version(absl::StrCat(revision));
  }
  return response;
}

absl::StatusOr<v1::DeleteResponse> SpecWriter::Delete(
    const v1::DeleteRequest& request, const Caller& caller) {
  v1::DeleteResponse response;
  RETURN_IF_ERROR(
      Change(caller,
             [&](const StoredObjects& stored) -> absl::StatusOr<store::Batch> {
               const PlanContext context = ContextOf(stored, caller);
               ASSIGN_OR_RETURN(DeletePlan plan, PlanDelete(request, context));
               response = std::move(plan.response);
               if (request.validate_only()) return store::Batch();
               return std::move(plan.batch);
             })
          .status());
  return response;
}

absl::StatusOr<v1::Service> SpecWriter::ChangeService(
    const Action& action, const Caller& caller,
    absl::FunctionRef<absl::Status(const v1::Service&, v1::ServiceSpec&)>
        change) {
  const store::Key key =
      store::ObjectKey("service", action.project, action.service);
  v1::ApplyResponse response;
  ASSIGN_OR_RETURN(
      const uint64_t revision,
      Change(
          caller,
          [&](const StoredObjects& stored) -> absl::StatusOr<store::Batch> {
            const v1::Object* object = stored.Find(key);
            if (stored.unreadable.count(key) > 0) {
              return RefuseUnreadable("change", key);
            }
            if (object == nullptr) {
              return absl::NotFoundError(absl::StrCat(
                  "get service ", key.project, "/", key.name, ": not found"));
            }
            v1::ApplyRequest request;
            v1::Object& changed = *request.add_objects();
            changed = *object;
            RETURN_IF_ERROR(change(object->service(),
                                   *changed.mutable_service()->mutable_spec()));
            PlanContext context = ContextOf(stored, caller);
            context.reason = action.reason;
            context.detail = action.detail;
            ASSIGN_OR_RETURN(ApplyPlan plan, PlanApply(request, context));
            RETURN_IF_ERROR(caller.Require(plan.demands));
            response = std::move(plan.response);
            return std::move(plan.batch.Essential());
          }));
  v1::Object& object = *response.mutable_results(0)->mutable_object();
  if (response.results(0).action() != v1::ApplyResult::UNCHANGED) {
    store::MutableMetadata(object).set_resource_version(absl::StrCat(revision));
  }
  return std::move(*object.mutable_service());
}

absl::StatusOr<v1::Job> SpecWriter::Trigger(const std::string& project,
                                            const std::string& cron_job,
                                            const Caller& caller) {
  const store::Key key = store::ObjectKey("cron-job", project, cron_job);
  v1::Object made;
  ASSIGN_OR_RETURN(
      const uint64_t revision,
      Change(caller,
             [&](const StoredObjects& stored) -> absl::StatusOr<store::Batch> {
               const v1::Object* cron = stored.Find(key);
               if (stored.unreadable.count(key) > 0) {
                 return RefuseUnreadable("trigger", key);
               }
               if (cron == nullptr) {
                 return absl::NotFoundError(
                     absl::StrCat("trigger cron job ", key.project, "/",
                                  key.name, ": not found"));
               }
               const v1::Metadata& owner = cron->cron_job().metadata();
               if (owner.has_delete_time()) {
                 return absl::FailedPreconditionError(
                     absl::StrCat("trigger cron job ", key.project, "/",
                                  key.name, ": it is being deleted"));
               }
               made.Clear();
               v1::Metadata& metadata = *made.mutable_job()->mutable_metadata();
               metadata.set_uid(NewUid(entropy_));
               metadata.set_name(
                   absl::StrCat(key.name, "-", metadata.uid().substr(0, 8)));
               metadata.set_project(key.project);
               metadata.set_generation(1);
               *metadata.mutable_labels() = owner.labels();
               *metadata.mutable_create_time() = ToTimestamp(clock_.Now());
               *metadata.mutable_actor() = caller.identity();
               *metadata.mutable_owner() = ReferenceTo(*cron);
               *made.mutable_job()->mutable_spec() =
                   cron->cron_job().spec().job();
               PlanContext context = ContextOf(stored, caller);
               context.reason = "Triggered";
               store::Batch batch;
               PutWithEvent(
                   made,
                   absl::StrCat(NameOf(made), " was made of ", NameOf(*cron),
                                ", asked by ", caller.identity().name()),
                   context, batch);
               batch.Require(key, store::RevisionOf(*cron));
               return batch;
             }));
  store::MutableMetadata(made).set_resource_version(absl::StrCat(revision));
  return std::move(*made.mutable_job());
}

}  // namespace bulwark::api
