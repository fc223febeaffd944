// Follows the tags of services' images.
#ifndef SCHEDULER_IMAGEUPDATE_CONTROLLER_H_
#define SCHEDULER_IMAGEUPDATE_CONTROLLER_H_

#include <atomic>
#include <functional>
#include <map>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "base/clock.h"
#include "base/entropy.h"
#include "engine/images.h"
#include "proto/bulwark/v1/objects.pb.h"
#include "scheduler/control/runner.h"
#include "scheduler/events.h"
#include "scheduler/imageupdate/lookup_cache.h"
#include "scheduler/imageupdate/plan.h"
#include "store/store.h"

namespace bulwark::scheduler {

// The actor of the revisions that it makes.
inline constexpr char kImageUpdateActor[] = "image-update";

// For services with `imageUpdate`: asks the registry what the images' tags
// mean, and makes a revision of the same template with the new digests, as an
// apply would. The service controller rolls that out, and back if it fails.
// Writes ServiceStatus.image_update. Once a new image is good, its name means
// it on this host, too, so that a later apply goes on from there. Thread-safe;
// blocks on the registry, so it has a queue of its own.
class ImageUpdateController {
 public:
  using Changed = std::function<void(const std::string& service)>;
  // Is told of each revision that it has made: the service, its number and what
  // changed, for the audit log. Must not block for long.
  using Told = std::function<void(const v1::ObjectReference& service,
                                  int64_t revision, const std::string& what)>;

  // The references must outlive this object.
  ImageUpdateController(store::MetadataStore& store, engine::Images& images,
                        Clock& clock, Entropy& entropy, EventRecorder& events,
                        Changed changed, Told told);

  // `key`: "PROJECT/NAME". Asks to be called again when the next look is due.
  absl::StatusOr<Result> Reconcile(const std::string& key);

  // Makes running and future pulls end.
  void Cancel() { cancelled_ = true; }

 private:
  absl::StatusOr<Result> Forget(const std::string& key,
                                const std::optional<v1::Object>& service);
  absl::Status Look(const store::Key& key, ImageUpdateView& view);
  // Fetches the changed images. What went wrong.
  absl::Status Fetch(const store::Key& key, const Digests& changes);
  absl::Status Roll(const store::Key& key, const ImageUpdateView& view,
                    const ImageUpdatePlan& plan);
  void NameGood(const ImageUpdateView& view);
  absl::Status WriteStatus(const store::Key& key, const std::string& uid,
                           const v1::ImageUpdateStatus& status);

  store::MetadataStore& store_;
  engine::Images& images_;
  Clock& clock_;
  Entropy& entropy_;
  EventRecorder& events_;
  const Changed changed_;
  const Told told_;
  LookupCache lookups_;
  std::atomic<bool> cancelled_{false};

  absl::Mutex mu_;
  std::map<std::string, int> failures_ ABSL_GUARDED_BY(mu_);  // by key
};

}  // namespace bulwark::scheduler

#endif  // SCHEDULER_IMAGEUPDATE_CONTROLLER_H_
