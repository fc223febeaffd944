// The daemon's end of a socket that a shim fans a container's output out to.
#include "engine/local/attach_session.h"

#include <sys/socket.h>

#include <cerrno>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "engine/child/frame.h"
#include "engine/child/wire.h"
#include "engine/local/shim_client.h"
#include "os/process.h"

namespace bulwark::engine {
namespace {

constexpr absl::Duration kReplyTimeout = absl::Seconds(5);
// How long after its shim's last word a container has to be known as exited.
constexpr absl::Duration kEndOfShim = absl::Seconds(2);
// What the kernel keeps for one that is slow.
constexpr int kQueueBytes = 1 << 20;
constexpr int kMostMessages = 16;  // in one Read()

class LocalAttachSession final : public AttachSession {
 public:
  LocalAttachSession(UniqueFd socket, std::string runtime_dir, UniqueFd shim,
                     uint64_t streams, Clock& clock)
      : socket_(std::move(socket)),
        runtime_dir_(std::move(runtime_dir)),
        shim_(std::move(shim)),
        streams_(streams),
        clock_(clock) {}

  bool terminal() const override {
    return (streams_ & child::kStreamTerminal) != 0;
  }
  bool has_input() const override {
    return (streams_ & child::kStreamInput) != 0;
  }
  int fd() override { return socket_.get(); }

  absl::StatusOr<std::vector<AttachChunk>> Read() override {
    std::vector<AttachChunk> chunks;
    if (buffer_.empty()) buffer_.resize(child::kAttachMessage);
    for (int i = 0; i < kMostMessages && !ended_; ++i) {
      const ssize_t n =
          recv(socket_.get(), buffer_.data(), buffer_.size(), MSG_DONTWAIT);
      if (n < 0 && errno == EINTR) continue;
      if (n < 0 && errno == EAGAIN) break;
      if (n <= 0) {
        ended_ = true;
        break;
      }
      RETURN_IF_ERROR(Split(static_cast<size_t>(n), chunks));
    }
    if (!chunks.empty() || !ended_) return chunks;
    // The shim ends with the container; one that lives on has dropped us.
    if (os::AwaitEnd(shim_.get(), kEndOfShim)) {
      return absl::OutOfRangeError("read from container: it has exited");
    }
    return absl::ResourceExhaustedError(
        "read from container: it was not read fast enough, and output is lost");
  }

  absl::StatusOr<size_t> Write(absl::string_view data) override {
    data = data.substr(0, child::kAttachChunk);
    if (data.empty()) return size_t{0};
    ASSIGN_OR_RETURN(const bool sent, Send(child::kChunkInput, data));
    return sent ? data.size() : 0;
  }

  absl::StatusOr<bool> CloseInput() override {
    return terminal() ? Send(child::kChunkInput, "\x04")
                      : Send(child::kChunkCloseInput, "");
  }

  absl::Status Resize(int rows, int columns) override {
    if (!terminal()) {
      return absl::FailedPreconditionError(
          "resize terminal: the container has none");
    }
    const ShimMessage request = {
        child::kMsgResize,
        {{child::kTagRows, static_cast<uint64_t>(rows)},
         {child::kTagColumns, static_cast<uint64_t>(columns)}}};
    ASSIGN_OR_RETURN(const ShimMessage reply,
                     AskShim(runtime_dir_, request, -1, kReplyTimeout, clock_));
    const int error = static_cast<int>(reply.Get(child::kTagErrno));
    return error == 0 ? absl::OkStatus()
                      : ErrnoStatus(error, "resize", "terminal");
  }

 private:
  absl::Status Split(size_t size, std::vector<AttachChunk>& chunks) {
    const auto* at = reinterpret_cast<const uint8_t*>(buffer_.data());
    while (size >= child::kAttachHeader) {
      const size_t length = child::GetInt(at + 1, 3);
      if (length > size - child::kAttachHeader) break;
      AttachChunk chunk;
      chunk.is_error = at[0] == child::kChunkError;
      chunk.data.assign(
          reinterpret_cast<const char*>(at) + child::kAttachHeader, length);
      chunks.push_back(std::move(chunk));
      at += child::kAttachHeader + length;
      size -= child::kAttachHeader + length;
    }
    return size == 0 ? absl::OkStatus()
                     : absl::DataLossError("read from container: cut off");
  }

  // False: the queue is full.
  absl::StatusOr<bool> Send(child::ChunkKind kind, absl::string_view data) {
    uint8_t header[child::kAttachHeader] = {kind};
    child::PutInt(header + 1, data.size(), 3);
    iovec parts[2] = {{header, sizeof(header)},
                      {const_cast<char*>(data.data()), data.size()}};
    msghdr message = {};
    message.msg_iov = parts;
    message.msg_iovlen = 2;
    const ssize_t n =
        sendmsg(socket_.get(), &message, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n >= 0) return true;
    if (errno == EAGAIN || errno == EINTR || errno == ENOBUFS) return false;
    return ErrnoStatus("write to", "container");
  }

  UniqueFd socket_;
  const std::string runtime_dir_;
  UniqueFd shim_;
  const uint64_t streams_;
  Clock& clock_;
  std::string buffer_;
  bool ended_ = false;
};

void SetQueue(int socket) {
  if (setsockopt(socket, SOL_SOCKET, SO_SNDBUFFORCE, &kQueueBytes,
                 sizeof(kQueueBytes)) != 0) {
    setsockopt(socket, SOL_SOCKET, SO_SNDBUF, &kQueueBytes,
               sizeof(kQueueBytes));
  }
}

}  // namespace

absl::StatusOr<std::unique_ptr<AttachSession>> AttachToShim(
    const std::string& runtime_dir, UniqueFd shim, const AttachOptions& options,
    Clock& clock) {
  int sockets[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets) != 0) {
    return ErrnoStatus("make", "attach socket");
  }
  UniqueFd ours(sockets[0]);
  UniqueFd theirs(sockets[1]);
  SetQueue(theirs.get());
  const uint64_t flags =
      (options.input ? uint64_t{child::kAttachInput} : 0) |
      (options.replay ? uint64_t{child::kAttachReplay} : 0) |
      (options.patient ? uint64_t{child::kAttachPatient} : 0);
  const ShimMessage request = {child::kMsgAttach,
                               {{child::kTagAttachFlags, flags}}};
  ASSIGN_OR_RETURN(
      const ShimMessage reply,
      AskShim(runtime_dir, request, theirs.get(), kReplyTimeout, clock));
  const int error = static_cast<int>(reply.Get(child::kTagErrno));
  if (error == ENOSYS) {
    return absl::FailedPreconditionError(
        "attach: an older version started the container; it can be attached "
        "to once it was started anew");
  }
  if (error == EUSERS) {
    return absl::ResourceExhaustedError("attach: too many are attached to it");
  }
  if (error != 0) return ErrnoStatus(error, "attach to", "container");
  return std::make_unique<LocalAttachSession>(
      std::move(ours), runtime_dir, std::move(shim),
      reply.Get(child::kTagStreams), clock);
}

}  // namespace bulwark::engine
