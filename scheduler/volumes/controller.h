// Makes declared volumes, says how they do, and finishes what is done to them.
#ifndef SCHEDULER_VOLUMES_CONTROLLER_H_
#define SCHEDULER_VOLUMES_CONTROLLER_H_

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "base/clock.h"
#include "base/entropy.h"
#include "proto/bulwark/v1/api.pb.h"
#include "proto/bulwark/v1/objects.pb.h"
#include "scheduler/control/informer.h"
#include "scheduler/control/runner.h"
#include "scheduler/events.h"
#include "scheduler/volumes/records.h"
#include "store/store.h"
#include "volumes/backup.h"
#include "volumes/volume.h"

namespace bulwark::scheduler {

struct VolumePorts {
  store::MetadataStore& store;
  volumes::Volumes& volumes;
  volumes::Backups& backups;
  Clock& clock;
  Entropy& entropy;
  EventRecorder& events;
  // Plans the service "PROJECT/NAME" anew. Must not block.
  std::function<void(const std::string& service)> service_changed;
  // The same of the job "PROJECT/NAME".
  std::function<void(const std::string& job)> job_changed;
  // A repository's password: the value of that secret. For whom it is read goes
  // to the audit log.
  std::function<absl::StatusOr<SecretText>(const std::string& project,
                                           const std::string& secret,
                                           const v1::Identity& reader)>
      password;
};

// The one writer of VolumeStatus. Volumes are made ahead of their first
// container, grown when a larger size is declared, measured, and destroyed when
// they are being deleted and no container has them any more.
//
// A restore prepares the new content first; then it holds the volume: its
// services and the executions of its jobs end (the proxy holds new
// connections), the contents are swapped, and they start again. Each step is
// recorded before it is taken, so that a restore goes on after a crash.
// Thread-safe; Start() and Stop() once each.
class VolumeController {
 public:
  // False: nobody waits any more. An empty message only asks.
  using Progress = std::function<bool(const v1::VolumeProgress&)>;

  // The name of a snapshot of volume `uid` that bulwarkd makes for its own
  // work. While this object lives it is not taken for one that an earlier
  // process left, and the volume is not removed.
  class OwnName {
   public:
    OwnName(VolumeController& controller, const std::string& uid,
            absl::string_view purpose);
    OwnName(const OwnName&) = delete;
    OwnName& operator=(const OwnName&) = delete;
    ~OwnName();
    const std::string& name() const { return name_; }

   private:
    VolumeController& controller_;
    const std::string name_;
  };

  explicit VolumeController(VolumePorts ports);
  ~VolumeController();  // stops

  absl::Status Start();
  // Ends copies and whoever waits for work, so that nobody holds up the end of
  // the process. What was begun goes on after the next start.
  void Interrupt();
  void Stop();

  // One step of the volume "PROJECT/NAME"; for tests.
  absl::StatusOr<Result> Reconcile(const std::string& key);

  // Records new work, and begins it. FAILED_PRECONDITION if something is being
  // done to the volume already.
  absl::Status Begin(StoredWork work);
  // Waits for the end of that work, and returns how it ended. It goes on when
  // `progress` says that nobody waits any more (CANCELLED).
  absl::Status Await(const std::string& token, const Progress& progress);

  // Changes the status of that very volume.
  absl::Status UpdateStatus(
      const store::Key& key, const std::string& uid,
      const std::function<void(v1::VolumeStatus&)>& change);
  void Tell(const v1::Volume& volume, const char* reason,
            const std::string& message,
            v1::Event::Severity severity = v1::Event::NORMAL);
  bool stopping() const;

 private:
  struct Waiter {
    std::string status;
    std::optional<absl::Status> result;
  };

  // Reconciling.
  absl::StatusOr<Result> ReconcileVolume(v1::Object object);
  absl::StatusOr<Result> Delete(const v1::Object& object);
  absl::Status Make(v1::Object& object, v1::VolumeStatus& status,
                    absl::Duration& next);
  absl::StatusOr<bool> IsPattern(const v1::Volume& volume);
  absl::Status Measure(const v1::Volume& volume, v1::VolumeStatus& status,
                       absl::Duration& next);
  absl::Status Sweep(const v1::Volume& volume);
  absl::Status SaveStatus(const v1::Object& object,
                          const v1::VolumeStatus& status, bool durable);
  // The owners ("service/web") of replicas that have not ended and mount it.
  absl::StatusOr<std::set<std::string>> UsersOf(const store::Key& volume);
  // Whether a backup or clone of it is being made.
  absl::StatusOr<bool> IsCopied(const v1::Volume& volume);

  // Works.
  absl::StatusOr<Result> ReconcileWork(StoredWork work);
  absl::StatusOr<Result> DoClone(StoredWork& work);
  absl::StatusOr<Result> Prepare(StoredWork& work);
  absl::Status FillStage(const StoredWork& work);
  absl::StatusOr<Result> SwapContents(StoredWork& work);
  absl::StatusOr<Result> Clean(StoredWork& work);
  absl::Status Advance(StoredWork& work,
                       bulwark::volumes::v1::VolumeWork::Phase phase);
  // Removes the record and tells who waits.
  absl::Status Finish(const StoredWork& work, const absl::Status& result);
  absl::StatusOr<Result> Fail(StoredWork& work, const absl::Status& why);
  void Say(const std::string& token, const std::string& status);
  void ShowRestoring(const StoredWork& work);
  // Whatever may mount volumes of the project.
  void WakeUsers(const std::string& project);

  void OnVolumeChange(const store::Change& change);
  void OnWorkChange(const store::Change& change);
  void OnReplicaChange(const store::Change& change);

  const VolumePorts ports_;

  mutable absl::Mutex mu_;
  bool stop_ ABSL_GUARDED_BY(mu_) = false;
  bool stopped_ = false;
  // Keys of volumes that wait for replicas to end.
  std::set<std::string> deleting_ ABSL_GUARDED_BY(mu_);
  std::set<std::string> working_ ABSL_GUARDED_BY(mu_);
  std::set<std::string> all_ ABSL_GUARDED_BY(mu_);
  std::set<std::string> swept_ ABSL_GUARDED_BY(mu_);  // uids
  // Uids by the names of snapshots; see OwnName.
  std::map<std::string, std::string> own_ ABSL_GUARDED_BY(mu_);
  std::map<std::string, Waiter> waiters_ ABSL_GUARDED_BY(mu_);  // by token

  Informer volumes_;
  Informer works_;
  Informer replicas_;
  std::unique_ptr<Runner> runner_;
};

}  // namespace bulwark::scheduler

#endif  // SCHEDULER_VOLUMES_CONTROLLER_H_
