#include "scheduler/replica/hooks.h"

#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "scheduler/readable.h"

namespace bulwark::scheduler {
namespace {

// What of a failed command's output goes into the message.
constexpr size_t kMaxOutput = 400;
// How soon a hook notices that nobody wants it any more.
constexpr absl::Duration kLook = absl::Milliseconds(100);

// What the process prints, until it closes both streams; none if `go_on` says
// no before that.
template <typename GoOn>
std::optional<std::string> ReadOutput(engine::ExecSession& session,
                                      const GoOn& go_on) {
  pollfd fds[2] = {{session.output(), POLLIN, 0}, {session.error(), POLLIN, 0}};
  std::string output;
  while (fds[0].fd >= 0 || fds[1].fd >= 0) {
    if (!go_on()) return std::nullopt;
    poll(fds, 2, static_cast<int>(absl::ToInt64Milliseconds(kLook)));
    for (pollfd& p : fds) {
      if (p.fd < 0 || p.revents == 0) continue;
      char buffer[1024];
      const ssize_t n = read(p.fd, buffer, sizeof(buffer));
      if (n <= 0) {
        p.fd = -1;
        continue;
      }
      output.append(buffer, std::min<size_t>(n, kMaxOutput - output.size()));
    }
  }
  return output;
}

}  // namespace

HookRunner::HookRunner(engine::Engine& engine, Clock& clock, Over over)
    : engine_(engine), clock_(clock), over_(std::move(over)) {}

HookRunner::~HookRunner() { Stop(); }

void HookRunner::Begin(const std::string& container_id,
                       std::vector<std::string> command,
                       absl::Duration timeout) {
  absl::MutexLock lock(&mu_);
  Sweep();
  HookPtr& hook = hooks_[container_id];
  if (hook != nullptr) return;
  hook = std::make_shared<Hook>();
  hook->command = std::move(command);
  hook->timeout = timeout;
  hook->thread = std::thread(
      [this, container_id, hook = hook.get()] { Run(container_id, *hook); });
}

void HookRunner::Run(const std::string& container_id, Hook& hook) {
  hook.failure = Execute(container_id, hook);
  hook.over = true;
  over_(container_id);
}

std::string HookRunner::Execute(const std::string& container_id, Hook& hook) {
  const absl::Duration deadline = clock_.Steady() + hook.timeout;
  engine::ExecSpec spec;
  spec.args = hook.command;
  auto session = engine_.Exec(container_id, spec);
  if (!session.ok()) return std::string(session.status().message());
  (*session)->CloseInput();
  const std::optional<std::string> output = ReadOutput(
      **session, [&] { return !hook.cancelled && clock_.Steady() < deadline; });
  if (!output.has_value()) {
    (*session)->Signal(SIGKILL).IgnoreError();  // its end is not waited for
    return absl::StrCat("did not end within ",
                        absl::FormatDuration(hook.timeout));
  }
  const absl::StatusOr<int> code = (*session)->Wait();
  if (!code.ok()) return std::string(code.status().message());
  if (*code == 0) return "";
  return absl::StrCat("exited with status ", *code, output->empty() ? "" : ": ",
                      Readable(absl::StripAsciiWhitespace(*output)));
}

HookRunner::State HookRunner::StateOf(const std::string& container_id) {
  absl::MutexLock lock(&mu_);
  auto it = hooks_.find(container_id);
  if (it == hooks_.end()) return State::kNone;
  return it->second->over ? State::kOver : State::kRunning;
}

std::optional<std::string> HookRunner::TakeFailure(
    const std::string& container_id) {
  absl::MutexLock lock(&mu_);
  auto it = hooks_.find(container_id);
  if (it == hooks_.end() || !it->second->over || it->second->failure.empty()) {
    return std::nullopt;
  }
  return std::exchange(it->second->failure, "");
}

void HookRunner::Forget(const std::string& container_id) {
  absl::MutexLock lock(&mu_);
  auto it = hooks_.find(container_id);
  if (it != hooks_.end()) {
    it->second->cancelled = true;
    forgotten_.push_back(std::move(it->second));
    hooks_.erase(it);
  }
  Sweep();
}

void HookRunner::Sweep() {
  std::erase_if(forgotten_, [](const HookPtr& hook) {
    if (!hook->over) return false;
    hook->thread.join();  // it has nothing left to do but to return
    return true;
  });
}

void HookRunner::Stop() {
  std::vector<HookPtr> all;
  {
    absl::MutexLock lock(&mu_);
    all = std::exchange(forgotten_, {});
    for (auto& [id, hook] : hooks_) all.push_back(std::move(hook));
    hooks_.clear();
  }
  for (const HookPtr& hook : all) hook->cancelled = true;
  for (const HookPtr& hook : all) hook->thread.join();
}

}  // namespace bulwark::scheduler
