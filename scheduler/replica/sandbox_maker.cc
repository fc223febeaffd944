#include "scheduler/replica/sandbox_maker.h"

#include <algorithm>
#include <utility>

#include "base/status.h"
#include "base/thread_name.h"
#include "scheduler/names.h"

namespace bulwark::scheduler {
namespace {

bool SameSandbox(const netmesh::SandboxSpec& a, const netmesh::SandboxSpec& b) {
  return a.network == b.network && a.address == b.address &&
         a.address6 == b.address6;
}

}  // namespace

struct SandboxMaker::Task {
  Task(SlotGuard& slots, const std::string& slot) : hold(slots, slot) {}

  SlotGuard::Hold hold;
  netmesh::SandboxSpec spec;
  bool picked = false;
  std::promise<absl::StatusOr<netmesh::Sandbox>> made;
};

SandboxMaker::SandboxMaker(engine::Engine& engine, netmesh::Network& network,
                           SlotGuard& slots, IdPool ids)
    : engine_(engine),
      network_(network),
      slots_(slots),
      ids_(ids),
      thread_([this] { Work(); }) {}

SandboxMaker::~SandboxMaker() {
  {
    absl::MutexLock lock(&mu_);
    stop_ = true;
  }
  thread_.join();
}

absl::StatusOr<ComingSandbox> SandboxMaker::Begin(const v1::Replica& replica,
                                                  netmesh::SandboxSpec spec) {
  auto task = std::make_unique<Task>(slots_, spec.id);
  ASSIGN_OR_RETURN(const bool kept, Keep(replica, spec));
  if (!kept && ids_.enabled()) {
    ASSIGN_OR_RETURN(spec.ids, Pick());
    task->picked = true;
  }
  ComingSandbox coming = {network_.SandboxPath(spec.id), spec.ids,
                          task->made.get_future().share()};
  task->spec = std::move(spec);
  absl::MutexLock lock(&mu_);
  tasks_.push_back(std::move(task));
  return coming;
}

absl::StatusOr<bool> SandboxMaker::Keep(const v1::Replica& replica,
                                        netmesh::SandboxSpec& spec) {
  for (const netmesh::Sandbox& old : network_.ListSandboxes()) {
    if (old.spec.id != spec.id) continue;
    // It keeps its ids, which are the slot's. Those of another kind, of before
    // a change of --id-base, it keeps for as long as somebody lives in it.
    const bool fits = (old.spec.ids.size != 0) == ids_.enabled();
    if (SameSandbox(old.spec, spec) && (fits || HasContainers(replica))) {
      spec.ids = old.spec.ids;
      return true;
    }
    // The slot moved to another network or address, or gets users of its own:
    // its last replica has ended, so nothing lives in the old sandbox.
    RETURN_IF_ERROR(network_.DeleteSandbox(spec.id));
  }
  return false;
}

bool SandboxMaker::HasContainers(const v1::Replica& replica) {
  for (const engine::ContainerInfo& container : engine_.List()) {
    const auto label = container.labels.find(kReplicaLabel);
    if (label != container.labels.end() &&
        label->second == replica.metadata().uid()) {
      return true;
    }
  }
  return false;
}

absl::StatusOr<netmesh::IdRange> SandboxMaker::Pick() {
  absl::MutexLock lock(&mu_);
  // In this order: what is made in between is still among the picked.
  std::vector<netmesh::IdRange> used = picked_;
  for (const netmesh::Sandbox& other : network_.ListSandboxes()) {
    used.push_back(other.spec.ids);
  }
  ASSIGN_OR_RETURN(netmesh::IdRange ids, PickIds(ids_, used));
  picked_.push_back(ids);
  return ids;
}

void SandboxMaker::Work() {
  NameThread("sandboxes");
  auto wanted = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    return stop_ || !tasks_.empty();
  };
  while (true) {
    std::unique_ptr<Task> task;
    {
      absl::MutexLock lock(&mu_);
      mu_.Await(absl::Condition(&wanted));
      if (tasks_.empty()) return;
      task = std::move(tasks_.front());
      tasks_.pop_front();
    }
    auto made = network_.EnsureSandbox(task->spec);
    if (task->picked) {
      absl::MutexLock lock(&mu_);
      picked_.erase(std::find(picked_.begin(), picked_.end(), task->spec.ids));
    }
    task->made.set_value(std::move(made));
  }
}

}  // namespace bulwark::scheduler
