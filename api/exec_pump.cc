// The bytes of an Exec call.
#include <fcntl.h>
#include <poll.h>

#include <cerrno>
#include <utility>

#include "absl/strings/str_cat.h"
#include "api/exec_call.h"
#include "base/status.h"

namespace bulwark::api {
namespace {

constexpr size_t kChunk = 32 << 10;
constexpr size_t kMostInput = 1 << 20;
constexpr absl::Duration kPoll = absl::Milliseconds(100);
constexpr absl::Duration kShort = absl::Milliseconds(2);
// What a child that outlives the process may still add to its output.
constexpr absl::Duration kDrain = absl::Milliseconds(200);

class Pump {
 public:
  Pump(ExecCall& call, engine::ExecSession& session)
      : call_(call), session_(session) {
    SetNonBlocking(session.input());
    SetNonBlocking(session.output());
    SetNonBlocking(session.error());
    terminal_ = session.input() >= 0 && session.input() == session.output();
    output_open_ = session.output() >= 0;
    error_open_ = session.error() >= 0;
  }

  absl::Status Run() {
    while (!Finished()) {
      if (!released_) RETURN_IF_ERROR(HandleClient());
      if (released_ && call_.stopping()) {
        return absl::CancelledError("the daemon is stopping");
      }
      WriteInput();
      Wait();
      bool progress = false;
      RETURN_IF_ERROR(
          ReadStream(session_.output(), false, output_open_, progress));
      RETURN_IF_ERROR(
          ReadStream(session_.error(), true, error_open_, progress));
      // Looking costs a system call: not while output flows.
      if (!progress) RETURN_IF_ERROR(LookForExit());
    }
    if (released_) return absl::OkStatus();
    v1::ExecResponse last;
    last.set_exit_code(*exit_code_);
    if (!call_.Send(last)) return absl::CancelledError("client is gone");
    return absl::OkStatus();
  }

 private:
  static void SetNonBlocking(int fd) {
    if (fd < 0) return;
    const int flags = fcntl(fd, F_GETFL);
    if (flags >= 0) fcntl(fd, F_SETFL, flags | O_NONBLOCK);
  }

  bool Finished() {
    if (!exit_code_.has_value()) return false;
    return (!output_open_ && !error_open_) ||
           call_.clock().Steady() >= drain_until_;
  }

  // Takes messages while there is room for their input: a signal must not wait
  // behind what the process does not read.
  absl::Status HandleClient() {
    while (Backlog() < kMostInput && !released_) {
      ExecCall::Inbox inbox = call_.Receive();
      if (inbox.cancelled) return absl::CancelledError("client is gone");
      if (!inbox.request.has_value()) {
        if (inbox.input_ended) CloseInput();
        return absl::OkStatus();
      }
      RETURN_IF_ERROR(HandleRequest(*inbox.request));
    }
    return !released_ && call_.Cancelled()
               ? absl::CancelledError("client is gone")
               : absl::OkStatus();
  }

  absl::Status HandleRequest(const v1::ExecRequest& request) {
    switch (request.request_case()) {
      case v1::ExecRequest::kInput:
        TakeInput(request.input());
        break;
      case v1::ExecRequest::kCloseInput:
        CloseInput();
        break;
      // The process may have ended: neither is worth an error then.
      case v1::ExecRequest::kResize:
        session_
            .Resize(static_cast<int>(request.resize().rows()),
                    static_cast<int>(request.resize().columns()))
            .IgnoreError();
        break;
      case v1::ExecRequest::kSignal:
        if (request.signal() < 1 || request.signal() > 64) {
          return absl::InvalidArgumentError(absl::StrCat(
              "signal a command: ", request.signal(), " is not a signal"));
        }
        session_.Signal(request.signal()).IgnoreError();
        break;
      case v1::ExecRequest::kDetach:
        released_ = true;
        call_.Release(absl::OkStatus());
        break;
      case v1::ExecRequest::kStart:
        return absl::InvalidArgumentError("run a command: it runs already");
      case v1::ExecRequest::REQUEST_NOT_SET:
        break;
    }
    return absl::OkStatus();
  }

  size_t Backlog() const { return pending_.size() - written_; }

  void TakeInput(absl::string_view input) {
    if (input_closed_) return;
    pending_.erase(0, std::exchange(written_, 0));
    pending_.append(input.data(), input.size());
  }

  // After what is still pending.
  void CloseInput() {
    // A terminal's input has no end of its own, but a character that says so.
    if (terminal_) TakeInput("\x04");
    input_closed_ = true;
  }

  void WriteInput() {
    while (Backlog() > 0) {
      const ssize_t n =
          write(session_.input(), pending_.data() + written_, Backlog());
      if (n < 0 && errno == EINTR) continue;
      if (n < 0 && errno == EAGAIN) return;
      if (n < 0) {  // the process reads no more
        input_closed_ = true;
        written_ = pending_.size();
        break;
      }
      written_ += static_cast<size_t>(n);
    }
    if (input_closed_ && !std::exchange(input_ended_, true)) {
      session_.CloseInput();
    }
  }

  void Wait() {
    pollfd fds[4];
    nfds_t count = 0;
    const bool listens = !released_ && Backlog() < kMostInput;
    fds[count++] = {listens ? call_.wake_fd() : -1, POLLIN, 0};
    fds[count++] = {Backlog() > 0 ? session_.input() : -1, POLLOUT, 0};
    fds[count++] = {output_open_ ? session_.output() : -1, POLLIN, 0};
    fds[count++] = {error_open_ ? session_.error() : -1, POLLIN, 0};
    // With its streams closed, nothing but a look tells that it has ended.
    const absl::Duration most = output_open_ || error_open_ ? kPoll : kShort;
    poll(fds, count, static_cast<int>(absl::ToInt64Milliseconds(most)));
  }

  absl::Status ReadStream(int fd, bool is_error, bool& open, bool& progress) {
    if (!open) return absl::OkStatus();
    std::string buffer(kChunk, '\0');
    const ssize_t n = read(fd, buffer.data(), buffer.size());
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) return absl::OkStatus();
    if (n <= 0) {  // EIO is how a terminal ends
      open = false;
      return absl::OkStatus();
    }
    progress = true;
    if (released_) return absl::OkStatus();
    buffer.resize(static_cast<size_t>(n));
    v1::ExecResponse response;
    (is_error ? *response.mutable_error() : *response.mutable_output()) =
        std::move(buffer);
    return call_.Send(response) ? absl::OkStatus()
                                : absl::CancelledError("client is gone");
  }

  absl::Status LookForExit() {
    if (exit_code_.has_value()) return absl::OkStatus();
    absl::StatusOr<int> code = session_.WaitFor(absl::ZeroDuration());
    if (absl::IsDeadlineExceeded(code.status())) {
      return absl::OkStatus();
    }
    if (absl::IsUnimplemented(code.status())) {
      if (output_open_ || error_open_) return absl::OkStatus();
      code = session_.Wait();
    }
    RETURN_IF_ERROR(code.status());
    exit_code_ = *code;
    drain_until_ = call_.clock().Steady() + kDrain;
    return absl::OkStatus();
  }

  ExecCall& call_;
  engine::ExecSession& session_;
  std::string pending_;  // input, of which the process took `written_` bytes
  size_t written_ = 0;
  bool terminal_ = false;
  bool input_closed_ = false;  // no more is taken
  bool input_ended_ = false;   // the process was told
  bool released_ = false;      // the client has left: its output is dropped
  bool output_open_ = false;
  bool error_open_ = false;
  std::optional<int> exit_code_;
  absl::Duration drain_until_;
};

}  // namespace

absl::Status PumpExec(ExecCall& call, engine::ExecSession& session) {
  return Pump(call, session).Run();
}

}  // namespace bulwark::api
