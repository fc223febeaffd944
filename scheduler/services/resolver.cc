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
#include "engine/image_refusal.h"
#include "scheduler/conditions.h"
#include "scheduler/names.h"
#include "scheduler/rollout/template.h"
#include "scheduler/services/inputs.h"
#include "scheduler/services/reader.h"
#include "scheduler/services/revisions.h"
#include "scheduler/times.h"
#include "store/objects.h"

namespace bulwark::scheduler {
namespace {

constexpr int kCommitTries = 20;
constexpr absl::Duration kDay = absl::Hours(24);
// Between two looks at whether an image is still wanted.
constexpr absl::Duration kLookPeriod = absl::Seconds(1);
// Until the controller of a service has seen its new declaration.
constexpr absl::Duration kReportPoll = absl::Milliseconds(20);

bool Exists(const std::vector<v1::Revision>& revisions,
            const v1::Template& declared) {
  return NewestOf(revisions, declared) != nullptr;
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

// Of two policies for one image the stricter holds.
int Strictness(v1::Container::PullPolicy policy) {
  switch (policy) {
    case v1::Container::ALWAYS:
      return 3;
    case v1::Container::DAILY:
      return 2;
    case v1::Container::NEVER:
      return 0;
    default:
      return 1;
  }
}

std::map<std::string, v1::Container::PullPolicy> PoliciesOf(
    const v1::Template& declared) {
  std::map<std::string, v1::Container::PullPolicy> policies;
  for (const v1::Container* c : ContainersOf(declared)) {
    const v1::Container::PullPolicy policy =
        c->pull() == v1::Container::PULL_POLICY_UNSPECIFIED
            ? v1::Container::MISSING
            : c->pull();
    auto [it, added] = policies.emplace(c->image(), policy);
    if (Strictness(policy) > Strictness(it->second)) it->second = policy;
  }
  return policies;
}

}  // namespace

bool WantsRefresh(const v1::Object& owner) {
  if (!owner.has_service()) return false;
  const v1::Condition* condition =
      FindCondition(owner.service().status().conditions(), kImageRefresh);
  return condition != nullptr && condition->status() == v1::Condition::TRUE;
}

ImageTrouble TroubleOf(const absl::Status& error) {
  if (std::string refusal = engine::RefusalOf(error); !refusal.empty()) {
    return {std::move(refusal), "it is tried again by itself"};
  }
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
  if (Exists(revisions, declared)) {
    if (WantsRefresh(*owner)) RETURN_IF_ERROR(Refresh(owner_key, declared));
    return Result{};
  }

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
  RETURN_IF_ERROR(Record(owner_key, declared, *digests,
                         [&](const std::vector<v1::Revision>& recorded) {
                           return !Exists(recorded, declared);
                         })
                      .status());
  // It has just been asked.
  if (WantsRefresh(*owner)) RETURN_IF_ERROR(SetRefresh(owner_key, ""));
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
    RETURN_IF_ERROR(images_.CheckTrust({image, found.digest}));
    return found.digest;
  }
  engine::PullRequest request;
  request.reference = image;
  request.always = policy == v1::Container::ALWAYS;
  if (policy == v1::Container::DAILY) request.max_age = kDay;
  request.wanted = wanted;
  ASSIGN_OR_RETURN(engine::Image pulled, images_.Pull(request, nullptr));
  return pulled.digest;
}

std::optional<v1::Revision> ImageResolver::AtHand(
    const v1::Object& owner, const std::vector<v1::Revision>& known,
    const v1::Template& declared) {
  Digests digests;
  for (const auto& [image, policy] : PoliciesOf(declared)) {
    if (Strictness(policy) > Strictness(v1::Container::MISSING)) {
      return std::nullopt;
    }
    const absl::StatusOr<engine::Image> found = images_.Get(image);
    // Why not is for Reconcile() to say.
    if (!found.ok() || !images_.CheckTrust({image, found->digest}).ok()) {
      return std::nullopt;
    }
    digests[image] = found->digest;
  }
  v1::Revision revision = NextRevision(owner, known, declared, digests);
  Complete(revision, clock_, entropy_);
  return revision;
}

absl::StatusOr<bool> ImageResolver::Record(
    const store::Key& key, const v1::Template& declared, const Digests& digests,
    const std::function<bool(const std::vector<v1::Revision>&)>& wanted) {
  ASSIGN_OR_RETURN(const int64_t number,
                   RecordRevision(store_, clock_, entropy_,
                                  {key, declared, digests, {}, wanted}));
  if (number == 0) return false;
  ASSIGN_OR_RETURN(const std::optional<v1::Object> owner,
                   FindObject(store_, kind_, key.project, key.name));
  if (owner.has_value()) {
    events_.Record(ReferenceTo(*owner), "RevisionCreated",
                   RevisionSentence(number));
  }
  return true;
}

// An apply of what was declared already asked for what tags mean now. What runs
// goes on until that is known.
absl::Status ImageResolver::Refresh(const store::Key& key,
                                    const v1::Template& declared) {
  absl::StatusOr<Digests> digests = Resolve(declared, Wanted(key, declared));
  if (!digests.ok()) {
    if (!absl::IsCancelled(digests.status())) {
      RETURN_IF_ERROR(SetRefresh(key, std::string(digests.status().message())));
    }
    return digests.status();
  }
  const auto changes = [&](const std::vector<v1::Revision>& revisions) {
    const v1::Revision* newest = NewestOf(revisions, declared);
    return newest != nullptr &&
           newest->hash() != TemplateHash(declared, *digests);
  };
  ASSIGN_OR_RETURN(const bool recorded,
                   Record(key, declared, *digests, changes));
  RETURN_IF_ERROR(SetRefresh(key, ""));
  if (recorded) changed_(QueueKey(key));
  return absl::OkStatus();
}

absl::Status ImageResolver::SetRefresh(const store::Key& key,
                                       const std::string& trouble) {
  for (int i = 0; i < kCommitTries; ++i) {
    ASSIGN_OR_RETURN(std::optional<v1::Object> owner,
                     FindObject(store_, kind_, key.project, key.name));
    if (!owner.has_value() || !WantsRefresh(*owner)) return absl::OkStatus();
    Conditions& conditions = ConditionsOf(*owner);
    if (trouble.empty()) {
      for (int c = conditions.size() - 1; c >= 0; --c) {
        if (conditions[c].type() == kImageRefresh) {
          conditions.DeleteSubrange(c, 1);
        }
      }
    } else {
      v1::Condition condition = *FindCondition(conditions, kImageRefresh);
      condition.set_reason("Failed");
      condition.set_message(trouble + "; it is tried again by itself");
      if (!SetCondition(conditions, condition, clock_.Now())) {
        return absl::OkStatus();
      }
    }
    const absl::Status committed =
        store_
            .Commit(
                store::Batch()
                    .Put(key, store::Encode(*owner), store::RevisionOf(*owner))
                    .Essential())
            .status();
    if (!absl::IsAborted(committed)) return committed;
  }
  return absl::OkStatus();  // it is looked at again
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
