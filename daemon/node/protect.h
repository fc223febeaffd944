// What the process does for itself at its start.
#ifndef DAEMON_NODE_PROTECT_H_
#define DAEMON_NODE_PROTECT_H_

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace bulwark::daemon {

// Asks the kernel to spare this process when memory ends. PERMISSION_DENIED
// without CAP_SYS_RESOURCE. A score that is low already stays as it is.
absl::Status ProtectFromOom();

// Tells the service manager, if one asked for it (NOTIFY_SOCKET): "READY=1",
// "STOPPING=1", … See sd_notify(3). OK if nobody asked.
absl::Status NotifyManager(absl::string_view state);

}  // namespace bulwark::daemon

#endif  // DAEMON_NODE_PROTECT_H_
