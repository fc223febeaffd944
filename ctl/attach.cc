#include "ctl/attach.h"

#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <memory>
#include <thread>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "base/status.h"
#include "ctl/container_calls.h"
#include "ctl/errors.h"
#include "ctl/watch.h"

namespace bulwark::ctl {
namespace {

v1::AttachRequest Resize(const Io& io) {
  v1::AttachRequest request;
  request.mutable_resize()->set_rows(io.rows());
  request.mutable_resize()->set_columns(io.columns());
  return request;
}

// One call. A thread sends input, new sizes and signals; this one prints.
class Call {
 public:
  Call(Context& context, SignalPoll& signals, AttachOptions& options,
       bool& input, AttachEnd& end)
      : context_(context),
        signals_(signals),
        options_(options),
        input_(input),
        end_(end),
        stream_(Attach(context.client())) {}

  absl::Status Run() {
    v1::AttachRequest first;
    *first.mutable_start() = options_.start;
    // A stream that is broken already says why when it ends.
    stream_->Send(first);
    std::thread sending([&] { SendAll(); });
    std::optional<RawTerminal> raw;
    v1::AttachResponse response;
    while (stream_->Read(response)) {
      switch (response.response_case()) {
        case v1::AttachResponse::kReady:
          if (response.ready().terminal() && options_.input &&
              context_.io.in_tty()) {
            raw.emplace(context_.io.in_fd());
          }
          terminal_ = response.ready().terminal();
          ready_.Wake();
          break;
        case v1::AttachResponse::kOutput:
          if (options_.leave_within) break;
          context_.io.Out(response.output());
          break;
        case v1::AttachResponse::kError:
          if (options_.leave_within) break;
          context_.io.Err(response.error());
          break;
        case v1::AttachResponse::kExit:
          end_.exit = response.exit();
          break;
        default:
          break;
      }
    }
    ended_.Wake();
    sending.join();
    raw.reset();
    return stream_->Finish();
  }

 private:
  // The only sender.
  void SendAll() {
    bool ready = false;
    while (true) {
      pollfd fds[4] = {
          {ended_.fd(), POLLIN, 0},
          {signals_.fd(), POLLIN, 0},
          {ready ? -1 : ready_.fd(), POLLIN, 0},
          {ready && options_.input && input_ ? context_.io.in_fd() : -1, POLLIN,
           0}};
      const int timeout =
          options_.leave_within
              ? static_cast<int>(absl::ToInt64Milliseconds(
                    std::min(*options_.leave_within, absl::Hours(24))))
              : -1;
      const int n = poll(fds, 4, timeout);
      if (n < 0 && errno != EINTR) return;
      if (n == 0) {
        GiveUp();
        return;
      }
      if (fds[0].revents != 0) return;
      if (fds[2].revents != 0) {
        ready = true;
        if (options_.leave_within) {
          Leave();
          return;
        }
        if (terminal_ && !stream_->Send(Resize(context_.io))) return;
        if (options_.input && !input_ && !Close()) return;
      }
      if (fds[1].revents != 0 && !OnSignal(ready)) return;
      if (fds[3].revents != 0 && !OnInput()) return;
    }
  }

  bool Close() {
    v1::AttachRequest request;
    request.set_close_input(true);
    return stream_->Send(request);
  }

  bool GiveUp() {
    end_.interrupted = true;
    context_.client().CancelStreams();
    return false;
  }

  bool OnSignal(bool ready) {
    const int signal = signals_.Take();
    if (signal == 0) return true;
    if (signal == SIGWINCH) {
      return !ready || !terminal_ || stream_->Send(Resize(context_.io));
    }
    if (!ready || !options_.signals) return GiveUp();
    // Of a container that ignores it, or a daemon that does not answer, the
    // second one takes its leave.
    if (signal != SIGQUIT && ++asked_ > 1) return GiveUp();
    v1::AttachRequest request;
    request.set_signal(signal);
    return stream_->Send(request);
  }

  bool OnInput() {
    char buffer[16384];
    const ssize_t n = read(context_.io.in_fd(), buffer, sizeof(buffer));
    if (n < 0 && (errno == EINTR || errno == EAGAIN)) return true;
    if (n <= 0) {
      input_ = false;
      return Close();
    }
    std::string typed(buffer, static_cast<size_t>(n));
    if (context_.io.in_tty()) typed = options_.keys.Take(typed);
    if (!typed.empty()) {
      v1::AttachRequest request;
      request.set_input(typed);
      if (!stream_->Send(request)) return false;
    }
    if (!options_.keys.detached()) return true;
    Leave();
    return false;
  }

  void Leave() {
    end_.detached = true;
    v1::AttachRequest request;
    request.set_detach(true);
    stream_->Send(request);
  }

  Context& context_;
  SignalPoll& signals_;
  AttachOptions& options_;
  bool& input_;  // of ours there is more
  AttachEnd& end_;
  std::unique_ptr<AttachStream> stream_;
  WakePipe ready_;
  WakePipe ended_;
  std::atomic<bool> terminal_{false};
  int asked_ = 0;
};

}  // namespace

absl::StatusOr<DetachKeys> DetachKeys::Parse(const std::string& text) {
  DetachKeys keys;
  if (text.empty()) return keys;
  for (absl::string_view word : absl::StrSplit(text, ',')) {
    absl::string_view key = word;
    char c = 0;
    if (absl::ConsumePrefix(&key, "ctrl-") && key.size() == 1) {
      const char upper =
          absl::ascii_toupper(static_cast<unsigned char>(key[0]));
      if (upper >= '@' && upper <= '_') c = static_cast<char>(upper - '@');
      if (upper < '@' || upper > '_') key = "";
    } else if (word.size() == 1) {
      c = word[0];
    } else {
      key = "";
    }
    if (key.empty()) {
      return UsageError(absl::StrCat("--detach-keys ", text, ": \"", word,
                                     "\" is no key; write it like "
                                     "ctrl-p,ctrl-q or a"));
    }
    keys.keys_.push_back(c);
  }
  return keys;
}

std::string DetachKeys::Take(absl::string_view typed) {
  std::string out;
  for (const char c : typed) {
    if (keys_.empty() || detached_) {
      if (!detached_) out.push_back(c);
      continue;
    }
    if (c != keys_[matched_]) {
      out.append(keys_, 0, std::exchange(matched_, 0));
      if (c != keys_[0]) {
        out.push_back(c);
        continue;
      }
    }
    if (++matched_ == keys_.size()) detached_ = true;
  }
  return out;
}

absl::StatusOr<AttachEnd> RunAttach(Context& context, SignalPoll& signals,
                                    AttachOptions options) {
  AttachEnd end;
  options.start.set_no_input(!options.input);
  if (context.io.out_tty()) {
    *options.start.mutable_size() = Resize(context.io).resize();
  }
  bool input = true;
  bool told = false;
  while (true) {
    const absl::Status status =
        Call(context, signals, options, input, end).Run();
    if (end.exit || end.detached || end.interrupted) return end;
    const bool lost = IsRetryable(status);
    if (!lost && !status.ok()) return status;
    if (!lost) {
      return absl::UnavailableError(
          absl::StrCat(options.what, ": the stream ended without a status"));
    }
    if (!options.persist) {
      return WithRemedy(
          absl::Status(
              status.code(),
              absl::StrCat(options.what, " goes on, but ", status.message())),
          "attach again when bulwarkd runs");
    }
    // Once, however often it takes.
    if (!std::exchange(told, true)) {
      context.io.Err(absl::StrCat("warning: bulwarkd is gone; ", options.what,
                                  " goes on, attaching again\r\n"));
    }
    // What came before has been shown.
    options.start.set_replay(false);
    context.client().AwaitConnection();
    if (signals.Take() != 0) {
      end.interrupted = true;
      return end;
    }
  }
}

absl::StatusOr<int> ReportExit(Context& context, const std::string& what,
                               const v1::ExitResult& exit) {
  if (exit.oom_killed()) {
    context.io.Err(absl::StrCat(
        "warning: ", what, " was killed: out of memory; -m gives it more\n"));
  }
  if (!exit.message().empty()) {
    // Nobody saw the end: that is no status of the command's.
    const bool unseen = exit.exit_code() == 255;
    return WithExitCode(absl::FailedPreconditionError(
                            absl::StrCat("run ", what, ": ", exit.message())),
                        unseen ? kExitNoStatus : exit.exit_code());
  }
  return exit.exit_code();
}

}  // namespace bulwark::ctl
