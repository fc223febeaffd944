// Runs the hooks of a configuration.
#ifndef ENGINE_OCI_HOOKS_H_
#define ENGINE_OCI_HOOKS_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "engine/oci/config/spec.h"

namespace bulwark::engine::oci {

// Runs each hook in turn with `state` on its standard input, and waits for it.
// Stops at the first that fails: FAILED_PRECONDITION with the hook's path, its
// exit status and the last it said, DEADLINE_EXCEEDED if its time runs out (it
// is killed then). `pid` not 0: in the namespaces of that process, but
// for that of users.
absl::Status RunHooks(const std::vector<Hook>& hooks, const char* kind,
                      const std::string& state, int pid);

// The same, but each is run, whatever became of those before it; the error is
// the first one's. For what follows the end of a container.
absl::Status RunEveryHook(const std::vector<Hook>& hooks, const char* kind,
                          const std::string& state);

}  // namespace bulwark::engine::oci

#endif  // ENGINE_OCI_HOOKS_H_
