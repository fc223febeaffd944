// What tags mean, asked for once for all services.
#ifndef SCHEDULER_IMAGEUPDATE_LOOKUP_CACHE_H_
#define SCHEDULER_IMAGEUPDATE_LOOKUP_CACHE_H_

#include <map>
#include <set>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "base/clock.h"
#include "engine/images.h"

namespace bulwark::scheduler {

// A name is asked for once in the time that its callers allow, however many
// they are, and one at a time. A registry that cannot be reached is left alone
// for a minute, whatever of it is asked for. Thread-safe; blocks on the
// registry.
class LookupCache {
 public:
  // The references must outlive this object.
  LookupCache(engine::Images& images, Clock& clock)
      : images_(images), clock_(clock) {}

  // The digest behind `image`, not older than `max_age`. Errors as
  // Images::Lookup().
  absl::StatusOr<std::string> Get(const std::string& image,
                                  absl::Duration max_age);

 private:
  struct Answer {
    absl::StatusOr<std::string> digest = absl::UnknownError("");
    absl::Duration time;  // steady
  };
  void Forget(absl::Duration now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  engine::Images& images_;
  Clock& clock_;
  absl::Mutex mu_;
  std::map<std::string, Answer> answers_ ABSL_GUARDED_BY(mu_);  // by image
  std::map<std::string, Answer> down_ ABSL_GUARDED_BY(mu_);     // by registry
  std::set<std::string> asked_ ABSL_GUARDED_BY(mu_);  // at this moment
};

}  // namespace bulwark::scheduler

#endif  // SCHEDULER_IMAGEUPDATE_LOOKUP_CACHE_H_
