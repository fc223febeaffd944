// Messages between us and shims; see docs/formats/shim-protocol.md.
#ifndef ENGINE_LOCAL_SHIM_CLIENT_H_
#define ENGINE_LOCAL_SHIM_CLIENT_H_

#include <cstdint>
#include <map>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "base/clock.h"
#include "base/unique_fd.h"

namespace bulwark::engine {

struct ShimMessage {
  uint16_t type = 0;
  std::map<uint16_t, uint64_t> values;  // integers by tag; the last one counts

  uint64_t Get(uint16_t tag) const {
    const auto it = values.find(tag);
    return it == values.end() ? 0 : it->second;
  }
};

std::string EncodeMessage(const ShimMessage& message);

// Reads one message from a pipe or socket. UNAVAILABLE if the other end closed
// before a whole one came, DEADLINE_EXCEEDED after `timeout`,
// FAILED_PRECONDITION if it speaks a later version of the protocol. A
// descriptor that comes along on a socket is stored in `*passed` (may be null).
absl::StatusOr<ShimMessage> ReadMessage(int fd, absl::Duration timeout,
                                        Clock& clock, UniqueFd* passed);

// Writes one message; never raises SIGPIPE. UNAVAILABLE if the reader is gone.
absl::Status SendMessage(int socket, const ShimMessage& message);

// Asks the shim that listens in `runtime_dir`, and reads its reply. `passed`:
// a descriptor that it gets along, which stays the caller's; -1: none.
// UNAVAILABLE if it is gone, or does not answer within `timeout`.
absl::StatusOr<ShimMessage> AskShim(const std::string& runtime_dir,
                                    const ShimMessage& request, int passed,
                                    absl::Duration timeout, Clock& clock);

// Asks the shim that listens in `runtime_dir` to reply: OK if it does within
// `timeout`, else UNAVAILABLE.
absl::Status PingShim(const std::string& runtime_dir, absl::Duration timeout,
                      Clock& clock);

}  // namespace bulwark::engine

#endif  // ENGINE_LOCAL_SHIM_CLIENT_H_
