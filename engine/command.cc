#include "engine/command.h"

#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <memory>

#include "absl/strings/str_cat.h"
#include "base/status.h"

namespace bulwark::engine {
namespace {

// How soon it is noticed that nobody wants a command any more.
constexpr absl::Duration kLook = absl::Milliseconds(100);

class Run {
 public:
  Run(ExecSession& session, Clock& clock, const Command& command,
      absl::Duration deadline)
      : session_(session),
        clock_(clock),
        command_(command),
        deadline_(deadline) {}

  absl::StatusOr<CommandEnd> Finish() {
    CommandEnd end;
    RETURN_IF_ERROR(ReadOutput(end.output));
    for (;;) {
      ASSIGN_OR_RETURN(const absl::Duration pause, Pause());
      const absl::StatusOr<int> code = session_.WaitFor(pause);
      if (absl::IsDeadlineExceeded(code.status())) continue;
      RETURN_IF_ERROR(code.status());
      end.exit_code = *code;
      return end;
    }
  }

 private:
  // How long to wait before the next look; or why there is none.
  absl::StatusOr<absl::Duration> Pause() const {
    if (command_.wanted != nullptr && !command_.wanted()) {
      return absl::CancelledError("nobody waits for it");
    }
    const absl::Duration left = deadline_ - clock_.Steady();
    if (left > absl::ZeroDuration()) return std::min(left, kLook);
    return absl::DeadlineExceededError(absl::StrCat(
        "did not end within ", absl::FormatDuration(command_.timeout)));
  }

  absl::Status ReadOutput(std::string& output) const {
    pollfd fds[2] = {{session_.output(), POLLIN, 0},
                     {session_.error(), POLLIN, 0}};
    while (fds[0].fd >= 0 || fds[1].fd >= 0) {
      ASSIGN_OR_RETURN(const absl::Duration pause, Pause());
      if (poll(fds, 2, static_cast<int>(absl::ToInt64Milliseconds(pause)) + 1) <
          0) {
        continue;
      }
      for (pollfd& p : fds) {
        if (p.fd >= 0 && p.revents != 0 && !Take(p.fd, output)) p.fd = -1;
      }
    }
    return absl::OkStatus();
  }

  // False at the stream's end.
  bool Take(int fd, std::string& output) const {
    char buffer[1024];
    const ssize_t n = read(fd, buffer, sizeof(buffer));
    if (n <= 0) return false;
    output.append(buffer,
                  std::min<size_t>(n, command_.max_output - output.size()));
    return true;
  }

  ExecSession& session_;
  Clock& clock_;
  const Command& command_;
  const absl::Duration deadline_;
};

}  // namespace

absl::StatusOr<CommandEnd> RunCommand(Engine& engine, Clock& clock,
                                      const Command& command) {
  const absl::Duration deadline = clock.Steady() + command.timeout;
  ExecSpec spec;
  spec.args = command.args;
  ASSIGN_OR_RETURN(const std::unique_ptr<ExecSession> session,
                   engine.Exec(command.container_id, spec));
  session->CloseInput();
  absl::StatusOr<CommandEnd> end =
      Run(*session, clock, command, deadline).Finish();
  if (!end.ok()) session->Signal(SIGKILL).IgnoreError();  // it may have ended
  return end;
}

}  // namespace bulwark::engine
