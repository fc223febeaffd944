// Actions on secrets and configs.
#include <utility>

#include "absl/strings/str_cat.h"
#include "api/convert.h"
#include "api/errors.h"
#include "api/fields.h"
#include "api/spec_writer.h"
#include "api/unreadable.h"
#include "base/status.h"
#include "store/objects.h"
#include "store/values.h"

namespace bulwark::api {
namespace {

using Mode = v1::SetSecretRequest;

absl::Status CheckMode(const v1::SetSecretRequest& request,
                       const v1::Object* stored) {
  const std::string& name = request.name();
  if (request.mode() == Mode::CREATE && stored != nullptr) {
    return WithRemedy(
        absl::AlreadyExistsError(
            absl::StrCat("create secret ", name, ": there is one already")),
        absl::StrCat("`ctl secret set ", name, "` gives it a new version"));
  }
  if (request.mode() == Mode::UPDATE && stored == nullptr) {
    return WithRemedy(absl::NotFoundError(absl::StrCat(
                          "set secret ", name, ": there is none in project ",
                          ProjectOr(request.project()))),
                      absl::StrCat("`ctl secret create ", name, "` makes it"));
  }
  if (request.mode() == Mode::MODE_UNSPECIFIED) {
    return absl::InvalidArgumentError("set secret: no mode is given");
  }
  return absl::OkStatus();
}

// The version to go back to.
absl::StatusOr<v1::ValueVersion> FindVersion(
    const v1::RollbackValueRequest& request, const v1::Object& object) {
  if (request.has_to_version() && request.to_version() < 1) {
    return WithRemedy(
        absl::InvalidArgumentError(absl::StrCat(
            "roll back ", NameOf(object), ": ", request.to_version(),
            " is not a version: they count from 1")),
        "name none to go back to the one before the current");
  }
  const int64_t current = CurrentVersion(object);
  const v1::ValueVersion* found = nullptr;
  for (const v1::ValueVersion& version : VersionsOf(object)) {
    const bool fits = request.has_to_version()
                          ? version.version() == request.to_version()
                          : version.version() < current;
    if (fits) found = &version;  // the last one that fits is the newest
  }
  if (found != nullptr) return *found;
  return WithRemedy(
      absl::NotFoundError(absl::StrCat(
          "roll back ", NameOf(object), ": ",
          request.has_to_version()
              ? absl::StrCat("version ", request.to_version(), " is not kept")
              : "it has no older version")),
      absl::StrCat("`ctl ", request.kind(), " history ", request.name(),
                   "` lists the versions that are kept"));
}

}  // namespace

absl::Status SpecWriter::Exclusively(absl::FunctionRef<absl::Status()> write) {
  absl::MutexLock lock(&mu_);
  return write();
}

absl::StatusOr<v1::SetSecretResponse> SpecWriter::SetSecret(
    const v1::SetSecretRequest& request, const Caller& caller) {
  const store::Key key =
      store::ObjectKey("secret", request.project(), request.name());
  v1::ApplyResponse applied;
  ASSIGN_OR_RETURN(
      const uint64_t revision,
      Change(caller,
             [&](const StoredObjects& stored) -> absl::StatusOr<store::Batch> {
               if (stored.unreadable.count(key) > 0) {
                 return RefuseUnreadable("set", key);
               }
               const v1::Object* before = stored.Find(key);
               RETURN_IF_ERROR(CheckMode(request, before));
               v1::ApplyRequest apply;
               v1::Secret& secret = *apply.add_objects()->mutable_secret();
               secret.mutable_metadata()->set_name(request.name());
               secret.mutable_metadata()->set_project(request.project());
               *secret.mutable_metadata()->mutable_labels() = request.labels();
               if (request.labels().empty() && before != nullptr) {
                 *secret.mutable_metadata()->mutable_labels() =
                     store::MetadataOf(*before).labels();
               }
               secret.mutable_spec()->set_sealed_value(request.sealed_value());
               PlanContext context = ContextOf(stored, caller);
               context.reason =
                   before == nullptr ? "SecretCreated" : "SecretChanged";
               ASSIGN_OR_RETURN(ApplyPlan plan, PlanApply(apply, context));
               RETURN_IF_ERROR(caller.Require(plan.demands));
               applied = std::move(plan.response);
               return std::move(plan.batch);
             }));
  v1::ApplyResult& result = *applied.mutable_results(0);
  v1::SetSecretResponse response;
  response.set_changed(result.action() != v1::ApplyResult::UNCHANGED);
  if (response.changed()) {
    store::MutableMetadata(*result.mutable_object())
        .set_resource_version(absl::StrCat(revision));
  }
  response.mutable_secret()->Swap(result.mutable_object()->mutable_secret());
  return response;
}

absl::StatusOr<v1::Object> SpecWriter::RollbackValue(
    const v1::RollbackValueRequest& request, const Caller& caller) {
  if (request.kind() != "secret" && request.kind() != "config") {
    return absl::InvalidArgumentError(absl::StrCat(
        "roll back: \"", request.kind(), "\" is neither secret nor config"));
  }
  const store::Key key =
      store::ObjectKey(request.kind(), request.project(), request.name());
  v1::Object after;
  ASSIGN_OR_RETURN(
      const uint64_t revision,
      Change(
          caller,
          [&](const StoredObjects& stored) -> absl::StatusOr<store::Batch> {
            if (stored.unreadable.count(key) > 0) {
              return RefuseUnreadable("roll back", key);
            }
            const v1::Object* before = stored.Find(key);
            if (before == nullptr) {
              return WithRemedy(
                  absl::NotFoundError(
                      absl::StrCat("roll back ", key.kind, " ", key.name,
                                   ": there is none in project ", key.project)),
                  absl::StrCat("`ctl ", key.kind, " list -A` shows all"));
            }
            ASSIGN_OR_RETURN(const v1::ValueVersion version,
                             FindVersion(request, *before));
            ASSIGN_OR_RETURN(NewValue value, ReadVersion(*before, version));
            after = *before;
            if (after.has_config()) {
              after.mutable_config()->mutable_spec()->set_value(value.content);
            }
            store::Batch batch;
            PlanContext context = ContextOf(stored, caller);
            context.reason = "ValueRolledBack";
            AddVersion(after, value, caller, context.now, stored.pinned, batch);
            v1::Metadata& metadata = store::MutableMetadata(after);
            metadata.set_generation(metadata.generation() + 1);
            *metadata.mutable_actor() = caller.identity();
            PutWithEvent(
                after,
                absl::StrCat(NameOf(after), " was set back to version ",
                             version.version(), " by ",
                             caller.identity().name(), " (version ",
                             CurrentVersion(after), ")"),
                context, batch);
            return batch;
          }));
  store::MutableMetadata(after).set_resource_version(absl::StrCat(revision));
  ClearInputOnly(after);
  return after;
}

// The value of a kept version, encrypted for the next one.
absl::StatusOr<NewValue> SpecWriter::ReadVersion(
    const v1::Object& object, const v1::ValueVersion& version) {
  const v1::Metadata& metadata = store::MetadataOf(object);
  NewValue value;
  value.digest = version.digest();
  value.size_bytes = version.size_bytes();
  value.rolled_back_to = version.version();
  const auto read = [&](const char* kind) -> absl::StatusOr<std::string> {
    ASSIGN_OR_RETURN(
        std::optional<store::Record> row,
        store::Find(store_,
                    store::ValueKey(kind, metadata.project(), metadata.name(),
                                    version.version())));
    if (row.has_value()) return std::move(row->value);
    return absl::DataLossError(absl::StrCat("read ", NameOf(object),
                                            " version ", version.version(),
                                            ": its value is missing"));
  };
  if (object.has_config()) {
    ASSIGN_OR_RETURN(value.content, read(store::kConfigValueKind));
    return value;
  }
  if (vault_ == nullptr) {
    return absl::FailedPreconditionError("secrets are not available");
  }
  secrets::ValueRows rows;
  ASSIGN_OR_RETURN(rows.value, read(store::kSecretValueKind));
  ASSIGN_OR_RETURN(rows.key, read(store::kSecretKeyKind));
  ASSIGN_OR_RETURN(
      value.rows,
      vault_->Rebind(BindingOf(object, version.version()), rows,
                     BindingOf(object, HighestVersion(object) + 1)));
  return value;
}

}  // namespace bulwark::api
