#include "daemon/id_ranges.h"

#include <cstdint>

#include "absl/status/status.h"
#include "base/log.h"
#include "os/user_namespace.h"

namespace bulwark::daemon {

scheduler::IdPool FindIds(const Config& config) {
  if (config.id_base == 0) {
    LOG_WARN("containers have the host's users", {{"cause", "--id-base=0"}});
    return {};
  }
  const absl::Status status = os::CheckUserNamespaces(config.state_dir);
  if (!status.ok()) {
    LOG_ERROR(
        "containers have the host's users: their root is the host's, with "
        "fewer rights; see `ctl doctor`",
        {{"cause", status}});
    return {};
  }
  const auto first = static_cast<uint32_t>(config.id_base);
  return {first, (kEndOfIds - first) / scheduler::kIdsOfReplica};
}

}  // namespace bulwark::daemon
