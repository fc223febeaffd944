#include "scheduler/imageupdate/controller.h"

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/log.h"
#include "base/status.h"
#include "google/protobuf/util/message_differencer.h"
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
// Until a service that has no revision yet, or lacks something, has one.
constexpr absl::Duration kNotReady = absl::Seconds(10);
// A look may be as old as this part of the interval: that of another service.
constexpr double kShared = 0.8;

bool Follows(const v1::Service& service) {
  return service.spec().has_image_update() && !service.spec().stopped() &&
         !service.metadata().has_delete_time();
}

}  // namespace

ImageUpdateController::ImageUpdateController(store::MetadataStore& store,
                                             engine::Images& images,
                                             Clock& clock, Entropy& entropy,
                                             EventRecorder& events,
                                             Changed changed, Told told)
    : store_(store),
      images_(images),
      clock_(clock),
      entropy_(entropy),
      events_(events),
      changed_(std::move(changed)),
      told_(std::move(told)),
      lookups_(images, clock) {}

absl::StatusOr<Result> ImageUpdateController::Reconcile(
    const std::string& key) {
  ASSIGN_OR_RETURN(const store::Key service_key, ParseQueueKey("service", key));
  ASSIGN_OR_RETURN(std::optional<v1::Object> service,
                   FindService(store_, service_key.project, service_key.name));
  if (!service.has_value() || !Follows(service->service())) {
    return Forget(key, service);
  }
  ImageUpdateView view;
  view.service = service->service();
  view.now = clock_.Now();
  // Validated when it was declared; time zones may come and go with the host.
  ASSIGN_OR_RETURN(view.window, Window::Of(view.service.spec().image_update()));
  ASSIGN_OR_RETURN(const std::optional<v1::Template> declared,
                   ReadDeclared(store_, service));
  if (!declared.has_value()) return Result{kNotReady};
  view.declared = *declared;
  ASSIGN_OR_RETURN(view.revisions, ListRevisions(store_, service_key.project,
                                                 service_key.name));
  if (NewestOf(view.revisions, view.declared) == nullptr) {
    return Result{kNotReady};
  }
  {
    absl::MutexLock lock(&mu_);
    view.failures = failures_[key];
  }
  NameGood(view);
  if (PlanLookup(view).due) {
    RETURN_IF_ERROR(Look(service_key, view));
    absl::MutexLock lock(&mu_);
    view.failures = failures_[key];
  } else {
    const v1::ImageUpdateStatus current = CurrentStatus(view);
    RETURN_IF_ERROR(
        WriteStatus(service_key, view.service.metadata().uid(), current));
    *view.service.mutable_status()->mutable_image_update() = current;
  }
  const absl::Time now = clock_.Now();
  view.now = std::max(view.now, now);
  const LookupPlan next = PlanLookup(view);
  Result result;
  if (next.wake_at != absl::InfiniteFuture()) {
    result.requeue_after = std::max(absl::Seconds(1), next.wake_at - now);
  }
  return result;
}

absl::StatusOr<Result> ImageUpdateController::Forget(
    const std::string& key, const std::optional<v1::Object>& service) {
  {
    absl::MutexLock lock(&mu_);
    failures_.erase(key);
  }
  if (service.has_value() && !service->service().spec().has_image_update() &&
      service->service().status().has_image_update()) {
    v1::Object object = *service;
    object.mutable_service()->mutable_status()->clear_image_update();
    const absl::Status status =
        store_
            .Commit(store::Batch()
                        .Put(store::KeyOf(object), store::Encode(object),
                             store::RevisionOf(object))
                        .NotDurable()
                        .Essential())
            .status();
    if (absl::IsAborted(status)) return Result{absl::Milliseconds(10)};
    RETURN_IF_ERROR(status);
  }
  return Result{};
}

absl::Status ImageUpdateController::Look(const store::Key& key,
                                         ImageUpdateView& view) {
  const absl::Duration interval =
      UpdateIntervalOf(view.service.spec().image_update());
  Lookups found;
  for (const std::string& image : FollowedImages(view.declared)) {
    // What waited for the window is looked at anew in it.
    const bool waited =
        view.service.status().image_update().pending().contains(image);
    found.emplace(image, lookups_.Get(image, waited ? absl::Seconds(10)
                                                    : interval * kShared));
  }
  view.now = clock_.Now();
  ImageUpdatePlan plan = PlanImageUpdate(view, found);
  if (!plan.changes.empty()) {
    const absl::Status rolled = [&]() -> absl::Status {
      RETURN_IF_ERROR(Fetch(key, plan.changes));
      return Roll(key, view, plan);
    }();
    if (cancelled_) return absl::OkStatus();
    if (rolled.ok()) {
      plan.status.clear_pending();
    } else {
      plan.status.set_error(std::string(rolled.message()));
    }
  }
  {
    absl::MutexLock lock(&mu_);
    int& failures = failures_[QueueKey(key)];
    failures = plan.status.error().empty() ? 0 : failures + 1;
  }
  if (!plan.status.error().empty() &&
      plan.status.error() != view.service.status().image_update().error()) {
    events_.Record(ReferenceTo(view.service), "ImageUpdateFailed",
                   absl::StrCat(plan.status.error(),
                                "; nothing changes; it is tried again by "
                                "itself"),
                   v1::Event::WARNING);
  }
  RETURN_IF_ERROR(WriteStatus(key, view.service.metadata().uid(), plan.status));
  *view.service.mutable_status()->mutable_image_update() = plan.status;
  return absl::OkStatus();
}

absl::Status ImageUpdateController::Fetch(const store::Key& key,
                                          const Digests& changes) {
  for (const auto& [image, digest] : changes) {
    engine::PullRequest request;
    // Not by the tag: until it is good, the name means the old image here.
    request.reference = PinnedReference(image, digest);
    request.wanted = [this, &key] {
      if (cancelled_) return false;
      const auto service = FindService(store_, key.project, key.name);
      return !service.ok() ||
             (service->has_value() && Follows((*service)->service()));
    };
    RETURN_IF_ERROR(images_.Pull(request, nullptr).status());
  }
  return absl::OkStatus();
}

absl::Status ImageUpdateController::Roll(const store::Key& key,
                                         const ImageUpdateView& view,
                                         const ImageUpdatePlan& plan) {
  const std::vector<v1::Revision>& seen = view.revisions;
  const v1::Revision* newest = NewestOf(seen, view.declared);
  NewRevision request{key, view.declared, plan.digests, {}, nullptr};
  request.actor.set_name(kImageUpdateActor);
  // Whatever a user did meanwhile wins.
  request.wanted = [&](const std::vector<v1::Revision>& now) {
    const v1::Revision* last = NewestOf(now, view.declared);
    return last != nullptr && last->number() == newest->number() &&
           last->failure() == newest->failure();
  };
  ASSIGN_OR_RETURN(const int64_t number,
                   RecordRevision(store_, clock_, entropy_, request));
  if (number == 0) return absl::OkStatus();
  const std::string what = InWords(plan.changes);
  events_.Record(ReferenceTo(view.service), "ImageUpdated",
                 absl::StrCat("revision ", number, " is recorded: ", what));
  told_(ReferenceTo(view.service), number, what);
  changed_(QueueKey(key));
  return absl::OkStatus();
}

// The names of what we have rolled out, once that is good. What somebody else
// has given a name to since stays.
void ImageUpdateController::NameGood(const ImageUpdateView& view) {
  const v1::Revision* newest = NewestOf(view.revisions, view.declared);
  if (!newest->good() || !newest->failure().empty() ||
      newest->actor().name() != kImageUpdateActor) {
    return;
  }
  for (const std::string& image : FollowedImages(view.declared)) {
    const auto digest = newest->image_digests().find(image);
    if (digest == newest->image_digests().end()) continue;
    const absl::StatusOr<engine::Image> here = images_.Get(image);
    if (!here.ok() || here->digest == digest->second) continue;
    const bool ours = std::any_of(
        view.revisions.begin(), view.revisions.end(),
        [&](const v1::Revision& r) {
          const auto old = r.image_digests().find(image);
          return r.number() < newest->number() &&
                 old != r.image_digests().end() && old->second == here->digest;
        });
    if (!ours) continue;
    const absl::Status named = images_.Tag(digest->second, image);
    if (!named.ok()) {
      LOG_WARN("an updated image does not get its name",
               {{"image", image}, {"cause", named}});
    }
  }
}

absl::Status ImageUpdateController::WriteStatus(
    const store::Key& key, const std::string& uid,
    const v1::ImageUpdateStatus& status) {
  for (int i = 0; i < kCommitTries; ++i) {
    ASSIGN_OR_RETURN(std::optional<v1::Object> service,
                     FindService(store_, key.project, key.name));
    if (!service.has_value() || service->service().metadata().uid() != uid ||
        !service->service().spec().has_image_update()) {
      return absl::OkStatus();
    }
    v1::Object after = *service;
    *after.mutable_service()->mutable_status()->mutable_image_update() = status;
    if (google::protobuf::util::MessageDifferencer::Equals(after, *service)) {
      return absl::OkStatus();
    }
    const absl::Status committed =
        store_
            .Commit(
                store::Batch()
                    .Put(key, store::Encode(after), store::RevisionOf(after))
                    .NotDurable()
                    .Essential())
            .status();
    if (!absl::IsAborted(committed)) return committed;
  }
  return absl::AbortedError(absl::StrCat("write the status of ", key.ToString(),
                                         ": it changed too often meanwhile"));
}

}  // namespace bulwark::scheduler
