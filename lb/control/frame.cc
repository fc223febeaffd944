#include "lb/control/frame.h"

#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "base/status.h"

namespace bulwark::lb {
namespace {

// A message is received in steps of this size, so that a length alone makes
// nobody allocate it.
constexpr size_t kStepBytes = 1 << 20;

absl::Status WaitFor(int fd, short events, Clock& clock,
                     absl::Duration deadline) {
  while (true) {
    const absl::Duration left = deadline - clock.Steady();
    if (left <= absl::ZeroDuration()) {
      return absl::DeadlineExceededError("wait for control socket: too long");
    }
    // Rounded up, and bounded for poll's int.
    const int64_t ms =
        std::min<int64_t>(absl::ToInt64Milliseconds(left) + 1, 60'000);
    pollfd waiting = {fd, events, 0};
    const int n = poll(&waiting, 1, static_cast<int>(ms));
    if (n > 0) return absl::OkStatus();
    if (n < 0 && errno != EINTR) return ErrnoStatus("poll", "control socket");
  }
}

absl::Status WriteAll(int fd, absl::string_view data, Clock& clock,
                      absl::Duration deadline) {
  while (!data.empty()) {
    const ssize_t n = send(fd, data.data(), data.size(), MSG_NOSIGNAL);
    if (n >= 0) {
      data.remove_prefix(n);
    } else if (errno == EAGAIN) {
      RETURN_IF_ERROR(WaitFor(fd, POLLOUT, clock, deadline));
    } else if (errno != EINTR) {
      return absl::UnavailableError(
          absl::StrCat("write control socket: ", strerror(errno)));
    }
  }
  return absl::OkStatus();
}

// NOT_FOUND: the stream ended before the first byte.
absl::Status ReadAll(int fd, char* data, size_t size, Clock& clock,
                     absl::Duration deadline) {
  size_t done = 0;
  while (done < size) {
    const ssize_t n = recv(fd, data + done, size - done, 0);
    if (n > 0) {
      done += n;
    } else if (n == 0) {
      return done == 0
                 ? absl::NotFoundError("read control socket: end of stream")
                 : absl::UnavailableError("read control socket: cut short");
    } else if (errno == EAGAIN) {
      RETURN_IF_ERROR(WaitFor(fd, POLLIN, clock, deadline));
    } else if (errno != EINTR) {
      return absl::UnavailableError(
          absl::StrCat("read control socket: ", strerror(errno)));
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status WriteFrame(int fd, const google::protobuf::MessageLite& message,
                        Clock& clock, absl::Duration deadline) {
  const size_t size = message.ByteSizeLong();
  if (size > kMaxFrameBytes) {
    return absl::InvalidArgumentError(
        absl::StrCat("write frame: ", size, " bytes are too many"));
  }
  std::string frame(4, '\0');
  for (int i = 0; i < 4; ++i) {
    frame[i] = static_cast<char>(size >> (8 * i) & 0xff);
  }
  if (!message.AppendToString(&frame)) {
    return absl::InternalError("write frame: the message is incomplete");
  }
  return WriteAll(fd, frame, clock, deadline);
}

absl::Status ReadFrame(int fd, google::protobuf::MessageLite& message,
                       Clock& clock, absl::Duration deadline) {
  unsigned char header[4];
  RETURN_IF_ERROR(ReadAll(fd, reinterpret_cast<char*>(header), sizeof(header),
                          clock, deadline));
  const uint32_t size = header[0] | header[1] << 8 | header[2] << 16 |
                        static_cast<uint32_t>(header[3]) << 24;
  if (size > kMaxFrameBytes) {
    return absl::InvalidArgumentError(
        absl::StrCat("read frame: ", size, " bytes are too many"));
  }
  std::string body;
  while (body.size() < size) {
    const size_t step = std::min<size_t>(kStepBytes, size - body.size());
    const size_t begin = body.size();
    body.resize(begin + step);
    absl::Status status = ReadAll(fd, &body[begin], step, clock, deadline);
    if (absl::IsNotFound(status)) {
      return absl::UnavailableError("read control socket: cut short");
    }
    RETURN_IF_ERROR(status);
  }
  if (!message.ParseFromString(body)) {
    return absl::InvalidArgumentError("read frame: not the expected message");
  }
  return absl::OkStatus();
}

}  // namespace bulwark::lb
