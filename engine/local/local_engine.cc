#include "engine/local/local_engine.h"

#include <fcntl.h>
#include <signal.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "base/log.h"
#include "base/status.h"
#include "engine/isolators/isolators.h"
#include "engine/local/journal_reader.h"
#include "engine/local/log_reader.h"
#include "os/files.h"
#include "os/process.h"

namespace bulwark::engine {
namespace {

constexpr absl::Duration kKillTimeout = absl::Seconds(20);

absl::Status NotFound(absl::string_view id) {
  return absl::NotFoundError(absl::StrCat("find container ", id, ": unknown"));
}

}  // namespace

absl::StatusOr<std::unique_ptr<LocalEngine>> LocalEngine::Create(
    LocalEngineConfig config, Clock& clock) {
  ASSIGN_OR_RETURN(std::unique_ptr<Launcher> launcher,
                   Launcher::Create(std::move(config), clock));
  std::unique_ptr<LocalEngine> engine(
      new LocalEngine(std::move(launcher), clock));
  ASSIGN_OR_RETURN(engine->watcher_, Watcher::Create(clock));
  return engine;
}

LocalEngine::~LocalEngine() {
  compressor_.reset();
  // Not reset(): callbacks that still run use it.
  if (watcher_ != nullptr) watcher_->Stop();
}

std::string LocalEngine::LogPath(const ContainerRecord& record) const {
  const bool files = record.log_driver == LogDriver::kLocal ||
                     record.log_driver == LogDriver::kJsonFile;
  return files ? launcher_->Dirs(record.id).state : "";
}

absl::StatusOr<LocalEngine::ContainerPtr> LocalEngine::Find(
    absl::string_view id) {
  ContainerPtr container;
  {
    absl::MutexLock lock(&mu_);
    const auto it = containers_.find(std::string(id));
    if (it == containers_.end()) return NotFound(id);
    container = it->second;
  }
  absl::MutexLock lock(&container->mu);
  if (container->starting || container->removing) return NotFound(id);
  return container;
}

bool LocalEngine::IsPaused(const ContainerPtr& container) {
  absl::MutexLock lock(&container->mu);
  return container->info.paused;
}

absl::StatusOr<UniqueFd> LocalEngine::InitOf(const ContainerPtr& container) {
  absl::MutexLock lock(&container->mu);
  if (container->Exited() || !container->init_pidfd.ok()) {
    return absl::FailedPreconditionError(absl::StrCat(
        "reach container ", container->record.id, ": it has exited"));
  }
  UniqueFd copy(fcntl(container->init_pidfd.get(), F_DUPFD_CLOEXEC, 0));
  if (!copy.ok()) return ErrnoStatus("duplicate", "process descriptor");
  return copy;
}

absl::StatusOr<ContainerInfo> LocalEngine::Start(const ContainerSpec& wanted) {
  RETURN_IF_ERROR_CTX(ValidateSpec(wanted),
                      absl::StrCat("start container ", wanted.id));
  ContainerSpec spec = wanted;
  spec.layers.insert(spec.layers.begin(), launcher_->MountPoints());
  ContainerRecord record = {
      spec.id,        spec.labels, launcher_->boot_id(), spec.upper_dir,
      spec.resources, spec.ids,    spec.log.driver,      spec.layers};
  auto container = std::make_shared<Container>(std::move(record));
  {
    absl::ReleasableMutexLock lock(&mu_);
    const auto [it, is_new] = containers_.emplace(spec.id, container);
    if (!is_new) {
      container = it->second;
      lock.Release();
      absl::MutexLock wait(&container->mu);
      container->mu.Await(
          absl::Condition(container.get(), &Container::Started));
      if (!container->failure.ok()) return container->failure;
      if (container->removing) {
        return absl::UnavailableError(
            absl::StrCat("start container ", spec.id, ": it is being removed"));
      }
      return container->info;
    }
  }

  absl::StatusOr<Launched> launched =
      launcher_->Launch(spec, container->record);
  absl::Status status = launched.status();
  if (status.ok()) {
    status = Adopt(container, *std::move(launched));
    if (!status.ok()) Abandon(container);
  }
  if (!status.ok()) {
    status = Annotate(status, absl::StrCat("start container ", spec.id));
    {
      absl::MutexLock lock(&mu_);
      containers_.erase(spec.id);
    }
    absl::MutexLock lock(&container->mu);
    container->failure = status;
    container->starting = false;
    return status;
  }
  absl::MutexLock lock(&container->mu);
  return container->info;
}

absl::Status LocalEngine::Adopt(const ContainerPtr& container,
                                Launched launched) {
  const int shim = launched.shim_pidfd.get();
  {
    absl::MutexLock lock(&container->mu);
    container->info.id = container->record.id;
    container->info.labels = container->record.labels;
    container->info.resources = container->record.resources;
    container->info.ids = container->record.ids;
    container->info.log_path = LogPath(container->record);
    container->info.pid = launched.init.pid;
    container->info.start_ticks = launched.init.start_ticks;
    container->info.start_time = launched.start_time;
    container->shim_pidfd = DuplicateHigh(shim);
    if (!container->shim_pidfd.ok()) {
      container->shim_pidfd = std::move(launched.shim_pidfd);
    }
    if (launched.init_pidfd.ok()) {
      container->init_pidfd = DuplicateHigh(launched.init_pidfd.get());
    }
  }
  // Not the other way round: a container that nobody watches never exits.
  RETURN_IF_ERROR(
      watcher_->Add(shim, [this, container] { OnShimEnd(container); }));
  RETURN_IF_ERROR(WatchInit(container));
  absl::MutexLock lock(&container->mu);
  container->starting = false;
  return absl::OkStatus();
}

// Undoes a launch that cannot be watched.
void LocalEngine::Abandon(const ContainerPtr& container) {
  const absl::Status status =
      launcher_->Erase(container->record.id, &container->record);
  if (!status.ok()) {
    LOG_WARN("cannot undo launch",
             {{"id", container->record.id}, {"error", status}});
  }
  absl::MutexLock lock(&container->mu);
  os::AwaitEnd(container->shim_pidfd.get(), kKillTimeout);
  os::ReapChild(container->shim_pidfd.get());
}

// The shim's end is the news; what happened stands in its exit record.
void LocalEngine::OnShimEnd(const ContainerPtr& container) {
  const ContainerDirs dirs = launcher_->Dirs(container->record.id);
  absl::StatusOr<ExitRecord> exit = ReadExit(dirs);
  if (!exit.ok()) exit = FinishDeadShim(container, "its shim was killed");
  {
    absl::MutexLock lock(&container->mu);
    os::ReapChild(container->shim_pidfd.get());
    container->info.state = ContainerState::kExited;
    container->info.exit = exit->exit;
    container->info.paused = false;
    container->shim_pidfd.Reset();
    container->init_pidfd.Reset();
  }
  Notify(container->record.id);
}

// Ends what a dead shim left running and records that nobody saw the exit.
ExitRecord LocalEngine::FinishDeadShim(const ContainerPtr& container,
                                       const std::string& reason) {
  const std::string& id = container->record.id;
  LOG_WARN("container lost", {{"id", id}, {"reason", reason}});
  const absl::Status killed = launcher_->cgroups().Kill(id, kKillTimeout);
  if (!killed.ok()) {
    LOG_ERROR("cannot end lost container", {{"id", id}, {"error", killed}});
  }
  ExitRecord record;
  record.exit.code = 255;
  record.exit.unknown_reason = reason;
  record.exit.finish_time = clock_.Now();
  {
    absl::MutexLock lock(&container->mu);
    record.start_time = container->info.start_time;
    record.pid = container->info.pid;
  }
  const ContainerDirs dirs = launcher_->Dirs(id);
  // Its shim may not have come to that: without a record there is no exit.
  const UniqueFd start(open(dirs.Record().c_str(), O_RDONLY | O_CLOEXEC));
  if (start.ok()) fsync(start.get());
  const absl::Status written =
      os::WriteFileDurably(dirs.Exit(), Encode(record));
  if (!written.ok()) {
    LOG_ERROR("cannot record exit", {{"id", id}, {"error", written}});
  }
  return record;
}

void LocalEngine::Notify(absl::string_view id) {
  EventSink sink;
  {
    absl::MutexLock lock(&mu_);
    sink = sink_;
  }
  if (sink) sink(id);
}

absl::Status LocalEngine::Signal(absl::string_view id, int signal) {
  ASSIGN_OR_RETURN(const ContainerPtr container, Find(id));
  if (signal <= 0 || signal > 64) {
    return absl::InvalidArgumentError(absl::StrCat(
        "signal container ", id, ": ", signal, " is not a signal"));
  }
  ASSIGN_OR_RETURN(const UniqueFd init, InitOf(container));
  const absl::Status status = os::SendSignal(init.get(), signal);
  // Frozen, it would get it some day.
  if (status.ok() && IsPaused(container)) {
    const absl::Status resumed = SetPaused(id, false);
    if (!absl::IsFailedPrecondition(resumed)) return resumed;
  }
  if (absl::IsNotFound(status)) {
    return absl::FailedPreconditionError(
        absl::StrCat("signal container ", id, ": it has exited"));
  }
  return Annotate(status, absl::StrCat("signal container ", id));
}

absl::Status LocalEngine::Kill(absl::string_view id) {
  ASSIGN_OR_RETURN(const ContainerPtr container, Find(id));
  {
    absl::MutexLock lock(&container->mu);
    if (container->Exited()) return absl::OkStatus();
  }
  RETURN_IF_ERROR_CTX(launcher_->cgroups().Kill(id, kKillTimeout),
                      absl::StrCat("kill container ", id));
  // Now its shim records the exit, or is found to hang (hung_shim.cc).
  absl::MutexLock lock(&container->mu);
  const absl::Condition exited(container.get(), &Container::Exited);
  if (clock_.AwaitUntil(container->mu, exited,
                        clock_.Steady() + kKillTimeout)) {
    return absl::OkStatus();
  }
  return absl::UnavailableError(absl::StrCat(
      "kill container ", id, ": its processes are gone, its shim hangs"));
}

absl::Status LocalEngine::Remove(absl::string_view id) {
  absl::StatusOr<ContainerPtr> found = Find(id);
  if (absl::IsNotFound(found.status())) return absl::OkStatus();
  const ContainerPtr container = *found;
  {
    absl::MutexLock lock(&container->mu);
    if (!container->Exited()) {
      return absl::FailedPreconditionError(
          absl::StrCat("remove container ", id, ": it is running"));
    }
    if (container->removing) return absl::OkStatus();
    container->removing = true;
  }
  const absl::Status status = launcher_->Erase(id, &container->record);
  if (!status.ok()) {
    absl::MutexLock lock(&container->mu);
    container->removing = false;  // it can be tried again
    return Annotate(status, absl::StrCat("remove container ", id));
  }
  absl::MutexLock lock(&mu_);
  containers_.erase(std::string(id));
  return absl::OkStatus();
}

// First the kernel, which may refuse, then the record: a crash in between
// leaves a record of older limits, which are then set once more.
absl::Status LocalEngine::Update(absl::string_view id,
                                 const Resources& resources) {
  ASSIGN_OR_RETURN(const ContainerPtr container, Find(id));
  absl::MutexLock update(&container->update_mu);
  {
    absl::MutexLock lock(&container->mu);
    if (container->Exited()) {
      return absl::FailedPreconditionError(
          absl::StrCat("update container ", id, ": it has exited"));
    }
  }
  RETURN_IF_ERROR_CTX(
      launcher_->cgroups().Update(
          id, {resources.cpu_limit_millicores, resources.cpu_request_millicores,
               resources.memory_limit_bytes, resources.pids_limit}),
      absl::StrCat("update container ", id));
  ContainerRecord record = container->record;
  record.resources = resources;
  RETURN_IF_ERROR(
      os::WriteFileDurably(launcher_->Dirs(id).Record(), Encode(record)));
  absl::MutexLock lock(&container->mu);
  container->info.resources = resources;
  return absl::OkStatus();
}

absl::StatusOr<ContainerInfo> LocalEngine::Inspect(absl::string_view id) {
  ASSIGN_OR_RETURN(const ContainerPtr container, Find(id));
  absl::MutexLock lock(&container->mu);
  return container->info;
}

std::vector<ContainerInfo> LocalEngine::List() {
  std::vector<ContainerPtr> all;
  {
    absl::MutexLock lock(&mu_);
    for (const auto& [id, container] : containers_) all.push_back(container);
  }
  std::vector<ContainerInfo> infos;
  for (const ContainerPtr& container : all) {
    absl::MutexLock lock(&container->mu);
    if (!container->starting && !container->removing) {
      infos.push_back(container->info);
    }
  }
  return infos;
}

absl::StatusOr<ContainerStats> LocalEngine::Stats(absl::string_view id) {
  ASSIGN_OR_RETURN(const ContainerPtr container, Find(id));
  absl::StatusOr<os::CgroupStats> found =
      launcher_->cgroups().Stats(container->record.id);
  // A container of an earlier boot has no group any more.
  if (absl::IsNotFound(found.status())) return ContainerStats();
  if (!found.ok()) return found.status();
  const os::CgroupStats& from = *found;
  ContainerStats stats;
  stats.cpu_usage = from.cpu_usage;
  stats.cpu_throttled = from.cpu_throttled;
  stats.cpu_limit_millicores = from.cpu_limit_millicores;
  stats.memory_bytes = from.memory_bytes;
  stats.memory_limit_bytes = from.memory_limit_bytes;
  stats.io_read_bytes = from.io_read_bytes;
  stats.io_write_bytes = from.io_write_bytes;
  stats.pids = from.pids;
  stats.oom_kills = from.oom_kills;
  stats.cpu_stalled = from.cpu_stalled;
  stats.memory_stalled = from.memory_stalled;
  stats.io_stalled = from.io_stalled;
  return stats;
}

absl::StatusOr<std::unique_ptr<ExecSession>> LocalEngine::Exec(
    absl::string_view id, const ExecSpec& spec) {
  ASSIGN_OR_RETURN(const ContainerPtr container, Find(id));
  ASSIGN_OR_RETURN(const UniqueFd init, InitOf(container));
  if (IsPaused(container)) {
    return absl::FailedPreconditionError(
        absl::StrCat("exec in container ", id, ": it is paused"));
  }
  ASSIGN_OR_RETURN(const ProcessRecord process,
                   ReadProcess(launcher_->Dirs(id)));
  if (spec.detach && spec.terminal) {
    return absl::InvalidArgumentError(absl::StrCat(
        "exec in container ", id,
        ": what is left alone has no terminal, nobody would read it"));
  }
  UniqueFd alone;
  absl::StatusOr<std::unique_ptr<ExecSession>> session =
      launcher_->Exec(id, init.get(), process, spec, &alone);
  if (!session.ok()) {
    return Annotate(session.status(), absl::StrCat("exec in container ", id));
  }
  if (alone.ok()) {
    const int shim = alone.get();
    auto reaped = std::make_shared<UniqueFd>(std::move(alone));
    const absl::Status watched =
        watcher_->Add(shim, [reaped] { os::ReapChild(reaped->get()); });
    // It runs; what is lost is the end of its entry among the processes.
    if (!watched.ok()) {
      LOG_WARN("cannot watch a detached command",
               {{"id", id}, {"error", watched}});
    }
  }
  return session;
}

absl::StatusOr<std::unique_ptr<LogReader>> LocalEngine::Logs(
    absl::string_view id, const LogOptions& options) {
  ASSIGN_OR_RETURN(const ContainerPtr container, Find(id));
  const auto has_exited = [container] {
    absl::MutexLock lock(&container->mu);
    return container->Exited();
  };
  switch (container->record.log_driver) {
    case LogDriver::kNone:
      return absl::FailedPreconditionError(absl::StrCat(
          "read log of ", id,
          ": its log driver is none, so nothing is kept; set `log: local`"));
    case LogDriver::kJournald:
      return OpenJournal(std::string(id), options, has_exited, clock_);
    default:
      return OpenLog(launcher_->Dirs(id).state, options, has_exited, clock_);
  }
}

}  // namespace bulwark::engine
