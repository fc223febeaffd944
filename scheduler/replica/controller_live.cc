// What the replica controller does to containers that run (limits, hooks), and
// what it reads of them.
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "base/status.h"
#include "scheduler/readable.h"
#include "scheduler/replica/controller.h"
#include "scheduler/replica/spec.h"
#include "scheduler/replica/view.h"
#include "scheduler/times.h"

namespace bulwark::scheduler {
namespace {

// Until limits that were refused are tried again: the use may have sunk.
constexpr absl::Duration kUpdateAgain = absl::Seconds(10);
constexpr int kLogLines = 5;
constexpr size_t kMaxLogBytes = 600;

}  // namespace

// What is to be done to the container; null: its declaration is not known.
void ReplicaController::LoadIntent(const v1::Container* container,
                                   ContainerView& view) {
  using Hook = ContainerView::Hook;
  if (container != nullptr && container->has_pre_stop()) {
    const HookRunner::State state = hooks_.StateOf(view.id);
    view.hook = state == HookRunner::State::kNone      ? Hook::kWaiting
                : state == HookRunner::State::kRunning ? Hook::kRunning
                                                       : Hook::kOver;
  }
  absl::MutexLock lock(&mu_);
  view.signalled = signalled_.contains(view.id);
  if (container == nullptr || !view.Running()) return;
  const engine::Resources wanted = ResourcesOf(container->resources());
  view.outdated = !(view.info->resources == wanted);
  auto refusal = refusals_.find(view.id);
  if (refusal == refusals_.end()) return;
  if (!view.outdated) {
    refusals_.erase(refusal);  // what was refused is wanted no more
    return;
  }
  // Others are tried at once.
  if (!(refusal->second.wanted == wanted)) return;
  view.update_error = refusal->second.why;
  view.update_at = refusal->second.again_at;
}

absl::Status ReplicaController::Update(Loaded& loaded, size_t index) {
  const ContainerView& view = loaded.view.containers.at(index);
  const v1::Container* container =
      FindContainer(loaded.revision->template_(), view);
  const engine::Resources wanted = ResourcesOf(container->resources());
  const absl::Status status = engine_.Update(view.id, wanted);
  if (absl::IsNotFound(status)) return absl::OkStatus();
  const std::string name =
      absl::StrCat(view.name, " of ", loaded.replica().metadata().name());
  if (!status.ok()) {
    const std::string why = absl::StrCat(
        "its new limits are not set: ",
        absl::StrReplaceAll(status.message(), {{view.id, view.name}}),
        "; they are tried again by themselves",
        absl::IsFailedPrecondition(status) ? ", or raise the limit" : "");
    bool news;
    {
      absl::MutexLock lock(&mu_);
      Refusal& refusal = refusals_[view.id];
      news = refusal.why.empty() || !(refusal.wanted == wanted);
      refusal = {wanted, why, clock_.Now() + kUpdateAgain};
    }
    if (news) {
      Tell(loaded, "LimitsRefused", absl::StrCat(name, ": ", why),
           v1::Event::WARNING);
    }
    return absl::OkStatus();
  }
  {
    absl::MutexLock lock(&mu_);
    refusals_.erase(view.id);
  }
  Tell(loaded, "LimitsApplied",
       absl::StrCat(name, " has its new limits, without a restart"),
       v1::Event::NORMAL);
  return absl::OkStatus();
}

// The mark first: it is how a process after us knows that they have begun.
absl::Status ReplicaController::BeginHooks(Loaded& loaded, const Step& step) {
  v1::ReplicaStatus& status = *loaded.replica().mutable_status();
  if (status.reason() != step.reason) {
    status.set_reason(step.reason);
    status.set_message("the preStop hooks run");
    RETURN_IF_ERROR(Commit(loaded));
    if (step.reason == kPreStopAgain) {
      Tell(loaded, "PreStopAgain",
           absl::StrCat("the preStop hooks of ",
                        loaded.replica().metadata().name(),
                        " were cut off by a restart of bulwarkd, and are run "
                        "once more"),
           v1::Event::WARNING);
    }
  }
  {
    absl::MutexLock lock(&mu_);
    hooked_.insert(loaded.replica().metadata().uid());
  }
  const absl::Duration left =
      ToTime(status.state_time()) + loaded.view.stop_timeout - clock_.Now();
  for (size_t i : step.targets) {
    const ContainerView& view = loaded.view.containers.at(i);
    const v1::Container* container =
        FindContainer(loaded.revision->template_(), view);
    const auto& command = container->pre_stop().command();
    hooks_.Begin(view.id,
                 std::vector<std::string>(command.begin(), command.end()),
                 left);
  }
  return absl::OkStatus();
}

void ReplicaController::TellOfHooks(const Loaded& loaded) {
  for (const ContainerView& view : loaded.view.containers) {
    if (view.hook != ContainerView::Hook::kOver) continue;
    const std::optional<std::string> failure = hooks_.TakeFailure(view.id);
    if (!failure.has_value()) continue;
    Tell(loaded, "PreStopFailed",
         absl::StrCat("the preStop hook of ", view.name, " of ",
                      loaded.object.replica().metadata().name(), " failed: ",
                      absl::StrReplaceAll(*failure, {{view.id, view.name}}),
                      "; the stop goes on"),
         v1::Event::WARNING);
  }
}

std::string ReplicaController::LastLines(const std::string& container_id) {
  engine::LogOptions options;
  options.tail = kLogLines;
  auto reader = engine_.Logs(container_id, options);
  if (!reader.ok()) return "";
  std::vector<std::string> lines;
  size_t bytes = 0;
  while (lines.size() < kLogLines && bytes < kMaxLogBytes) {
    auto entry = (*reader)->Next(absl::Seconds(1));
    if (!entry.ok()) break;
    lines.push_back(Readable(entry->line.substr(0, kMaxLogBytes - bytes)));
    bytes += lines.back().size();
  }
  return absl::StrJoin(lines, " | ");
}

}  // namespace bulwark::scheduler
