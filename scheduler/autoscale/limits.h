// What keeps a count from following its metrics at once: windows and rates, as
// the Kubernetes HorizontalPodAutoscaler v2 has them ("behavior"). Pure.
#ifndef SCHEDULER_AUTOSCALE_LIMITS_H_
#define SCHEDULER_AUTOSCALE_LIMITS_H_

#include "absl/time/time.h"
#include "google/protobuf/repeated_field.h"
#include "proto/bulwark/v1/service.pb.h"
#include "scheduler/autoscale/settings.h"

namespace bulwark::scheduler {

// The windows' memory. The last entry holds since its time, and still; each
// other one held until its time.
using Recommendations =
    google::protobuf::RepeatedPtrField<v1::ScaleRecommendation>;
using Changes = google::protobuf::RepeatedPtrField<v1::ScaleChange>;

// Adds what is recommended now, and forgets what no window can ask for any
// more: there are never more entries than different counts, twice.
void Remember(int replicas, const AutoscaleSettings& settings, absl::Time now,
              Recommendations& memory);

// The count between the least recommendation of the upward window and the
// largest of the downward one that is nearest to `current`.
int Stabilize(const Recommendations& memory, const AutoscaleSettings& settings,
              int current, absl::Time now);

// The counts that the policies allow now, `current` among them.
int UpLimit(const Changes& changes, const AutoscaleSettings& settings,
            int current, absl::Time now);
int DownLimit(const Changes& changes, const AutoscaleSettings& settings,
              int current, absl::Time now);

// Adds a change, and forgets those that no policy looks at any more.
void AddChange(int change, const AutoscaleSettings& settings, absl::Time now,
               Changes& changes);

}  // namespace bulwark::scheduler

#endif  // SCHEDULER_AUTOSCALE_LIMITS_H_
