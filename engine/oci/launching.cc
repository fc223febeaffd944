#include "engine/oci/launching.h"

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <cerrno>
#include <cstring>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "engine/child/frame.h"
#include "engine/child/spin.h"
#include "engine/child/wire.h"
#include "engine/oci/shim_program.h"
#include "engine/program_error.h"
#include "engine/shim/shim_fds.h"
#include "os/passed_fds.h"
#include "os/process.h"

namespace bulwark::engine::oci {
namespace {

constexpr int kMaxPassed = 128;
// The longest that a launch without hooks takes between two messages.
constexpr uint64_t kSpin = 400'000;  // ns
constexpr absl::Duration kShimTimeout = absl::Seconds(10);

absl::Status Lost() {
  return absl::InternalError("launch: the process ended without a word");
}

}  // namespace

absl::Status StepFailure(const CompiledPlan& plan, uint64_t step, int error) {
  const absl::Status status = LaunchFailure(plan, step, error);
  if (step >= plan.steps.size()) return status;
  const child::StepKind kind = plan.steps[step].kind;
  const std::string& label = plan.steps[step].label;
  if (kind == child::StepKind::kExec || kind == child::StepKind::kFindProgram) {
    const bool path = absl::StrContains(label, '/');
    const char* cause = std::strerror(error);
    if (error == ENOENT && !path) {
      cause = "executable file not found in $PATH";
    } else if (error == ENOENT) {
      cause = "no such file or directory";
    } else if (error == EACCES) {
      cause = "permission denied";
    } else if (error == ENOEXEC) {
      cause = "exec format error";
    }
    return absl::InvalidArgumentError(absl::StrCat(label, ": ", cause));
  }
  return status;
}

absl::StatusOr<Launching> Launching::Begin(const LaunchRequest& request) {
  if (request.passed < 0 || request.passed > kMaxPassed) {
    return absl::InvalidArgumentError(
        absl::StrCat("pass ", request.passed, " files: at most ", kMaxPassed));
  }
  ASSIGN_OR_RETURN(const UniqueFd program, os::SealedProgram(ShimProgram()));
  std::vector<PassedFd> fds;
  for (int i = 0; i < 3; ++i) {
    fds.push_back({i == 0 ? request.input : i, shim::kFirstStreamFd + i});
  }
  for (int i = 0; i < request.passed; ++i) {
    fds.push_back({3 + i, shim::kFirstStreamFd + 3 + i});
  }
  ASSIGN_OR_RETURN(
      ShimStart start,
      ShimStart::Begin(program.get(),
                       {"bulwark-shim", "oci", absl::StrCat(request.passed)},
                       std::move(fds)));
  // To have it execute its program now, on another processor, while we read the
  // configuration. The kernel puts a new process on its parent's, and moves it
  // when it executes, which it would do when we wait for it.
  sched_yield();
  return Launching(std::move(start));
}

absl::Status Launching::Launch(const CompiledPlan& plan, int init_pidfd) {
  plan_ = &plan;
  return shim_.Order(plan.bytes, init_pidfd);
}

absl::StatusOr<LaunchEvent> Launching::Next(absl::Duration timeout) {
  if (held_.has_value() && pid_ != 0) {
    LaunchEvent event = *std::move(held_);
    held_.reset();
    return event;
  }
  pollfd poll_fd = {shim_.socket(), POLLIN, 0};
  child::SpinForInput(shim_.socket(), kSpin);
  const timespec limit = absl::ToTimespec(timeout);
  int ready;
  do {
    ready = ppoll(&poll_fd, 1, &limit, nullptr);
  } while (ready < 0 && errno == EINTR);
  if (ready == 0) {
    return absl::DeadlineExceededError(absl::StrCat(
        "launch: no answer within ", absl::FormatDuration(timeout)));
  }
  uint8_t buffer[child::kMaxMessage];
  std::vector<UniqueFd> received;
  ssize_t n;
  do {
    n = os::ReceiveWithFds(shim_.socket(), buffer, sizeof(buffer), received);
  } while (n < 0 && errno == EINTR);
  if (n < 0 && errno != ECONNRESET) return ErrnoStatus("read", "launch socket");
  if (n <= 0) {
    if (pid_ == 0) {
      RETURN_IF_ERROR(shim_.Settle());
      return Lost();
    }
    LaunchEvent executed;
    executed.kind = LaunchEvent::Kind::kExecuted;
    return executed;
  }
  UniqueFd passed;
  if (!received.empty()) passed = std::move(received.front());
  return Handle(buffer, static_cast<size_t>(n), std::move(passed));
}

absl::StatusOr<LaunchEvent> Launching::Handle(const uint8_t* data, size_t size,
                                              UniqueFd passed) {
  child::FrameReader reader(data, size);
  uint64_t step = child::kStepPlan;
  int error = 0;
  LaunchEvent event;
  while (reader.Next()) {
    if (reader.tag() == child::kTagStep) step = reader.Int();
    if (reader.tag() == child::kTagErrno)
      error = static_cast<int>(reader.Int());
    if (reader.tag() == child::kTagPhase) event.point = reader.Int();
    if (reader.tag() == child::kTagAddress) event.address = reader.Int();
    if (reader.tag() == child::kTagInitPid) {
      pid_ = static_cast<int>(reader.Int());
    }
  }
  switch (reader.type()) {
    case child::kMsgLaunched:
      event.kind = LaunchEvent::Kind::kProcess;
      return event;
    case child::kMsgSync:
      event.kind = LaunchEvent::Kind::kSync;
      event.terminal = std::move(passed);
      if (pid_ != 0) return event;
      // It was faster than the shim that made it.
      held_ = std::move(event);
      return Next(kShimTimeout);
    case child::kMsgFailed:
      return StepFailure(*plan_, step, error);
    default:
      return absl::InternalError("launch: a message that is not known");
  }
}

absl::Status Launching::Continue() {
  const char go = 1;
  if (send(shim_.socket(), &go, 1, MSG_NOSIGNAL) == 1) return absl::OkStatus();
  return Lost();
}

}  // namespace bulwark::engine::oci
