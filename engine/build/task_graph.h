// Work in the order that its parts need one another.
#ifndef ENGINE_BUILD_TASK_GRAPH_H_
#define ENGINE_BUILD_TASK_GRAPH_H_

#include <cstddef>
#include <functional>
#include <map>
#include <set>

#include "absl/status/status.h"

namespace bulwark::engine::build {

// Calls `run(i)` for each key of `needs`, once all that it needs are done, at
// most `limit` of them side by side. After a failure no other begins;
// `on_failure` is called then, once, so that those that run may end. Returns
// the first error when all have ended. FAILED_PRECONDITION if some need each
// other, or what is not there. `limit` is at least 1; one task runs in the
// calling thread.
absl::Status RunGraph(const std::map<size_t, std::set<size_t>>& needs,
                      int limit, const std::function<absl::Status(size_t)>& run,
                      const std::function<void()>& on_failure);

}  // namespace bulwark::engine::build

#endif  // ENGINE_BUILD_TASK_GRAPH_H_
