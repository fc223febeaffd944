// The path at which bulwarkd finds the proxy.
#ifndef DATAPLANE_CONTROL_SOCKET_H_
#define DATAPLANE_CONTROL_SOCKET_H_

#include <string>

#include "absl/status/statusor.h"
#include "base/unique_fd.h"

namespace bulwark::dataplane {

// Whether somebody removed the socket at `path`.
bool IsGone(const std::string& path);

// A socket that listens at `path`, mode 0600, non-blocking. Appears there
// complete.
absl::StatusOr<UniqueFd> ListenAt(const std::string& path);

}  // namespace bulwark::dataplane

#endif  // DATAPLANE_CONTROL_SOCKET_H_
