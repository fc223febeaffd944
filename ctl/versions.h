// Versions of secrets and configs, as `history` shows them.
#ifndef CTL_VERSIONS_H_
#define CTL_VERSIONS_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "ctl/context.h"

namespace bulwark::ctl {

// What `ctl secret` and `ctl config` have in common; `kind` is one of the two.
absl::StatusOr<int> ListValues(Context& context, absl::string_view kind,
                               bool all_projects);
absl::StatusOr<int> ShowHistory(Context& context, absl::string_view kind,
                                const std::string& name);
// `to`: 0 is the version before the current one.
absl::StatusOr<int> RollbackValue(Context& context, absl::string_view kind,
                                  const std::string& name, int64_t to);
absl::StatusOr<int> DeleteValues(Context& context, absl::string_view kind,
                                 const std::vector<std::string>& names);

}  // namespace bulwark::ctl

#endif  // CTL_VERSIONS_H_
