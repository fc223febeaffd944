// LocalEngine's ContainerAccess: streams, processes, pauses.
#include <fcntl.h>
#include <unistd.h>

#include <memory>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/log.h"
#include "base/status.h"
#include "engine/local/attach_session.h"
#include "engine/local/local_engine.h"
#include "engine/local/processes.h"
#include "os/files.h"
#include "os/process.h"

namespace bulwark::engine {
namespace {

constexpr absl::Duration kFreezeTimeout = absl::Seconds(5);
constexpr absl::Duration kFreezePoll = absl::Milliseconds(1);
constexpr char kStaysPaused[] = "paused";

absl::Status NoteStandstill(const Launcher& launcher, absl::string_view id,
                            bool stays_paused) {
  return os::WriteFileDurably(launcher.Dirs(id).Still(),
                              stays_paused ? kStaysPaused : "");
}

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

// Waits until all processes stand still, or have been told to go on.
absl::Status LocalEngine::Freeze(Container& container, bool frozen,
                                 const char* verb) {
  const std::string& id = container.record.id;
  os::Cgroups& cgroups = launcher_->cgroups();
  RETURN_IF_ERROR_CTX(cgroups.SetFrozen(id, frozen), absl::StrCat(verb, id));
  const absl::Duration deadline = clock_.Steady() + kFreezeTimeout;
  for (;;) {
    const absl::StatusOr<bool> now = cgroups.IsFrozen(id);
    if (now.ok() && *now == frozen) break;
    if (!now.ok() || clock_.Steady() >= deadline) {
      cgroups.SetFrozen(id, false).IgnoreError();
      if (!now.ok()) return Annotate(now.status(), absl::StrCat(verb, id));
      return absl::DeadlineExceededError(
          absl::StrCat(verb, id, ": a process of it cannot be stopped now"));
    }
    clock_.Sleep(kFreezePoll);
  }
  absl::MutexLock lock(&container.mu);
  container.info.paused = frozen;
  return absl::OkStatus();
}

absl::Status LocalEngine::SetPaused(absl::string_view id, bool paused) {
  ASSIGN_OR_RETURN(const ContainerPtr container, Find(id));
  const char* verb = paused ? "pause container " : "unpause container ";
  {
    absl::MutexLock update(&container->update_mu);
    bool held = false;
    {
      absl::MutexLock lock(&container->mu);
      if (container->Exited()) {
        return absl::FailedPreconditionError(
            absl::StrCat(verb, id, ": it has exited"));
      }
      if (container->pause_stays == paused) return absl::OkStatus();
      held = container->holds > 0;
    }
    if (held) {
      RETURN_IF_ERROR_CTX(NoteStandstill(*launcher_, id, paused),
                          absl::StrCat(verb, id));
    } else {
      RETURN_IF_ERROR(Freeze(*container, paused, verb));
    }
    absl::MutexLock lock(&container->mu);
    container->pause_stays = paused;
  }
  Notify(id);
  return absl::OkStatus();
}

class LocalEngine::LocalStandstill final : public Standstill {
 public:
  LocalStandstill(LocalEngine& engine, ContainerPtr container)
      : engine_(engine), container_(std::move(container)) {}
  ~LocalStandstill() override {
    const std::string id = container_ == nullptr ? "" : container_->record.id;
    const absl::Status ended = End();
    if (!ended.ok()) {
      LOG_ERROR("cannot let a container go on", {{"id", id}, {"error", ended}});
    }
  }

  absl::Status End() override {
    if (container_ == nullptr) return absl::OkStatus();
    const ContainerPtr container = std::exchange(container_, nullptr);
    return engine_.EndStandstill(*container);
  }

 private:
  LocalEngine& engine_;
  ContainerPtr container_;
};

absl::StatusOr<std::unique_ptr<Standstill>> LocalEngine::HoldStill(
    absl::string_view id) {
  ASSIGN_OR_RETURN(const ContainerPtr container, Find(id));
  constexpr char kVerb[] = "hold still container ";
  {
    absl::MutexLock update(&container->update_mu);
    bool first = false;
    bool paused = false;
    {
      absl::MutexLock lock(&container->mu);
      if (container->Exited()) {
        return absl::FailedPreconditionError(
            absl::StrCat(kVerb, id, ": it has exited"));
      }
      first = container->holds == 0;
      paused = container->pause_stays;
    }
    if (first) {
      // Before the kernel: who finds it frozen has to find out why.
      RETURN_IF_ERROR_CTX(NoteStandstill(*launcher_, id, paused),
                          absl::StrCat(kVerb, id));
      const absl::Status frozen =
          paused ? absl::OkStatus() : Freeze(*container, true, kVerb);
      if (!frozen.ok()) {
        unlink(launcher_->Dirs(id).Still().c_str());
        return frozen;
      }
    }
    absl::MutexLock lock(&container->mu);
    ++container->holds;
  }
  Notify(id);
  return std::make_unique<LocalStandstill>(*this, container);
}

absl::Status LocalEngine::EndStandstill(Container& container) {
  const std::string& id = container.record.id;
  {
    absl::MutexLock update(&container.update_mu);
    bool thaw = false;
    {
      absl::MutexLock lock(&container.mu);
      if (--container.holds > 0 || container.Exited()) return absl::OkStatus();
      thaw = !container.pause_stays;
    }
    const absl::Status thawed =
        thaw ? Freeze(container, false, "let go on container ")
             : absl::OkStatus();
    if (!thawed.ok()) {
      absl::MutexLock lock(&container.mu);
      if (!container.Exited()) return thawed;
    }
    unlink(launcher_->Dirs(id).Still().c_str());
  }
  Notify(id);
  return absl::OkStatus();
}

// Of a container that was found frozen or not: a standstill ended with who
// wanted it, a pause stays.
void LocalEngine::RecoverPause(Container& container) {
  const std::string& id = container.record.id;
  const std::string note = launcher_->Dirs(id).Still();
  const absl::StatusOr<std::string> reason = os::ReadFile(note, 64);
  bool paused = launcher_->cgroups().IsFrozen(id).value_or(false);
  if (!absl::IsNotFound(reason.status())) {
    paused = reason.ok() && *reason == kStaysPaused;
    const absl::Status set = launcher_->cgroups().SetFrozen(id, paused);
    if (set.ok()) {
      unlink(note.c_str());
    } else {
      LOG_ERROR("cannot let a container go on", {{"id", id}, {"error", set}});
    }
  }
  absl::MutexLock lock(&container.mu);
  container.info.paused = container.pause_stays = paused;
}

}  // namespace bulwark::engine
