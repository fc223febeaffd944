#include "scheduler/replica/view.h"

#include <algorithm>
#include <utility>

#include "scheduler/names.h"
#include "scheduler/times.h"

namespace bulwark::scheduler {
namespace {

const v1::ContainerStatus* FindStatus(const v1::ReplicaStatus& status,
                                      const std::string& name) {
  for (const v1::ContainerStatus& c : status.containers()) {
    if (c.name() == name) return &c;
  }
  return nullptr;
}

ContainerView MakeView(const v1::Replica& replica, ContainerRole role,
                       const std::string& name) {
  ContainerView view;
  view.role = role;
  view.name = name;
  // The status counts starts, the view counts from 0.
  const v1::ContainerStatus* status = FindStatus(replica.status(), name);
  if (status != nullptr) view.attempt = std::max(0, status->attempt() - 1);
  view.id = ContainerId(replica.metadata().uid(), name, view.attempt);
  return view;
}

v1::ContainerStatus StatusOf(const ContainerView& view,
                             const v1::Revision* revision) {
  v1::ContainerStatus status;
  status.set_name(view.name);
  status.set_id(view.id);
  status.set_attempt(view.attempt + 1);
  if (revision != nullptr) {
    const v1::Container* c = FindContainer(revision->template_(), view);
    if (c != nullptr) {
      auto digest = revision->image_digests().find(c->image());
      if (digest != revision->image_digests().end()) {
        status.set_image_digest(digest->second);
      }
    }
  }
  if (!view.info.has_value()) return status;
  SetTime(status.mutable_start_time(), view.info->start_time);
  status.set_running(view.Running());
  if (view.Running()) {
    status.set_pid(view.info->pid);
    status.set_paused(view.info->paused);
    status.set_message(view.update_error);
  } else {
    status.set_exit_code(view.info->exit.code);
    status.set_oom_killed(view.info->exit.oom_killed);
    status.set_message(ExitSentence(view.info->exit));
    SetTime(status.mutable_finish_time(), view.info->exit.finish_time);
  }
  return status;
}

}  // namespace

std::vector<ContainerView> ContainersOf(const v1::Replica& replica,
                                        const v1::Revision* revision) {
  std::vector<ContainerView> views;
  if (revision == nullptr) {
    for (const v1::ContainerStatus& c : replica.status().containers()) {
      views.push_back(MakeView(replica, ContainerRole::kMain, c.name()));
    }
    return views;
  }
  const v1::Template& t = revision->template_();
  for (const v1::Container& c : t.init_containers()) {
    views.push_back(MakeView(replica, ContainerRole::kInit, c.name()));
  }
  for (const v1::Container& c : t.sidecars()) {
    views.push_back(MakeView(replica, ContainerRole::kSidecar, c.name()));
  }
  for (const v1::Container& c : t.containers()) {
    views.push_back(MakeView(replica, ContainerRole::kMain, c.name()));
  }
  return views;
}

const v1::Container* FindContainer(const v1::Template& t,
                                   const ContainerView& container) {
  const auto& group =
      container.role == ContainerRole::kInit      ? t.init_containers()
      : container.role == ContainerRole::kSidecar ? t.sidecars()
                                                  : t.containers();
  for (const v1::Container& c : group) {
    if (c.name() == container.name) return &c;
  }
  return nullptr;
}

bool RecordContainers(const std::vector<ContainerView>& containers,
                      const v1::Revision* revision, v1::ReplicaStatus& status) {
  v1::ReplicaStatus updated;
  for (const ContainerView& view : containers) {
    const v1::ContainerStatus* old = FindStatus(status, view.name);
    // What the engine has forgotten stays as it was last seen.
    if (!view.info.has_value()) {
      if (old != nullptr) *updated.add_containers() = *old;
      continue;
    }
    *updated.add_containers() = StatusOf(view, revision);
  }
  auto bytes = [](const v1::ReplicaStatus& s) {
    v1::ReplicaStatus only;
    *only.mutable_containers() = s.containers();
    return only.SerializeAsString();
  };
  if (bytes(updated) == bytes(status)) return false;
  status.mutable_containers()->Swap(updated.mutable_containers());
  return true;
}

bool RecordLimits(const std::vector<ContainerView>& containers,
                  const v1::Revision* revision, v1::ReplicaStatus& status) {
  if (revision == nullptr ||
      status.limits_generation() == revision->limits_generation()) {
    return false;
  }
  for (const ContainerView& c : containers) {
    if (c.Running() && c.outdated && c.update_error.empty()) return false;
  }
  status.set_limits_generation(revision->limits_generation());
  return true;
}

}  // namespace bulwark::scheduler
