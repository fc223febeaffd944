// The bytes of an Attach call.
#include <poll.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "api/attach_call.h"
#include "base/status.h"

namespace bulwark::api {
namespace {

constexpr size_t kMostInput = 256 << 10;
constexpr int kPollMilliseconds = 100;

class Pump {
 public:
  Pump(AttachCall& call, engine::AttachSession& session, engine::Engine& engine,
       const std::string& id, bool input)
      : call_(call),
        session_(session),
        engine_(engine),
        id_(id),
        input_(input) {}

  absl::Status Run(bool* left) {
    for (;;) {
      RETURN_IF_ERROR(HandleClient());
      RETURN_IF_ERROR(WriteInput());
      *left = left_ && !HasInput();
      if (*left) return absl::OkStatus();
      Wait();
      absl::StatusOr<std::vector<engine::AttachChunk>> chunks = session_.Read();
      if (absl::IsOutOfRange(chunks.status())) return absl::OkStatus();
      RETURN_IF_ERROR(chunks.status());
      for (engine::AttachChunk& chunk : *chunks) {
        RETURN_IF_ERROR(Send(std::move(chunk)));
      }
    }
  }

 private:
  bool HasInput() const { return written_ < pending_.size() || close_; }

  absl::Status Send(engine::AttachChunk chunk) {
    v1::AttachResponse response;
    (chunk.is_error ? *response.mutable_error() : *response.mutable_output()) =
        std::move(chunk.data);
    return call_.Send(response) ? absl::OkStatus()
                                : absl::CancelledError("client is gone");
  }

  // Takes messages while there is room for their input.
  absl::Status HandleClient() {
    while (pending_.size() - written_ < kMostInput) {
      AttachCall::Inbox inbox = call_.Receive();
      if (inbox.cancelled) return absl::CancelledError("client is gone");
      if (!inbox.request.has_value()) {
        return absl::OkStatus();
      }
      RETURN_IF_ERROR(HandleRequest(*inbox.request));
    }
    return call_.Cancelled() ? absl::CancelledError("client is gone")
                             : absl::OkStatus();
  }

  absl::Status HandleRequest(const v1::AttachRequest& request) {
    switch (request.request_case()) {
      case v1::AttachRequest::kInput:
        if (!input_ || close_) break;
        pending_.erase(0, std::exchange(written_, 0));
        pending_.append(request.input());
        break;
      case v1::AttachRequest::kCloseInput:
        close_ = input_;
        break;
      // It may have ended: neither is worth an error then.
      case v1::AttachRequest::kResize:
        if (!session_.terminal()) break;
        session_
            .Resize(static_cast<int>(request.resize().rows()),
                    static_cast<int>(request.resize().columns()))
            .IgnoreError();
        break;
      case v1::AttachRequest::kSignal:
        if (request.signal() < 1 || request.signal() > 64) {
          return absl::InvalidArgumentError(absl::StrCat(
              "signal a container: ", request.signal(), " is not a signal"));
        }
        engine_.Signal(id_, request.signal()).IgnoreError();
        break;
      case v1::AttachRequest::kStart:
        return absl::InvalidArgumentError(
            "attach to a container: this call has done so already");
      case v1::AttachRequest::kDetach:
        left_ = true;
        break;
      case v1::AttachRequest::REQUEST_NOT_SET:
        break;
    }
    return absl::OkStatus();
  }

  absl::Status WriteInput() {
    while (input_ && written_ < pending_.size()) {
      const absl::StatusOr<size_t> taken =
          session_.Write(absl::string_view(pending_).substr(written_));
      if (!taken.ok()) {  // its output says how it ended
        input_ = false;
        break;
      }
      if (*taken == 0) return absl::OkStatus();
      written_ += *taken;
    }
    if (!input_) {
      written_ = pending_.size();
      close_ = false;
    }
    if (!close_) return absl::OkStatus();
    const absl::StatusOr<bool> closed = session_.CloseInput();
    if (closed.ok() && !*closed) return absl::OkStatus();
    close_ = false;
    input_ = session_.terminal();  // there, more may be typed
    return absl::OkStatus();
  }

  void Wait() {
    const bool full = pending_.size() - written_ >= kMostInput;
    pollfd fds[2] = {
        {full ? -1 : call_.wake_fd(), POLLIN, 0},
        {session_.fd(), static_cast<short>(POLLIN | (HasInput() ? POLLOUT : 0)),
         0}};
    poll(fds, 2, kPollMilliseconds);
  }

  AttachCall& call_;
  engine::AttachSession& session_;
  engine::Engine& engine_;
  const std::string id_;
  std::string pending_;  // input, of which `written_` bytes were taken
  size_t written_ = 0;
  bool input_;          // there is somebody to take it
  bool close_ = false;  // after what is pending
  bool left_ = false;   // the client wants no more
};

}  // namespace

absl::Status PumpAttach(AttachCall& call, engine::AttachSession& session,
                        engine::Engine& engine, const std::string& id,
                        bool input, bool* left) {
  return Pump(call, session, engine, id, input).Run(left);
}

}  // namespace bulwark::api
