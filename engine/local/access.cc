// LocalEngine's ContainerAccess: streams, processes, pauses.
#include <fcntl.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "engine/local/attach_session.h"
#include "engine/local/local_engine.h"
#include "engine/local/processes.h"
#include "os/process.h"

namespace bulwark::engine {
namespace {

constexpr absl::Duration kFreezeTimeout = absl::Seconds(5);
constexpr absl::Duration kFreezePoll = absl::Milliseconds(1);

}  // namespace

absl::StatusOr<std::unique_ptr<AttachSession>> LocalEngine::Attach(
    absl::string_view id, const AttachOptions& options) {
  ASSIGN_OR_RETURN(const ContainerPtr container, Find(id));
  UniqueFd shim;
  {
    absl::MutexLock lock(&container->mu);
    if (container->Exited() || !container->shim_pidfd.ok()) {
      return absl::FailedPreconditionError(
          absl::StrCat("attach to container ", id, ": it has exited"));
    }
    shim.Reset(fcntl(container->shim_pidfd.get(), F_DUPFD_CLOEXEC, 0));
    if (!shim.ok()) return ErrnoStatus("duplicate", "process descriptor");
  }
  auto session = AttachToShim(launcher_->Dirs(id).runtime, std::move(shim),
                              options, clock_);
  if (session.ok()) return session;
  // The shim is gone, or it is about to be.
  absl::MutexLock lock(&container->mu);
  if (container->Exited()) {
    return absl::FailedPreconditionError(
        absl::StrCat("attach to container ", id, ": it has exited"));
  }
  return Annotate(session.status(), absl::StrCat("container ", id));
}

absl::StatusOr<std::vector<ContainerProcess>> LocalEngine::Processes(
    absl::string_view id) {
  ASSIGN_OR_RETURN(const ContainerPtr container, Find(id));
  ASSIGN_OR_RETURN(const UniqueFd init, InitOf(container));
  int pid = 0;
  {
    absl::MutexLock lock(&container->mu);
    pid = container->info.pid;
  }
  ASSIGN_OR_RETURN(std::vector<ContainerProcess> processes,
                   ReadProcesses(launcher_->cgroups().Paths(id).unified, pid));
  // What we read under its number was about it.
  if (!os::SendSignal(init.get(), 0).ok()) {
    return absl::FailedPreconditionError(
        absl::StrCat("list processes of container ", id, ": it has exited"));
  }
  return processes;
}

absl::Status LocalEngine::SetPaused(absl::string_view id, bool paused) {
  ASSIGN_OR_RETURN(const ContainerPtr container, Find(id));
  const char* verb = paused ? "pause container " : "unpause container ";
  {
    absl::MutexLock update(&container->update_mu);
    {
      absl::MutexLock lock(&container->mu);
      if (container->Exited()) {
        return absl::FailedPreconditionError(
            absl::StrCat(verb, id, ": it has exited"));
      }
      if (container->info.paused == paused) return absl::OkStatus();
    }
    os::Cgroups& cgroups = launcher_->cgroups();
    RETURN_IF_ERROR_CTX(cgroups.SetFrozen(id, paused), absl::StrCat(verb, id));
    const absl::Duration deadline = clock_.Steady() + kFreezeTimeout;
    for (;;) {
      absl::StatusOr<bool> frozen = cgroups.IsFrozen(id);
      if (frozen.ok() && *frozen == paused) break;
      if (!frozen.ok() || clock_.Steady() >= deadline) {
        cgroups.SetFrozen(id, false).IgnoreError();
        if (!frozen.ok()) return Annotate(frozen.status(), verb);
        return absl::DeadlineExceededError(
            absl::StrCat(verb, id, ": a process of it cannot be stopped now"));
      }
      clock_.Sleep(kFreezePoll);
    }
    absl::MutexLock lock(&container->mu);
    container->info.paused = paused;
  }
  Notify(id);
  return absl::OkStatus();
}

}  // namespace bulwark::engine
