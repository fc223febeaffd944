// Frames of the proxy's control socket: a 32-bit little-endian length and that
// many bytes of message.
#ifndef LB_CONTROL_FRAME_H_
#define LB_CONTROL_FRAME_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "base/clock.h"
#include "google/protobuf/message_lite.h"

namespace bulwark::lb {

inline constexpr uint32_t kMaxFrameBytes = 64 << 20;

// `fd` is a non-blocking stream socket. Both block until the whole frame has
// passed or Steady() reaches `deadline`: DEADLINE_EXCEEDED. UNAVAILABLE: the
// peer is gone. After any error the stream is of no further use.
absl::Status WriteFrame(int fd, const google::protobuf::MessageLite& message,
                        Clock& clock, absl::Duration deadline);
// NOT_FOUND if the stream ends orderly before a frame begins;
// INVALID_ARGUMENT if it is too long or no such message.
absl::Status ReadFrame(int fd, google::protobuf::MessageLite& message,
                       Clock& clock, absl::Duration deadline);

}  // namespace bulwark::lb

#endif  // LB_CONTROL_FRAME_H_
