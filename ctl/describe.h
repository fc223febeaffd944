// All about one object, for people.
#ifndef CTL_DESCRIBE_H_
#define CTL_DESCRIBE_H_

#include <string>

#include "absl/status/statusor.h"
#include "ctl/context.h"
#include "manifest/kinds.h"

namespace bulwark::ctl {

// Prints it; the exit code.
absl::StatusOr<int> DescribeObject(Context& context, const manifest::Kind& kind,
                                   const std::string& name);

}  // namespace bulwark::ctl

#endif  // CTL_DESCRIBE_H_
