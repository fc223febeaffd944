// Terminals: handing one over, and being the other end of one.
#ifndef ENGINE_OCI_CONSOLE_H_
#define ENGINE_OCI_CONSOLE_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/unique_fd.h"

namespace bulwark::engine::oci {

// Connects to the unix socket `path`.
absl::StatusOr<UniqueFd> ConnectUnix(const std::string& path);
// Sends `text` and a descriptor in one message.
absl::Status SendWithFd(int socket, absl::string_view text, int fd);
// Sends the master of a terminal to who listens at --console-socket.
absl::Status SendConsole(int socket, int master);
void SetConsoleSize(int master, uint16_t rows, uint16_t columns);

// Waits until the process ends, passing signals on to it; with a `master`, is
// the other end of its terminal. Returns its exit status, or 128 + signal.
absl::StatusOr<int> Attend(int pidfd, int master);

}  // namespace bulwark::engine::oci

#endif  // ENGINE_OCI_CONSOLE_H_
