#include "scheduler/replica/controller.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "base/log.h"
#include "base/status.h"
#include "engine/image_refusal.h"
#include "engine/program_error.h"
#include "scheduler/names.h"
#include "scheduler/replica/spec.h"
#include "scheduler/replica/view.h"
#include "scheduler/rollout/defaults.h"
#include "scheduler/services/reader.h"
#include "scheduler/times.h"
#include "store/objects.h"

namespace bulwark::scheduler {
namespace {

using Kind = Step::Kind;
using State = v1::ReplicaStatus;

// More steps than any replica takes in one go: a bound, should a port break
// its promise.
constexpr int kMaxSteps = 200;
constexpr absl::Duration kBackSoon = absl::Milliseconds(100);

bool Ended(const v1::Replica& r) {
  return r.status().state() == State::FAILED ||
         r.status().state() == State::STOPPED;
}

// What a shell would say of a command that is none: beside an exit status
// without times. The engine keeps nothing of a container that never was.
void RecordLaunch(const absl::Status& error, const ContainerView& view,
                  v1::ReplicaStatus& status) {
  const std::optional<int> code = engine::ProgramErrorOf(error);
  if (!code.has_value()) return;
  v1::ContainerStatus* entry = nullptr;
  for (v1::ContainerStatus& c : *status.mutable_containers()) {
    if (c.name() == view.name) entry = &c;
  }
  if (entry == nullptr) entry = status.add_containers();
  entry->set_name(view.name);
  entry->set_attempt(view.attempt + 1);
  entry->set_exit_code(*code);
  entry->set_message(std::string(error.message()));
}

}  // namespace

ReplicaController::ReplicaController(store::MetadataStore& store,
                                     engine::Engine& engine, Launcher& launcher,
                                     const Endpoints& endpoints, Clock& clock,
                                     EventRecorder& events, Changed changed,
                                     Look look)
    : store_(store),
      engine_(engine),
      launcher_(launcher),
      endpoints_(endpoints),
      clock_(clock),
      events_(events),
      changed_(std::move(changed)),
      hooks_(engine, clock, std::move(look)) {}

absl::StatusOr<Result> ReplicaController::Reconcile(const std::string& key) {
  for (int i = 0; i < kMaxSteps; ++i) {
    ASSIGN_OR_RETURN(std::optional<Loaded> loaded, Load(key));
    if (!loaded.has_value() || Ended(loaded->replica())) return Result{};
    TellOfHooks(*loaded);
    const Step step = NextStep(loaded->view);
    const v1::Revision* revision =
        loaded->revision.has_value() ? &*loaded->revision : nullptr;
    v1::ReplicaStatus& status = *loaded->replica().mutable_status();
    const bool seen =
        RecordContainers(loaded->view.containers, revision, status);
    const bool limited =
        RecordLimits(loaded->view.containers, revision, status);
    if (step.kind == Kind::kWait) {
      if (seen || limited) {
        const absl::Status committed = Commit(*loaded);
        if (absl::IsAborted(committed)) continue;
        RETURN_IF_ERROR(committed);
      }
      RETURN_IF_ERROR(SwapInputs(*loaded));
      Result result;
      if (step.wake_at != absl::InfiniteFuture()) {
        result.requeue_after =
            std::max(absl::ZeroDuration(), step.wake_at - clock_.Now());
      }
      return result;
    }
    absl::StatusOr<bool> go_on = Execute(*loaded, step);
    // Somebody else wrote the record: read it again.
    if (absl::IsAborted(go_on.status())) continue;
    if (!go_on.ok()) return go_on.status();
    if (!*go_on) return Result{};
  }
  return Result{kBackSoon};
}

absl::Status ReplicaController::Observe(const std::string& key) {
  for (int i = 0; i < kMaxSteps; ++i) {
    ASSIGN_OR_RETURN(std::optional<Loaded> loaded, Load(key));
    if (!loaded.has_value()) break;
    const Step step = NextStep(loaded->view);
    if (step.kind != Kind::kKill && step.kind != Kind::kEnd) break;
    RecordContainers(
        loaded->view.containers,
        loaded->revision.has_value() ? &*loaded->revision : nullptr,
        *loaded->replica().mutable_status());
    const absl::Status status = Execute(*loaded, step).status();
    if (!absl::IsAborted(status)) RETURN_IF_ERROR(status);
  }
  return absl::OkStatus();
}

absl::StatusOr<std::optional<ReplicaController::Loaded>>
ReplicaController::Load(const std::string& key) {
  Loaded loaded;
  ASSIGN_OR_RETURN(loaded.key,
                   store::Key::Parse(absl::StrCat("replica/", key)));
  auto object = store::GetObject(store_, loaded.key);
  if (absl::IsNotFound(object.status())) return std::nullopt;
  if (!object.ok()) return object.status();
  loaded.object = *std::move(object);
  const v1::Replica& replica = loaded.replica();
  const std::string& project = loaded.key.project;

  auto revision = store::GetObject(store_, RevisionKeyOf(replica));
  if (revision.ok()) {
    loaded.revision = std::move(*revision->mutable_revision());
  } else if (!absl::IsNotFound(revision.status())) {
    return revision.status();
  }
  auto service = store::GetObject(
      store_, store::ObjectKey("service", project, replica.spec().service()));
  if (!service.ok() && !absl::IsNotFound(service.status())) {
    return service.status();
  }
  if (service.ok()) loaded.on_change = service->service().spec().on_change();
  ReplicaView& view = loaded.view;
  view.replica = replica;
  view.drain_timeout = DrainTimeout(service.ok() ? service->service().spec()
                                                 : v1::ServiceSpec());
  view.stop_timeout = StopTimeout(loaded.revision.has_value()
                                      ? loaded.revision->template_().stop()
                                      : v1::Stop());
  view.is_out = endpoints_.IsOut(replica.metadata().uid());
  view.active_connections =
      endpoints_.ActiveConnections(replica.metadata().uid());
  view.now = clock_.Now();
  RETURN_IF_ERROR(LoadContainers(loaded));
  return loaded;
}

absl::Status ReplicaController::LoadContainers(Loaded& loaded) {
  std::vector<ContainerView>& views = loaded.view.containers;
  views =
      ContainersOf(loaded.replica(),
                   loaded.revision.has_value() ? &*loaded.revision : nullptr);
  for (ContainerView& view : views) {
    absl::StatusOr<engine::ContainerInfo> info = engine_.Inspect(view.id);
    if (info.ok()) {
      view.info = *std::move(info);
    } else if (!absl::IsNotFound(info.status())) {
      return info.status();
    }
    LoadIntent(loaded.revision.has_value()
                   ? FindContainer(loaded.revision->template_(), view)
                   : nullptr,
               view);
  }
  absl::MutexLock lock(&mu_);
  loaded.view.hooks_are_ours =
      hooked_.contains(loaded.replica().metadata().uid());
  return absl::OkStatus();
}

absl::StatusOr<bool> ReplicaController::Execute(Loaded& loaded,
                                                const Step& step) {
  switch (step.kind) {
    case Kind::kSetState:
      RETURN_IF_ERROR(Enter(loaded, step));
      return true;
    case Kind::kStart:
      return TryStart(loaded, step.targets.at(0));
    case Kind::kRestart:
      RETURN_IF_ERROR(Restart(loaded, step.targets.at(0)));
      return true;
    case Kind::kUpdate:
      RETURN_IF_ERROR(Update(loaded, step.targets.at(0)));
      return true;
    case Kind::kHook:
      RETURN_IF_ERROR(BeginHooks(loaded, step));
      return true;
    case Kind::kSignal:
      RETURN_IF_ERROR(Signal(loaded, step));
      return true;
    case Kind::kKill:
      RETURN_IF_ERROR(Kill(loaded, step));
      return true;
    case Kind::kEnd:
      RETURN_IF_ERROR(End(loaded, step));
      return false;
    case Kind::kWait:
      return false;
  }
  return false;
}

absl::StatusOr<bool> ReplicaController::TryStart(Loaded& loaded, size_t index) {
  const absl::Status started = Start(loaded, index);
  if (started.ok()) return true;
  if (!IsRetryable(started)) {
    Step end;
    end.kind = Kind::kEnd;
    end.state = State::FAILED;
    end.reason = engine::RefusalOf(started);
    if (end.reason.empty()) end.reason = "LaunchFailed";
    end.message = std::string(started.message());
    if (absl::IsInvalidArgument(started)) {
      absl::StrAppend(&end.message,
                      absl::StrContains(started.message(), " of the host: ")
                          ? "; make that path, or correct volumes"
                          : "; correct command, user or workingDir, or use "
                            "another image");
    }
    RecordLaunch(started, loaded.view.containers.at(index),
                 *loaded.replica().mutable_status());
    RETURN_IF_ERROR(Kill(loaded, end));  // what runs already
    RETURN_IF_ERROR(End(loaded, end));
    return false;
  }
  if (loaded.replica().status().message() != started.message()) {
    loaded.replica().mutable_status()->set_message(
        std::string(started.message()));
    RETURN_IF_ERROR(Commit(loaded));
  }
  // ABORTED would mean our own record.
  return absl::IsAborted(started) ? absl::UnavailableError(started.message())
                                  : started;
}

absl::Status ReplicaController::Start(Loaded& loaded, size_t index) {
  const ContainerView& view = loaded.view.containers.at(index);
  const v1::Container* container =
      loaded.revision.has_value()
          ? FindContainer(loaded.revision->template_(), view)
          : nullptr;
  if (container == nullptr) {
    return absl::NotFoundError(
        absl::StrCat("start container ", view.name, ": revision ",
                     loaded.replica().spec().revision(), " does not exist"));
  }
  const absl::Status started =
      launcher_.Start(loaded.replica(), *loaded.revision, *container, view.id)
          .status();
  if (started.ok()) return started;
  // The engine's ids of containers are nothing to the readers of a status.
  absl::Status error(
      started.code(),
      absl::StrReplaceAll(started.message(), {{view.id, view.name}}));
  const std::optional<int> code = engine::ProgramErrorOf(started);
  return code.has_value() ? engine::WithProgramError(error, *code) : error;
}

absl::Status ReplicaController::Restart(Loaded& loaded, size_t index) {
  const ContainerView& view = loaded.view.containers.at(index);
  WithdrawInputs(view.id);
  // The exited one stays for its log; the one before it goes.
  if (view.attempt > 0) {
    RETURN_IF_ERROR(engine_.Remove(ContainerId(
        loaded.replica().metadata().uid(), view.name, view.attempt - 1)));
  }
  for (v1::ContainerStatus& c :
       *loaded.replica().mutable_status()->mutable_containers()) {
    if (c.name() == view.name) c.set_attempt(view.attempt + 2);
  }
  RETURN_IF_ERROR(Commit(loaded));
  Tell(loaded, "SidecarRestarted",
       absl::StrCat("sidecar ", view.name, " of ",
                    loaded.replica().metadata().name(), " ",
                    ExitSentence(view.info->exit), " and is started again"),
       v1::Event::WARNING);
  return absl::OkStatus();
}

absl::Status ReplicaController::Signal(Loaded& loaded, const Step& step) {
  for (size_t i : step.targets) {
    const ContainerView& view = loaded.view.containers.at(i);
    const int signal = loaded.revision.has_value()
                           ? launcher_.StopSignal(*loaded.revision, view.name)
                           : launcher_.StopSignal(v1::Revision(), view.name);
    const absl::Status status = engine_.Signal(view.id, signal);
    if (!status.ok() && !absl::IsNotFound(status) &&
        !absl::IsFailedPrecondition(status)) {
      return status;
    }
    absl::MutexLock lock(&mu_);
    signalled_.insert(view.id);
  }
  return absl::OkStatus();
}

absl::Status ReplicaController::Kill(Loaded& loaded, const Step& step) {
  std::vector<size_t> targets = step.targets;
  if (step.kind == Kind::kEnd) {
    for (size_t i = 0; i < loaded.view.containers.size(); ++i) {
      if (loaded.view.containers[i].Running()) targets.push_back(i);
    }
  }
  for (size_t i : targets) {
    const absl::Status status = engine_.Kill(loaded.view.containers.at(i).id);
    if (!status.ok() && !absl::IsNotFound(status)) return status;
  }
  return absl::OkStatus();
}

absl::Status ReplicaController::Enter(Loaded& loaded, const Step& step) {
  v1::ReplicaStatus& status = *loaded.replica().mutable_status();
  const absl::Time now = clock_.Now();
  status.set_state(step.state);
  status.set_message(step.message);
  SetTime(status.mutable_state_time(), now);
  if (step.state == State::RUNNING) SetTime(status.mutable_start_time(), now);
  std::vector<PlannedEvent> events;
  if (step.state == State::RUNNING) {
    events.push_back(
        {"ReplicaStarted",
         absl::StrCat(loaded.replica().metadata().name(), " runs (revision ",
                      loaded.replica().spec().revision(), ")")});
  }
  return Commit(loaded, events);
}

absl::Status ReplicaController::End(Loaded& loaded, const Step& step) {
  v1::ReplicaStatus& status = *loaded.replica().mutable_status();
  const absl::Time now = clock_.Now();
  absl::Time finish = now;
  std::string message = step.message;
  if (step.culprit.has_value()) {
    const ContainerView& culprit = loaded.view.containers.at(*step.culprit);
    if (culprit.info.has_value()) finish = culprit.info->exit.finish_time;
    // Whoever did what a job is for need not explain why it ended.
    const bool done =
        step.reason == "Completed" && !loaded.replica().spec().job().empty();
    const std::string lines = done ? "" : LastLines(culprit.id);
    if (!lines.empty()) absl::StrAppend(&message, "; last log lines: ", lines);
  }
  status.set_state(step.state);
  status.set_reason(step.reason);
  status.set_message(message);
  // Nobody probes it from now on.
  status.set_ready(false);
  status.clear_ready_time();
  SetTime(status.mutable_state_time(), now);
  SetTime(status.mutable_finish_time(), finish);
  RETURN_IF_ERROR(Commit(loaded));
  for (const ContainerView& c : loaded.view.containers) hooks_.Forget(c.id);
  {
    absl::MutexLock lock(&mu_);
    hooked_.erase(loaded.replica().metadata().uid());
    for (const ContainerView& c : loaded.view.containers) {
      signalled_.erase(c.id);
      refusals_.erase(c.id);
    }
  }
  for (const ContainerView& c : loaded.view.containers) WithdrawInputs(c.id);
  launcher_.Forget(loaded.replica().metadata().uid());
  const std::string& name = loaded.replica().metadata().name();
  if (step.state != State::FAILED && !message.empty()) {
    Tell(loaded, "ReplicaRolledBack",
         absl::StrCat(name, " has stopped: ", message), v1::Event::WARNING);
  } else if (step.state != State::FAILED) {
    Tell(loaded, "ReplicaStopped", absl::StrCat(name, " has stopped"),
         v1::Event::NORMAL);
  } else if (step.reason == "Completed") {
    Tell(loaded, "ReplicaCompleted", absl::StrCat(name, " ended: ", message),
         v1::Event::NORMAL);
  } else {
    Tell(loaded, "ReplicaFailed",
         absl::StrCat(name, " failed (", step.reason, "): ", message),
         v1::Event::WARNING);
  }
  return absl::OkStatus();
}

absl::Status ReplicaController::Commit(
    Loaded& loaded, const std::vector<PlannedEvent>& events) {
  store::Batch batch;
  batch.Put(loaded.key, store::Encode(loaded.object),
            store::RevisionOf(loaded.object));
  EventRecorder::Staged told = events_.Stage(SubjectOf(loaded), events, batch);
  RETURN_IF_ERROR(store_.Commit(batch.NotDurable().Essential()).status());
  told.Committed();
  changed_(loaded.replica());
  return absl::OkStatus();
}

v1::ObjectReference ReplicaController::SubjectOf(const Loaded& loaded) {
  const v1::ReplicaSpec& owner = loaded.object.replica().spec();
  v1::ObjectReference subject;
  subject.set_kind(owner.job().empty() ? "service" : "job");
  subject.set_project(loaded.key.project);
  subject.set_name(owner.job().empty() ? owner.service() : owner.job());
  subject.set_uid(owner.service_uid());
  return subject;
}

void ReplicaController::Tell(const Loaded& loaded, absl::string_view reason,
                             absl::string_view message,
                             v1::Event::Severity severity) {
  events_.Record(SubjectOf(loaded), reason, message, severity);
}

}  // namespace bulwark::scheduler
