#include "scheduler/replica/hooks.h"

#include <csignal>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "engine/command.h"
#include "scheduler/readable.h"

namespace bulwark::scheduler {
namespace {

// What of a failed command's output goes into the message.
constexpr size_t kMaxOutput = 400;

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
  // A stop ends a pause, and this is its beginning. Nobody else hears of the
  // signal.
  const absl::StatusOr<engine::ContainerInfo> info =
      engine_.Inspect(container_id);
  if (info.ok() && info->paused) {
    const absl::Status resumed = engine_.Signal(container_id, SIGCONT);
    if (!resumed.ok()) return std::string(resumed.message());
  }
  engine::Command command;
  command.container_id = container_id;
  command.args = hook.command;
  command.timeout = hook.timeout;
  command.max_output = kMaxOutput;
  command.wanted = [&hook] { return !hook.cancelled; };
  const absl::StatusOr<engine::CommandEnd> end =
      engine::RunCommand(engine_, clock_, command);
  if (!end.ok()) return std::string(end.status().message());
  if (end->exit_code == 0) return "";
  return absl::StrCat("exited with status ", end->exit_code,
                      end->output.empty() ? "" : ": ",
                      Readable(absl::StripAsciiWhitespace(end->output)));
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
