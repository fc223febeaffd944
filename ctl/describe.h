// All about one object, for people.
#ifndef CTL_DESCRIBE_H_
#define CTL_DESCRIBE_H_

#include "absl/status/status.h"
#include "ctl/context.h"
#include "proto/bulwark/v1/objects.pb.h"

namespace bulwark::ctl {

absl::Status DescribeObject(Context& context, const v1::Object& object);

}  // namespace bulwark::ctl

#endif  // CTL_DESCRIBE_H_
