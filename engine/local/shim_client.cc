#include "engine/local/shim_client.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/types/span.h"
#include "base/status.h"
#include "engine/child/frame.h"
#include "engine/child/wire.h"
#include "os/passed_fds.h"

namespace bulwark::engine {
namespace {

// Between two tries at a shim whose queue of connections is full.
constexpr absl::Duration kConnectPoll = absl::Milliseconds(5);

absl::Status AwaitReadable(int fd, absl::Duration deadline, Clock& clock) {
  for (;;) {
    const absl::Duration left =
        std::clamp(deadline - clock.Steady(), absl::ZeroDuration(),
                   absl::Duration(absl::Hours(1)));
    pollfd poll_fd = {fd, POLLIN, 0};
    const timespec limit = absl::ToTimespec(left);
    const int n = ppoll(&poll_fd, 1, &limit, nullptr);
    if (n > 0) return absl::OkStatus();
    if (n < 0 && errno != EINTR) return ErrnoStatus("poll", "shim");
    if (clock.Steady() >= deadline) {
      return absl::DeadlineExceededError("read from shim: no answer");
    }
  }
}

// read(2), or recvmsg(2) on a socket to take a descriptor that comes along.
ssize_t Receive(int fd, void* buffer, size_t size, UniqueFd* passed) {
  if (passed == nullptr) return read(fd, buffer, size);
  std::vector<UniqueFd> received;
  const ssize_t n = os::ReceiveWithFds(fd, buffer, size, received);
  if (!received.empty()) *passed = std::move(received.front());
  return n;
}

}  // namespace

std::string EncodeMessage(const ShimMessage& message) {
  uint8_t buffer[child::kMaxMessage];
  child::FrameWriter writer(buffer, sizeof(buffer), message.type);
  for (const auto& [tag, value] : message.values) writer.Int(tag, value);
  return std::string(reinterpret_cast<const char*>(buffer), writer.size());
}

absl::StatusOr<ShimMessage> ReadMessage(int fd, absl::Duration timeout,
                                        Clock& clock, UniqueFd* passed) {
  const absl::Duration deadline = clock.Steady() + timeout;
  uint8_t buffer[child::kMaxMessage];
  size_t size = 0;
  for (;;) {
    child::FrameReader reader(buffer, size);
    if (reader.valid()) {
      ShimMessage message;
      message.type = reader.type();
      while (reader.Next()) message.values[reader.tag()] = reader.Int();
      return message;
    }
    if (child::FrameVersion(buffer, size) > child::kWireVersion) {
      return absl::FailedPreconditionError(
          absl::StrCat("read from shim: it speaks version ",
                       child::FrameVersion(buffer, size),
                       " of the protocol, known is ", child::kWireVersion));
    }
    if (size == sizeof(buffer)) {
      return absl::UnavailableError("read from shim: not a message");
    }
    RETURN_IF_ERROR(AwaitReadable(fd, deadline, clock));
    const ssize_t n = Receive(fd, buffer + size, sizeof(buffer) - size, passed);
    if (n < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    if (n < 0 && errno != ECONNRESET) return ErrnoStatus("read from", "shim");
    if (n <= 0) return absl::UnavailableError("read from shim: it is gone");
    size += static_cast<size_t>(n);
  }
}

namespace {

// `passed`: a descriptor that goes along; -1: none.
absl::Status Send(int socket, const ShimMessage& message, int passed) {
  const std::string bytes = EncodeMessage(message);
  const ssize_t n = os::SendWithFds(
      socket, bytes, absl::MakeConstSpan(&passed, passed < 0 ? 0 : 1),
      MSG_DONTWAIT);
  if (n == static_cast<ssize_t>(bytes.size())) return absl::OkStatus();
  return absl::UnavailableError(
      absl::StrCat("send to shim: ", n < 0 ? std::strerror(errno) : "cut off"));
}

}  // namespace

absl::Status SendMessage(int socket, const ShimMessage& message) {
  return Send(socket, message, -1);
}

namespace {

absl::StatusOr<UniqueFd> Connect(const std::string& runtime_dir,
                                 absl::Duration deadline, Clock& clock) {
  UniqueFd dir(open(runtime_dir.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!dir.ok()) return ErrnoStatus("open", runtime_dir);
  UniqueFd socket_fd(
      socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket_fd.ok()) return ErrnoStatus("make", "socket");
  // Addresses hold 107 bytes; directories may be deeper than that.
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  std::snprintf(address.sun_path, sizeof(address.sun_path),
                "/proc/self/fd/%d/control.sock", dir.get());
  // EAGAIN: as many wait as the shim lets queue; it takes them one by one.
  while (connect(socket_fd.get(), reinterpret_cast<sockaddr*>(&address),
                 sizeof(address)) != 0) {
    if (errno == EAGAIN && clock.Steady() < deadline) {
      clock.Sleep(kConnectPoll);
      continue;
    }
    return absl::UnavailableError(
        absl::StrCat("connect to shim: ", std::strerror(errno)));
  }
  return socket_fd;
}

}  // namespace

absl::StatusOr<ShimMessage> AskShim(const std::string& runtime_dir,
                                    const ShimMessage& request, int passed,
                                    absl::Duration timeout, Clock& clock) {
  const absl::Duration deadline = clock.Steady() + timeout;
  for (;;) {
    ASSIGN_OR_RETURN(const UniqueFd socket_fd,
                     Connect(runtime_dir, deadline, clock));
    const absl::Status sent = Send(socket_fd.get(), request, passed);
    const absl::StatusOr<ShimMessage> reply =
        sent.ok() ? ReadMessage(socket_fd.get(), deadline - clock.Steady(),
                                clock, nullptr)
                  : absl::StatusOr<ShimMessage>(sent);
    // It hangs up on those who are too many at once. Other words than ours it
    // will have the next time, too.
    if (absl::IsUnavailable(reply.status()) && clock.Steady() < deadline) {
      clock.Sleep(kConnectPoll);
      continue;
    }
    if (reply.ok()) return reply;
    return absl::UnavailableError(reply.status().message());
  }
}

absl::Status PingShim(const std::string& runtime_dir, absl::Duration timeout,
                      Clock& clock) {
  return AskShim(runtime_dir, {child::kMsgPing, {}}, -1, timeout, clock)
      .status();
}

}  // namespace bulwark::engine
