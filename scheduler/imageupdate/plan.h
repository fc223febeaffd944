// Whether a service's images have to be looked up, and what follows from what
// is found. Pure: no clock, no store, no registry, no randomness.
#ifndef SCHEDULER_IMAGEUPDATE_PLAN_H_
#define SCHEDULER_IMAGEUPDATE_PLAN_H_

#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "proto/bulwark/v1/service.pb.h"
#include "scheduler/imageupdate/window.h"

namespace bulwark::scheduler {

inline constexpr absl::Duration kDefaultUpdateInterval = absl::Hours(1);
inline constexpr absl::Duration kLeastUpdateInterval = absl::Minutes(1);

absl::Duration UpdateIntervalOf(const v1::ImageUpdate& update);

// Images of the template that a tag names, as written, each once: what names a
// digest never changes, nor does what is never pulled.
std::vector<std::string> FollowedImages(const v1::Template& declared);

struct ImageUpdateView {
  v1::Service service;
  v1::Template declared;
  std::vector<v1::Revision> revisions;  // of the service
  Window window;
  // Lookups that failed in a row.
  int failures = 0;
  absl::Time now;
};

// What is to be done now.
struct LookupPlan {
  bool due = false;
  // When to plan again if nothing happens before.
  absl::Time wake_at = absl::InfiniteFuture();
};

// Due is a first look; one that is `interval` ago, give or take a tenth by the
// service's uid; one after failures, sooner; and, when the window opens, one
// for what waits for it, spread over the window's first tenth. A look in the
// future is of a clock that was wrong.
LookupPlan PlanLookup(const ImageUpdateView& view);

// By image as written.
using Digests = std::map<std::string, std::string>;
using Lookups = std::map<std::string, absl::StatusOr<std::string>>;

struct ImageUpdatePlan {
  // In full.
  v1::ImageUpdateStatus status;
  // Images that change, with their new digests: to be rolled out now. Empty:
  // nothing.
  Digests changes;
  // Of all images, `changes` applied.
  Digests digests;
  // The revision with which `digests` begin.
  int64_t base = 0;
};

// Digests that were rolled out and came back are not rolled out again: those of
// revisions of the same template that failed or that a user has undone. Nothing
// is rolled out while a rollout runs, the window is closed, or a lookup failed.
ImageUpdatePlan PlanImageUpdate(const ImageUpdateView& view,
                                const Lookups& lookups);

// The status without a look at the registry: what came back since.
v1::ImageUpdateStatus CurrentStatus(const ImageUpdateView& view);

// "app:1.4 is now sha256:ab…", and more of them.
std::string InWords(const Digests& changes);

}  // namespace bulwark::scheduler

#endif  // SCHEDULER_IMAGEUPDATE_PLAN_H_
