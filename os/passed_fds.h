// Descriptors that travel with a message over a unix socket.
#ifndef OS_PASSED_FDS_H_
#define OS_PASSED_FDS_H_

#include <sys/types.h>

#include <cstddef>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "base/unique_fd.h"

namespace bulwark::os {

// What the kernel takes with one message.
inline constexpr size_t kMaxPassedFds = 253;

// sendmsg(2) with `flags` and MSG_NOSIGNAL: what it returns, and its errno. The
// descriptors, of which there may be none, stay the caller's. Without bytes
// they would not arrive; more than kMaxPassedFds are EINVAL.
ssize_t SendWithFds(int socket, absl::string_view bytes,
                    absl::Span<const int> fds, int flags);

// recvmsg(2): what it returns, and its errno. What comes along is appended to
// `fds`, close-on-exec. `lost`: whether descriptors were sent that are not
// there, since we may not have so many.
ssize_t ReceiveWithFds(int socket, void* buffer, size_t size,
                       std::vector<UniqueFd>& fds, bool* lost = nullptr);

}  // namespace bulwark::os

#endif  // OS_PASSED_FDS_H_
