#include "scheduler/services/resolver.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "base/status.h"
#include "scheduler/conditions.h"
#include "scheduler/names.h"
#include "scheduler/rollout/template.h"
#include "scheduler/services/inputs.h"
#include "scheduler/services/reader.h"
#include "scheduler/times.h"
#include "store/objects.h"

namespace bulwark::scheduler {
namespace {

constexpr int kCommitTries = 20;
// Between two looks at whether an image is still wanted.
constexpr absl::Duration kLookPeriod = absl::Seconds(1);
// Until the controller of a service has seen its new declaration.
constexpr absl::Duration kReportPoll = absl::Milliseconds(20);

bool Exists(const std::vector<v1::Revision>& revisions,
            const v1::Template& declared) {
  return std::any_of(revisions.begin(), revisions.end(),
                     [&](const v1::Revision& r) {
                       return SameTemplate(r.template_(), declared);
                     });
}

// Still declared, and not being deleted.
absl::StatusOr<bool> Declares(store::MetadataStore& store,
                              const std::optional<v1::Object>& owner,
                              const v1::Template& declared) {
  ASSIGN_OR_RETURN(const std::optional<v1::Template> now,
                   ReadDeclared(store, owner));
  return now.has_value() && SameTemplate(*now, declared);
}

Conditions& ConditionsOf(v1::Object& owner) {
  return owner.has_job()
             ? *owner.mutable_job()->mutable_status()->mutable_conditions()
             : *owner.mutable_service()->mutable_status()->mutable_conditions();
}

// Whether its controller has seen what it declares now.
bool IsObserved(const v1::Object& owner) {
  const int64_t observed = owner.has_job()
                               ? owner.job().status().observed_generation()
                               : owner.service().status().observed_generation();
  return observed >= store::MetadataOf(owner).generation();
}

// Of two policies for one image the stricter holds: ALWAYS, MISSING, NEVER.
std::map<std::string, v1::Container::PullPolicy> PoliciesOf(
    const v1::Template& declared) {
  std::map<std::string, v1::Container::PullPolicy> policies;
  for (const v1::Container* c : ContainersOf(declared)) {
    v1::Container::PullPolicy policy =
        c->pull() == v1::Container::PULL_POLICY_UNSPECIFIED
            ? v1::Container::MISSING
            : c->pull();
    auto [it, added] = policies.emplace(c->image(), policy);
    if (added || it->second == v1::Container::ALWAYS) continue;
    if (policy != v1::Container::NEVER) it->second = policy;
  }
  return policies;
}

}  // namespace

ImageTrouble TroubleOf(const absl::Status& error) {
  switch (error.code()) {
    case absl::StatusCode::kNotFound:
      if (absl::StrContains(error.message(), "platform")) {
        return {"NoMatchingPlatform",
                "use an image that is made for this host's platform"};
      }
      return {"ImageNotFound",
              "load or build it first if it is in no registry; it is tried "
              "again by itself"};
    case absl::StatusCode::kUnauthenticated:
    case absl::StatusCode::kPermissionDenied:
      return {"RegistryDenied",
              "what `ctl pull` has fetched is used; it is tried again by "
              "itself"};
    case absl::StatusCode::kUnavailable:
    case absl::StatusCode::kDeadlineExceeded:
      return {
          "RegistryUnavailable",
          "it is tried again by itself; check the network and the registry"};
    case absl::StatusCode::kResourceExhausted:
      return {"NoSpace", "free some disk space; it is tried again by itself"};
    case absl::StatusCode::kInvalidArgument:
      return {"InvalidReference", "correct the image's name"};
    case absl::StatusCode::kDataLoss:
      return {
          "ImageCorrupt",
          "the registry sent other bytes than promised; push it again; it is "
          "tried again by itself"};
    default:
      return {"PullFailed", "it is tried again by itself"};
  }
}

std::string RevisionSentence(const v1::Revision& revision) {
  return absl::StrCat("revision ", revision.number(),
                      " is recorded with its images' digests");
}

ImageResolver::ImageResolver(std::string kind, store::MetadataStore& store,
                             engine::Images& images, Clock& clock,
                             Entropy& entropy, EventRecorder& events,
                             Changed changed)
    : kind_(std::move(kind)),
      store_(store),
      images_(images),
      clock_(clock),
      entropy_(entropy),
      events_(events),
      changed_(std::move(changed)) {}

absl::StatusOr<Result> ImageResolver::Reconcile(const std::string& key) {
  ASSIGN_OR_RETURN(store::Key owner_key, ParseQueueKey(kind_, key));
  ASSIGN_OR_RETURN(
      std::optional<v1::Object> owner,
      FindObject(store_, kind_, owner_key.project, owner_key.name));
  ASSIGN_OR_RETURN(const std::optional<v1::Template> found,
                   ReadDeclared(store_, owner));
  if (!found.has_value()) return Result{};
  const v1::Template& declared = *found;
  ASSIGN_OR_RETURN(
      std::vector<v1::Revision> revisions,
      ListRevisionsOf(store_, kind_, owner_key.project, owner_key.name));
  if (Exists(revisions, declared)) return Result{};

  const absl::Status earlier = TakeUnreported(key, declared);
  absl::StatusOr<Digests> digests =
      earlier.ok() ? Resolve(declared, Wanted(owner_key, declared))
                   : absl::StatusOr<Digests>(earlier);
  if (!digests.ok()) {
    if (absl::IsCancelled(digests.status())) {
      // What is declared instead is in the queue.
      if (!cancelled_) return Result{};
      return digests.status();
    }
    if (absl::IsUnavailable(Report(owner_key, declared, digests.status()))) {
      absl::MutexLock lock(&mu_);
      unreported_[key] = {declared, digests.status()};
      return Result{kReportPoll};
    }
    return digests.status();
  }
  RETURN_IF_ERROR(Record(owner_key, declared, *digests));
  changed_(key);
  return Result{};
}

absl::Status ImageResolver::TakeUnreported(const std::string& key,
                                           const v1::Template& declared) {
  absl::MutexLock lock(&mu_);
  auto it = unreported_.find(key);
  if (it == unreported_.end()) return absl::OkStatus();
  const Unreported found = std::move(it->second);
  unreported_.erase(it);
  return SameTemplate(found.declared, declared) ? found.error
                                                : absl::OkStatus();
}

std::function<bool()> ImageResolver::Wanted(const store::Key& key,
                                            const v1::Template& declared) {
  struct Memory {
    absl::Mutex mu;
    bool wanted = true;
    absl::Duration look_at = absl::ZeroDuration();  // steady
  };
  return [this, key, &declared, memory = std::make_shared<Memory>()] {
    if (cancelled_) return false;
    absl::MutexLock lock(&memory->mu);
    const absl::Duration now = clock_.Steady();
    if (now >= memory->look_at) {
      memory->look_at = now + kLookPeriod;
      auto owner = FindObject(store_, kind_, key.project, key.name);
      memory->wanted =
          !owner.ok() || Declares(store_, *owner, declared).value_or(true);
    }
    return memory->wanted;
  };
}

absl::StatusOr<ImageResolver::Digests> ImageResolver::Resolve(
    const v1::Template& declared, const std::function<bool()>& wanted) {
  Digests digests;
  for (const auto& [image, policy] : PoliciesOf(declared)) {
    ASSIGN_OR_RETURN(digests[image], Digest(image, policy, wanted));
  }
  return digests;
}

absl::StatusOr<std::string> ImageResolver::Digest(
    const std::string& image, v1::Container::PullPolicy policy,
    const std::function<bool()>& wanted) {
  if (policy == v1::Container::NEVER) {
    ASSIGN_OR_RETURN(engine::Image found, images_.Get(image));
    return found.digest;
  }
  engine::PullRequest request;
  request.reference = image;
  request.always = policy == v1::Container::ALWAYS;
  request.wanted = wanted;
  ASSIGN_OR_RETURN(engine::Image pulled, images_.Pull(request, nullptr));
  return pulled.digest;
}

v1::Revision ImageResolver::NextRevision(const v1::Object& owner,
                                         const std::vector<v1::Revision>& known,
                                         const v1::Template& declared,
                                         const Digests& digests) {
  const v1::Metadata& metadata = store::MetadataOf(owner);
  int64_t number = 1;
  for (const v1::Revision& r : known) number = std::max(number, r.number() + 1);
  number = std::max(number, owner.service().status().revision() + 1);
  v1::Revision revision;
  v1::Metadata& own = *revision.mutable_metadata();
  own.set_name(owner.has_job() ? JobRevisionName(metadata.name(), number)
                               : RevisionName(metadata.name(), number));
  own.set_project(store::KeyOf(owner).project);
  own.set_uid(NewUid(entropy_));
  own.set_generation(1);
  SetTime(own.mutable_create_time(), clock_.Now());
  if (owner.has_job()) {
    revision.set_job(metadata.name());
  } else {
    revision.set_service(metadata.name());
  }
  revision.set_number(number);
  *revision.mutable_template_() = declared;
  revision.mutable_image_digests()->insert(digests.begin(), digests.end());
  revision.set_hash(TemplateHash(declared, digests));
  *revision.mutable_actor() = metadata.actor();
  return revision;
}

std::optional<v1::Revision> ImageResolver::AtHand(
    const v1::Object& owner, const std::vector<v1::Revision>& known,
    const v1::Template& declared) {
  Digests digests;
  for (const auto& [image, policy] : PoliciesOf(declared)) {
    if (policy == v1::Container::ALWAYS) return std::nullopt;
    const absl::StatusOr<engine::Image> found = images_.Get(image);
    // Why not is for Reconcile() to say.
    if (!found.ok()) return std::nullopt;
    digests[image] = found->digest;
  }
  return NextRevision(owner, known, declared, digests);
}

absl::Status ImageResolver::Record(const store::Key& key,
                                   const v1::Template& declared,
                                   const Digests& digests) {
  for (int i = 0; i < kCommitTries; ++i) {
    ASSIGN_OR_RETURN(std::optional<v1::Object> owner,
                     FindObject(store_, kind_, key.project, key.name));
    ASSIGN_OR_RETURN(std::vector<v1::Revision> revisions,
                     ListRevisionsOf(store_, kind_, key.project, key.name));
    ASSIGN_OR_RETURN(const bool declares, Declares(store_, owner, declared));
    if (!declares || Exists(revisions, declared)) return absl::OkStatus();
    v1::Object object;
    v1::Revision& revision = *object.mutable_revision();
    revision = NextRevision(*owner, revisions, declared, digests);
    const absl::Status status =
        store_
            .Commit(store::Batch()
                        .Put(store::KeyOf(object), store::Encode(object), 0)
                        .Require(key, store::RevisionOf(*owner)))
            .status();
    if (absl::IsAborted(status)) continue;  // status writers are frequent
    RETURN_IF_ERROR(status);
    events_.Record(ReferenceTo(*owner), "RevisionCreated",
                   RevisionSentence(revision));
    return absl::OkStatus();
  }
  return absl::AbortedError(absl::StrCat("record a revision of ",
                                         key.ToString(),
                                         ": it changed too often meanwhile"));
}

absl::Status ImageResolver::Report(const store::Key& key,
                                   const v1::Template& declared,
                                   const absl::Status& error) {
  const ImageTrouble trouble = TroubleOf(error);
  v1::Condition condition;
  condition.set_type("ImageResolved");
  condition.set_status(v1::Condition::FALSE);
  condition.set_reason(trouble.reason);
  condition.set_message(
      absl::StrCat(std::string(error.message()), "; ", trouble.remedy));
  for (int i = 0; i < kCommitTries; ++i) {
    ASSIGN_OR_RETURN(std::optional<v1::Object> owner,
                     FindObject(store_, kind_, key.project, key.name));
    ASSIGN_OR_RETURN(const bool declares, Declares(store_, owner, declared));
    if (!declares) return absl::OkStatus();
    if (!IsObserved(*owner)) {
      return absl::UnavailableError(absl::StrCat(
          "report on ", key.ToString(), ": its declaration is not seen yet"));
    }
    if (!SetCondition(ConditionsOf(*owner), condition, clock_.Now())) {
      return absl::OkStatus();
    }
    const absl::Status committed =
        store_
            .Commit(
                store::Batch()
                    .Put(key, store::Encode(*owner), store::RevisionOf(*owner))
                    .NotDurable()
                    .Essential())
            .status();
    if (absl::IsAborted(committed)) continue;
    RETURN_IF_ERROR(committed);
    events_.Record(ReferenceTo(*owner), trouble.reason, condition.message(),
                   v1::Event::WARNING);
    return absl::OkStatus();
  }
  return absl::OkStatus();
}

}  // namespace bulwark::scheduler
