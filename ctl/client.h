// The connection to bulwarkd.
#ifndef CTL_CLIENT_H_
#define CTL_CLIENT_H_

#include <functional>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "base/clock.h"
#include "proto/bulwark/v1/api.pb.h"
#include "proto/bulwark/v1/contexts.pb.h"

namespace bulwark::ctl {

// The two directions of an exec. Send and CloseSend may run in one thread while
// Read runs in another.
class ExecStream {
 public:
  virtual ~ExecStream() = default;
  // False when the stream is broken.
  virtual bool Send(const v1::ExecRequest& request) = 0;
  // False at the end.
  virtual bool Read(v1::ExecResponse& response) = 0;
  // Once, after Read said false.
  virtual absl::Status Finish() = 0;
};

// One channel over a unix socket, connected with the first call. Errors keep
// the server's code, message and ErrorDetail (errors.h); UNAVAILABLE says why
// there is no connection, and what to do. Thread-safe.
class Client {
 public:
  // Gives the next piece of an upload; empty at its end.
  using Source = std::function<absl::StatusOr<std::string>()>;
  using OnProgress = std::function<void(const v1::ImageProgress&)>;
  using OnVolumeProgress = std::function<void(const v1::VolumeProgress&)>;
  // Takes the next piece of a download; its error ends that.
  using OnData = std::function<absl::Status(absl::string_view)>;

  // What the server warns of beside its answer. From any thread.
  using OnWarning = std::function<void(const std::string&)>;

  // `socket` is "unix:///path", "unix:/path" or "/path". Each call that is no
  // stream ends after `timeout`. `clock` must outlive this object. `on_warning`
  // gets each warning once.
  Client(const std::string& socket, absl::Duration timeout, Clock& clock,
         OnWarning on_warning = nullptr);
  ~Client();

  absl::StatusOr<v1::ApplyResponse> Apply(const v1::ApplyRequest& request);
  absl::StatusOr<v1::Object> Get(const v1::GetRequest& request);
  absl::StatusOr<v1::ListResponse> List(const v1::ListRequest& request);
  absl::StatusOr<v1::DeleteResponse> Delete(const v1::DeleteRequest& request);
  absl::StatusOr<v1::ScaleResponse> Scale(const v1::ScaleRequest& request);
  absl::StatusOr<v1::StopResponse> Stop(const v1::StopRequest& request);
  absl::StatusOr<v1::StartResponse> Start(const v1::StartRequest& request);
  absl::StatusOr<v1::UndoResponse> Undo(const v1::UndoRequest& request);
  absl::StatusOr<v1::TriggerResponse> Trigger(
      const v1::TriggerRequest& request);
  absl::StatusOr<v1::ListImagesResponse> ListImages();
  absl::StatusOr<v1::RemoveImageResponse> RemoveImage(
      const v1::RemoveImageRequest& request);
  absl::StatusOr<v1::TagImageResponse> TagImage(
      const v1::TagImageRequest& request);
  absl::StatusOr<v1::LoginResponse> Login(const v1::LoginRequest& request);
  absl::StatusOr<v1::LogoutResponse> Logout(const v1::LogoutRequest& request);
  absl::StatusOr<v1::SecretsStatusResponse> SecretsStatus();
  absl::StatusOr<v1::SetSecretResponse> SetSecret(
      const v1::SetSecretRequest& request);
  absl::StatusOr<v1::RollbackValueResponse> RollbackValue(
      const v1::RollbackValueRequest& request);
  absl::StatusOr<v1::RotateKeyResponse> RotateKey();
  absl::StatusOr<v1::UnsealResponse> Unseal();
  absl::StatusOr<v1::VersionResponse> Version();
  absl::StatusOr<v1::DoctorResponse> Doctor();
  absl::StatusOr<v1::DiskUsageResponse> DiskUsage();
  // Has `deadline` instead of the timeout of other calls.
  absl::StatusOr<v1::PruneResponse> Prune(const v1::PruneRequest& request,
                                          absl::Time deadline);
  absl::StatusOr<v1::VerifyAuditResponse> VerifyAudit(absl::Time deadline);
  // Has `deadline` instead of the timeout of other calls.
  absl::StatusOr<v1::ShutdownResponse> Shutdown(
      const v1::ShutdownRequest& request, absl::Time deadline);

  // These take as long as the data: they have `deadline`.
  absl::StatusOr<v1::SnapshotVolumeResponse> SnapshotVolume(
      const v1::SnapshotVolumeRequest& request, absl::Time deadline);
  absl::StatusOr<v1::DeleteSnapshotResponse> DeleteSnapshot(
      const v1::DeleteSnapshotRequest& request, absl::Time deadline);
  absl::StatusOr<v1::CloneVolumeResponse> CloneVolume(
      const v1::CloneVolumeRequest& request, absl::Time deadline);
  absl::StatusOr<v1::ListBackupsResponse> ListBackups(
      const v1::ListBackupsRequest& request, absl::Time deadline);
  absl::Status RestoreVolume(const v1::RestoreVolumeRequest& request,
                             const OnVolumeProgress& on_progress);
  absl::Status BackupVolume(const v1::BackupVolumeRequest& request,
                            const OnVolumeProgress& on_progress);

  absl::Status BackupState(const v1::BackupStateRequest& request,
                           absl::Time deadline, const OnData& on_data);
  absl::StatusOr<v1::RestoreStateResponse> RestoreState(
      const v1::RestoreStateOptions& options, absl::Time deadline,
      const Source& source);

  // Calls `on_event` until it says false (OK), the deadline passes
  // (DEADLINE_EXCEEDED) or the stream ends (UNAVAILABLE, or its error).
  absl::Status Watch(
      const v1::WatchRequest& request, absl::Time deadline,
      const std::function<bool(const v1::WatchEvent&)>& on_event);
  // OK at the end of the logs; DEADLINE_EXCEEDED if `deadline` comes first.
  absl::Status Logs(const v1::LogsRequest& request,
                    const std::function<void(const v1::LogLine&)>& on_line,
                    absl::Time deadline = absl::InfiniteFuture());
  // Calls `on_stats` until it says false (OK) or the stream ends.
  absl::Status Stats(
      const v1::StatsRequest& request,
      const std::function<bool(const v1::StatsResponse&)>& on_stats);
  // OK at the end of the log.
  absl::Status Audit(
      const v1::AuditRequest& request,
      const std::function<void(const v1::AuditRecord&)>& on_record);
  absl::Status Pull(const v1::PullImageRequest& request,
                    const OnProgress& on_progress);
  absl::Status Push(const v1::PushImageRequest& request,
                    const OnProgress& on_progress);
  // These ask a registry: they have `deadline`.
  absl::StatusOr<v1::ListTagsResponse> ListTags(
      const v1::ListTagsRequest& request, absl::Time deadline);
  absl::StatusOr<v1::ListReferrersResponse> ListReferrers(
      const v1::ListReferrersRequest& request, absl::Time deadline);
  absl::Status Load(const Source& source, const OnProgress& on_progress);
  // UNIMPLEMENTED if the daemon is older than that.
  absl::StatusOr<v1::OfferContextResponse> OfferContext(
      const v1::OfferContextRequest& request);
  // One context of a build: "" is the main one.
  struct BuildPart {
    std::string name;
    Source source;
  };
  absl::Status Build(const v1::BuildOptions& options,
                     const std::vector<BuildPart>& parts,
                     const OnProgress& on_progress);
  // Not null; errors come with Finish().
  std::unique_ptr<ExecStream> Exec();

  // After a call failed with UNAVAILABLE: returns when there is a connection
  // again, or somewhat later. Calls fail at once without one, and none is made
  // while nobody waits for it.
  void AwaitConnection();

  // Ends every stream that runs, with CANCELLED. From any thread.
  void CancelStreams();

  const std::string& path() const;

  // For the files that implement calls.
  struct Impl;
  Impl& impl() { return *impl_; }

 private:
  const std::unique_ptr<Impl> impl_;
};

}  // namespace bulwark::ctl

#endif  // CTL_CLIENT_H_
