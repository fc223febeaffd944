// All about one object.
#ifndef CTL_DESCRIBE_H_
#define CTL_DESCRIBE_H_

#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "ctl/context.h"
#include "manifest/node.h"
#include "proto/bulwark/v1/objects.pb.h"

namespace bulwark::ctl {

// An object and what belongs to it.
struct Description {
  v1::Object object;
  // Of an autoscaled service, for which something has been decided.
  std::optional<v1::Object> scale;
  // Of a service or a job.
  std::vector<v1::Object> replicas;
  // That a cron job has made.
  std::vector<v1::Object> jobs;
  // The latest, oldest first, also of its replicas; none of an event.
  std::vector<v1::Object> events;
};

absl::StatusOr<Description> GatherAbout(Context& context,
                                        const v1::Object& object);

// For people.
std::string DescriptionText(const Description& description, absl::Time now);

// For programs: the object's full form, and beside its fields `state` and
// `message`, `scale`, `replicas`, `jobs` and `events`, as far as its kind has
// them. What belongs to it is in full form as well.
manifest::Node::Ptr DescriptionTree(const Description& description);

// Prints what people read.
absl::Status DescribeObject(Context& context, const v1::Object& object);

}  // namespace bulwark::ctl

#endif  // CTL_DESCRIBE_H_
