// Finding the containers that an earlier process of ours left.
#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <set>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/log.h"
#include "base/status.h"
#include "engine/local/local_engine.h"
#include "engine/local/shim_client.h"
#include "os/files.h"
#include "os/process.h"

namespace bulwark::engine {
namespace {

// One hung shim delays its own container's recovery, and nobody else's. All
// that run delay the daemon no longer together either, but for the shortest
// ping and a poll of each.
constexpr absl::Duration kBudget = absl::Seconds(2);
constexpr absl::Duration kShortestPing = absl::Milliseconds(100);
constexpr absl::Duration kPoll = absl::Milliseconds(5);
// For a shim to end that has closed its socket, or was killed.
constexpr absl::Duration kLastMoment = absl::Milliseconds(100);
constexpr size_t kThreads = 16;

}  // namespace

absl::Status LocalEngine::Recover(EventSink sink) {
  {
    absl::MutexLock lock(&mu_);
    sink_ = std::move(sink);
  }
  ASSIGN_OR_RETURN(const std::vector<std::string> ids,
                   os::ListDir(launcher_->ContainersOfState()));
  RETURN_IF_ERROR(CheckKnown(ids));
  RETURN_IF_ERROR(CheckVersions(ids));
  const absl::Duration pings_end = clock_.Steady() + kBudget;
  std::atomic<size_t> next = 0;
  std::vector<std::thread> threads;
  for (size_t i = 0; i < std::min(kThreads, ids.size()); ++i) {
    threads.emplace_back([&] {
      for (size_t at = next++; at < ids.size(); at = next++) {
        RecoverOne(ids[at], pings_end);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EraseOrphans(ids);
  compressor_ = std::make_unique<LogCompressor>(
      launcher_->ContainersOfState(),
      launcher_->config().state_dir + "/log.gz.part",
      launcher_->config().compress_every);
  return absl::OkStatus();
}

// A record and a shim's lock are made before a program runs, and go after all
// has ended. What runs without them was started from other directories.
absl::Status LocalEngine::CheckKnown(const std::vector<std::string>& records) {
  const LocalEngineConfig& config = launcher_->config();
  if (config.erase_unknown) return absl::OkStatus();
  std::vector<std::string> unknown;
  for (const std::string& name : launcher_->cgroups().List()) {
    ASSIGN_OR_RETURN(const bool runs, launcher_->cgroups().IsPopulated(name));
    if (!runs) continue;
    const bool known =
        std::find(records.begin(), records.end(), name) != records.end() &&
        access(launcher_->Dirs(name).Lock().c_str(), F_OK) == 0;
    if (known) return absl::OkStatus();
    unknown.push_back(name);
  }
  if (unknown.empty()) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrCat(
      "take over the containers of instance ", config.instance, ": ",
      unknown.size(), " run (", unknown.front(),
      unknown.size() > 1 ? " and others" : "", "), but ", config.state_dir,
      " and ", config.runtime_dir,
      " know none of them; nothing was touched. Are these the directories that "
      "they were started with, and are their disks mounted?"));
}

// What a later version has written is not half made: it runs, and this program
// would end it.
absl::Status LocalEngine::CheckVersions(
    const std::vector<std::string>& records) {
  for (const std::string& id : records) {
    const ContainerDirs dirs = launcher_->Dirs(id);
    for (const absl::Status& status :
         {ReadContainer(dirs).status(), ReadState(dirs).status(),
          ReadExit(dirs).status()}) {
      if (!absl::IsUnimplemented(status)) continue;
      return absl::FailedPreconditionError(absl::StrCat(
          "take over container ", id, ": ", status.message(),
          "; nothing was touched. A later bulwarkd started it: run that "
          "version again, or a later one"));
    }
  }
  return absl::OkStatus();
}

void LocalEngine::RecoverOne(const std::string& id, absl::Duration pings_end) {
  const ContainerDirs dirs = launcher_->Dirs(id);
  const absl::StatusOr<ContainerRecord> record = ReadContainer(dirs);
  if (!record.ok()) {
    AwaitCutOffLaunch(dirs);
    EraseHalfMade(id, nullptr, record.status().message());
    return;
  }
  auto container = std::make_shared<Container>(*record);
  const absl::StatusOr<ExitRecord> exit = ReadExit(dirs);
  if (exit.ok()) {
    AddExited(container, *exit);
  } else if (record->boot_id != launcher_->boot_id()) {
    AddExited(container, FinishDeadShim(container, "the host was rebooted"));
  } else {
    RecoverRunning(id, *record, pings_end);
  }
}

// Kills the shim that says it is at work there, and sees it end unless its disk
// holds it.
void LocalEngine::KillShim(const ContainerDirs& dirs) {
  const absl::StatusOr<StateRecord> state = ReadState(dirs);
  if (!state.ok()) return;
  absl::StatusOr<UniqueFd> shim = os::OpenPidfd(state->shim);
  if (!shim.ok()) return;
  os::SendSignal(shim->get(), SIGKILL).IgnoreError();
  os::AwaitEnd(shim->get(), kLastMoment);
}

// A launch that nobody will let go on comes to its end by itself. Until then
// its shim writes to those directories, by their paths.
void LocalEngine::AwaitCutOffLaunch(const ContainerDirs& dirs) {
  const UniqueFd lock(open(dirs.Lock().c_str(), O_RDWR | O_CLOEXEC));
  if (!lock.ok()) return;  // no shim was given an order
  const absl::Duration deadline = clock_.Steady() + kBudget;
  while (flock(lock.get(), LOCK_EX | LOCK_NB) != 0) {
    if (clock_.Steady() >= deadline) return KillShim(dirs);
    clock_.Sleep(kPoll);
  }
}

void LocalEngine::RecoverRunning(const std::string& id,
                                 const ContainerRecord& record,
                                 absl::Duration pings_end) {
  const ContainerDirs dirs = launcher_->Dirs(id);
  auto container = std::make_shared<Container>(record);
  UniqueFd lock(open(dirs.Lock().c_str(), O_RDWR | O_CLOEXEC));
  if (!lock.ok()) {
    EraseHalfMade(id, &record, "it has no shim yet");
    return;
  }
  const absl::Duration deadline = clock_.Steady() + kBudget;
  for (;;) {
    // The last try comes after that: who was asked until then may have ended.
    const bool last = clock_.Steady() >= deadline;
    if (TryRecoverRunning(container, lock.get(), pings_end)) return;
    if (last) break;
    clock_.Sleep(kPoll);
  }
  KillShim(dirs);
  RecoverDead(container, "its launch does not come to an end");
}

// Whatever has run stays, with what it wrote.
void LocalEngine::RecoverDead(const ContainerPtr& container,
                              absl::string_view half_made) {
  const ContainerDirs dirs = launcher_->Dirs(container->record.id);
  const absl::StatusOr<StateRecord> state = ReadState(dirs);
  const absl::StatusOr<ExitRecord> exit = ReadExit(dirs);
  if (exit.ok()) {
    AddExited(container, *exit);
  } else if (state.ok() && state->running) {
    {
      absl::MutexLock info(&container->mu);
      container->info.start_time = state->start_time;
      container->info.pid = state->init.pid;
    }
    AddExited(container, FinishDeadShim(container, "its shim was killed"));
  } else {
    EraseHalfMade(container->record.id, &container->record, half_made);
  }
}

// Whether this shim, which did not answer, is about to end.
bool LocalEngine::EndsNow(int shim, absl::Duration pings_end) {
  const absl::Duration now = clock_.Steady();
  const absl::Duration end =
      std::clamp(pings_end, now + kPoll, now + kLastMoment);
  while (!os::AwaitEnd(shim, absl::ZeroDuration())) {
    if (clock_.Steady() >= end) return false;
    clock_.Sleep(kPoll);
  }
  return true;
}

bool LocalEngine::TryRecoverRunning(const ContainerPtr& container, int lock,
                                    absl::Duration pings_end) {
  const ContainerDirs dirs = launcher_->Dirs(container->record.id);
  if (flock(lock, LOCK_EX | LOCK_NB) == 0) {
    // A dead shim writes nothing any more.
    RecoverDead(container, "its launch was cut off");
    return true;
  }
  const absl::StatusOr<StateRecord> state = ReadState(dirs);
  const bool running = state.ok() && state->running;
  if (!running) return false;
  Launched launched;
  absl::StatusOr<UniqueFd> shim = os::OpenPidfd(state->shim);
  if (!shim.ok()) return false;  // it ends just now
  const absl::Status ping =
      PingShim(dirs.runtime,
               std::max(kShortestPing, pings_end - clock_.Steady()), clock_);
  if (!ping.ok()) {
    // One whose launch fails just now is alive and says that it runs until it
    // is gone.
    if (EndsNow(shim->get(), pings_end)) return false;
    // Its container is served all the same: signals and kills need no shim.
    // What it prints does, and a stopped shim only waits for this.
    LOG_WARN("shim hangs, telling it to go on",
             {{"id", container->record.id}, {"error", ping}});
    os::SendSignal(shim->get(), SIGCONT).IgnoreError();
  }
  launched.shim_pidfd = *std::move(shim);
  launched.init = state->init;
  launched.start_time = state->start_time;
  absl::StatusOr<UniqueFd> init = os::OpenPidfd(state->init);
  if (init.ok()) launched.init_pidfd = *std::move(init);
  Insert(container);
  RecoverPause(*container);
  const absl::Status adopted = Adopt(container, std::move(launched));
  if (!adopted.ok()) {
    LOG_ERROR("cannot watch container",
              {{"id", container->record.id}, {"error", adopted}});
  }
  return true;
}

void LocalEngine::AddExited(const ContainerPtr& container,
                            const ExitRecord& exit) {
  {
    absl::MutexLock lock(&container->mu);
    container->info.id = container->record.id;
    container->info.labels = container->record.labels;
    container->info.resources = container->record.resources;
    container->info.ids = container->record.ids;
    container->info.log_path = LogPath(container->record);
    container->info.state = ContainerState::kExited;
    container->info.pid = exit.pid;
    container->info.start_time = exit.start_time;
    container->info.exit = exit.exit;
    container->starting = false;
  }
  Insert(container);
}

void LocalEngine::Insert(const ContainerPtr& container) {
  absl::MutexLock lock(&mu_);
  containers_[container->record.id] = container;
}

void LocalEngine::EraseHalfMade(const std::string& id,
                                const ContainerRecord* record,
                                absl::string_view why) {
  const absl::Status status = launcher_->Erase(id, record);
  LOG_INFO("removed a half-made container", {{"id", id}, {"reason", why}});
  if (!status.ok()) {
    LOG_ERROR("cannot remove half-made container",
              {{"id", id}, {"error", status}});
  }
}

// Cgroups and runtime directories without a durable directory.
void LocalEngine::EraseOrphans(const std::vector<std::string>& known) {
  std::set<std::string> names = launcher_->cgroups().List();
  for (const std::string& name : os::ListDir(launcher_->ContainersOfRuntime())
                                     .value_or(std::vector<std::string>())) {
    names.insert(name);
  }
  for (const std::string& id : known) names.erase(id);
  for (const std::string& name : names) {
    EraseHalfMade(name, nullptr, "it has no record");
  }
}

}  // namespace bulwark::engine
