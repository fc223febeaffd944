// The engine on this machine's kernel.
//
// Each container has a bulwark-shim of its own, which outlives us; we watch the
// shims and read what they recorded. If a shim is killed, the container's
// processes run on until we notice (at once, or at the next Recover()); we then
// kill what is left and report the container as exited with an unknown_reason:
// without its shim nobody would read its output or learn its exit status.
#ifndef ENGINE_LOCAL_LOCAL_ENGINE_H_
#define ENGINE_LOCAL_LOCAL_ENGINE_H_

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "engine/container_access.h"
#include "engine/container_files.h"
#include "engine/engine.h"
#include "engine/local/launcher.h"
#include "engine/local/log_compressor.h"
#include "engine/local/processes.h"
#include "engine/local/watcher.h"

namespace bulwark::engine {

class LocalEngine final : public Engine,
                          public ContainerAccess,
                          public ContainerFiles {
 public:
  // Needs root and the version 2 cgroup hierarchy: FAILED_PRECONDITION or
  // PERMISSION_DENIED says what is missing. `clock` outlives the engine. One
  // engine at a time may own the configuration's directories.
  static absl::StatusOr<std::unique_ptr<LocalEngine>> Create(
      LocalEngineConfig config, Clock& clock);

  // Stops watching; touches no container.
  ~LocalEngine() override;

  absl::Status Recover(EventSink sink) override;
  absl::StatusOr<ContainerInfo> Start(const ContainerSpec& spec) override;
  absl::Status Signal(absl::string_view id, int signal) override;
  absl::Status Kill(absl::string_view id) override;
  absl::Status Remove(absl::string_view id) override;
  absl::Status Update(absl::string_view id,
                      const Resources& resources) override;
  absl::StatusOr<ContainerInfo> Inspect(absl::string_view id) override;
  std::vector<ContainerInfo> List() override;
  absl::StatusOr<ContainerStats> Stats(absl::string_view id) override;
  absl::StatusOr<std::unique_ptr<ExecSession>> Exec(
      absl::string_view id, const ExecSpec& spec) override;
  absl::StatusOr<std::unique_ptr<LogReader>> Logs(
      absl::string_view id, const LogOptions& options) override;

  // access.cc
  absl::StatusOr<std::unique_ptr<AttachSession>> Attach(
      absl::string_view id, const AttachOptions& options) override;
  absl::StatusOr<std::vector<ContainerProcess>> Processes(
      absl::string_view id) override;
  absl::Status SetPaused(absl::string_view id, bool paused) override;
  absl::StatusOr<std::unique_ptr<Standstill>> HoldStill(
      absl::string_view id) override;

  // files.cc
  absl::Status CopyFrom(absl::string_view id, const std::string& path,
                        bool follow_link, const TarSink& sink) override;
  absl::StatusOr<int64_t> CopyTo(absl::string_view id, const std::string& path,
                                 bool keep_ids,
                                 const TarSource& source) override;
  absl::Status Export(absl::string_view id, const TarSink& sink) override;
  absl::StatusOr<std::vector<FileChange>> Diff(absl::string_view id) override;
  absl::StatusOr<std::string> WritableLayer(absl::string_view id) override;

 private:
  struct Container {
    explicit Container(ContainerRecord r) : record(std::move(r)) {}

    const ContainerRecord record;
    // Held, on purpose, over the kernel and the disk: of two updates one comes
    // after the other in both.
    absl::Mutex update_mu;
    absl::Mutex mu;
    bool starting ABSL_GUARDED_BY(mu) = true;
    bool removing ABSL_GUARDED_BY(mu) = false;
    absl::Status failure ABSL_GUARDED_BY(mu);  // of the start
    ContainerInfo info ABSL_GUARDED_BY(mu);
    UniqueFd shim_pidfd ABSL_GUARDED_BY(mu);
    UniqueFd init_pidfd ABSL_GUARDED_BY(mu);
    bool pause_stays ABSL_GUARDED_BY(mu) = false;  // SetPaused()
    int holds ABSL_GUARDED_BY(mu) = 0;             // of HoldStill()

    bool Started() const ABSL_SHARED_LOCKS_REQUIRED(mu) { return !starting; }
    bool Exited() const ABSL_SHARED_LOCKS_REQUIRED(mu) {
      return info.state == ContainerState::kExited;
    }
  };
  using ContainerPtr = std::shared_ptr<Container>;

  LocalEngine(std::unique_ptr<Launcher> launcher, Clock& clock)
      : launcher_(std::move(launcher)), clock_(clock) {}

  // Where the files of its log are; empty if there are none.
  std::string LogPath(const ContainerRecord& record) const;
  // The started container; NOT_FOUND.
  absl::StatusOr<ContainerPtr> Find(absl::string_view id);
  // A duplicate of the init's pidfd; FAILED_PRECONDITION if it exited.
  absl::StatusOr<UniqueFd> InitOf(const ContainerPtr& container);
  // A container's root, from outside of it.
  struct Inside {
    UniqueFd root;  // O_PATH
    std::vector<IdExtent> uids, gids;
    std::string cwd;
  };
  absl::StatusOr<Inside> Enter(absl::string_view id);
  // The same of one that has exited, read-only; or that runs.
  absl::StatusOr<Inside> EnterAny(absl::string_view id);
  std::string UpperOf(const ContainerRecord& record) const;
  static bool IsPaused(const ContainerPtr& container);
  // access.cc
  class LocalStandstill;
  absl::Status Freeze(Container& container, bool frozen, const char* verb)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(container.update_mu);
  absl::Status EndStandstill(Container& container);
  void RecoverPause(Container& container);
  absl::Status Adopt(const ContainerPtr& container, Launched launched);
  void Abandon(const ContainerPtr& container);
  void OnShimEnd(const ContainerPtr& container);
  ExitRecord FinishDeadShim(const ContainerPtr& container,
                            const std::string& reason);
  void Notify(absl::string_view id);

  // hung_shim.cc
  absl::Status WatchInit(const ContainerPtr& container);
  void Urge(const ContainerPtr& container, int attempt);

  // recover.cc
  absl::Status CheckKnown(const std::vector<std::string>& records);
  absl::Status CheckVersions(const std::vector<std::string>& records);
  // `pings_end`: when shims that do not answer have been waited for.
  void RecoverOne(const std::string& id, absl::Duration pings_end);
  void KillShim(const ContainerDirs& dirs);
  void AwaitCutOffLaunch(const ContainerDirs& dirs);
  void RecoverRunning(const std::string& id, const ContainerRecord& record,
                      absl::Duration pings_end);
  // Of one without a shim. `half_made`: why it is erased if it never ran.
  void RecoverDead(const ContainerPtr& container, absl::string_view half_made);
  bool EndsNow(int shim, absl::Duration pings_end);
  // True once the container's fate is known and noted.
  bool TryRecoverRunning(const ContainerPtr& container, int lock,
                         absl::Duration pings_end);
  void AddExited(const ContainerPtr& container, const ExitRecord& exit);
  void Insert(const ContainerPtr& container);
  void EraseHalfMade(const std::string& id, const ContainerRecord* record,
                     absl::string_view why);
  void EraseOrphans(const std::vector<std::string>& known);

  const std::unique_ptr<Launcher> launcher_;
  Clock& clock_;
  absl::Mutex mu_;
  EventSink sink_ ABSL_GUARDED_BY(mu_);
  std::map<std::string, ContainerPtr> containers_ ABSL_GUARDED_BY(mu_);
  std::unique_ptr<LogCompressor> compressor_;  // from Recover() on
  std::unique_ptr<Watcher> watcher_;           // last: its thread uses the rest
};

}  // namespace bulwark::engine

#endif  // ENGINE_LOCAL_LOCAL_ENGINE_H_
