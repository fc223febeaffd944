// Turns what a service or job declares into a revision with pinned images.
#ifndef SCHEDULER_SERVICES_RESOLVER_H_
#define SCHEDULER_SERVICES_RESOLVER_H_

#include <atomic>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

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
#include "store/store.h"

namespace bulwark::scheduler {

// Makes every image of the declared template present, by its pull policy, and
// records the next Revision with their digests. Until that is done a service
// goes on with what it has: an image that cannot be had stops nothing. Says
// what is wrong in the condition ImageResolved.
//
// A service whose revision is there already is resolved again if an apply has
// asked for it (WantsRefresh()); other digests make a new revision.
//
// Works for one kind of object, its owners: "service" or "job". Has a queue of
// its own, since a pull can take minutes. Thread-safe.
class ImageResolver {
 public:
  using Changed = std::function<void(const std::string& owner)>;

  // The references must outlive this object.
  ImageResolver(std::string kind, store::MetadataStore& store,
                engine::Images& images, Clock& clock, Entropy& entropy,
                EventRecorder& events, Changed changed);

  // Nothing to do unless the owner `key`, "PROJECT/NAME", declares a template
  // of which there is no revision. Errors are those of Images::Pull.
  absl::StatusOr<Result> Reconcile(const std::string& key);

  // The next revision of `owner`, which has `known` ones, if every image that
  // is declared is here already and its policy asks nobody else; not stored. So
  // the usual start needs neither another thread nor a commit of its own.
  std::optional<v1::Revision> AtHand(const v1::Object& owner,
                                     const std::vector<v1::Revision>& known,
                                     const v1::Template& declared);

  // Makes running and future pulls end with CANCELLED.
  void Cancel() { cancelled_ = true; }

 private:
  using Digests = std::map<std::string, std::string>;

  absl::StatusOr<Digests> Resolve(const v1::Template& declared,
                                  const std::function<bool()>& wanted);
  absl::StatusOr<std::string> Digest(const std::string& image,
                                     v1::Container::PullPolicy policy,
                                     const std::function<bool()>& wanted);
  // Whether the owner still declares that. Looked up once a second.
  std::function<bool()> Wanted(const store::Key& key,
                               const v1::Template& declared);
  // Whether it was wanted, and is recorded.
  absl::StatusOr<bool> Record(
      const store::Key& key, const v1::Template& declared,
      const Digests& digests,
      const std::function<bool(const std::vector<v1::Revision>&)>& wanted);
  absl::Status Refresh(const store::Key& key, const v1::Template& declared);
  // What became of it: `trouble`, or "" for done.
  absl::Status SetRefresh(const store::Key& key, const std::string& trouble);
  // UNAVAILABLE until the owner's controller has seen the declaration: it
  // removes what was said of older ones.
  absl::Status Report(const store::Key& key, const v1::Template& declared,
                      const absl::Status& error);
  // The error of this declaration that could not be reported yet; OK if none.
  absl::Status TakeUnreported(const std::string& key,
                              const v1::Template& declared);

  const std::string kind_;
  store::MetadataStore& store_;
  engine::Images& images_;
  Clock& clock_;
  Entropy& entropy_;
  EventRecorder& events_;
  const Changed changed_;
  std::atomic<bool> cancelled_{false};

  struct Unreported {
    v1::Template declared;
    absl::Status error;
  };
  absl::Mutex mu_;
  std::map<std::string, Unreported> unreported_ ABSL_GUARDED_BY(mu_);
};

// The condition by which an apply of an unchanged service with `pull: always`
// asks for what its tags mean now; gone when that is done.
inline constexpr char kImageRefresh[] = "ImageRefresh";
bool WantsRefresh(const v1::Object& owner);

// "ImageNotFound", "RegistryUnavailable", … and what would mend it. Pure.
struct ImageTrouble {
  std::string reason;
  std::string remedy;
};
ImageTrouble TroubleOf(const absl::Status& error);

}  // namespace bulwark::scheduler

#endif  // SCHEDULER_SERVICES_RESOLVER_H_
