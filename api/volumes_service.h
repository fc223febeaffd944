// The RPCs of Volumes.
#ifndef API_VOLUMES_SERVICE_H_
#define API_VOLUMES_SERVICE_H_

#include <functional>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "api/gate.h"
#include "api/stopper.h"
#include "proto/bulwark/v1/api.grpc.pb.h"

namespace bulwark::api {

// Who does the work. Progress functions say false when nobody waits any more;
// an empty message only asks.
struct VolumeActions {
  template <typename Request, typename Response>
  using Call = std::function<absl::StatusOr<Response>(const Request&,
                                                      const v1::Identity&)>;
  using Progress = std::function<bool(const v1::VolumeProgress&)>;
  template <typename Request>
  using LongCall = std::function<absl::Status(
      const Request&, const v1::Identity&, const Progress&)>;

  Call<v1::SnapshotVolumeRequest, v1::SnapshotVolumeResponse> snapshot;
  Call<v1::DeleteSnapshotRequest, v1::DeleteSnapshotResponse> delete_snapshot;
  Call<v1::CloneVolumeRequest, v1::CloneVolumeResponse> clone;
  Call<v1::ListBackupsRequest, v1::ListBackupsResponse> list_backups;
  LongCall<v1::RestoreVolumeRequest> restore;
  LongCall<v1::BackupVolumeRequest> backup;
};

// Thread-safe. The references must outlive this object.
class VolumesService final : public v1::Volumes::Service {
 public:
  VolumesService(const Gate& gate, VolumeActions actions,
                 const Stopper& stopper)
      : gate_(gate), actions_(std::move(actions)), stopper_(stopper) {}

  grpc::Status Snapshot(grpc::ServerContext* context,
                        const v1::SnapshotVolumeRequest* request,
                        v1::SnapshotVolumeResponse* response) override;
  grpc::Status DeleteSnapshot(grpc::ServerContext* context,
                              const v1::DeleteSnapshotRequest* request,
                              v1::DeleteSnapshotResponse* response) override;
  grpc::Status Restore(grpc::ServerContext* context,
                       const v1::RestoreVolumeRequest* request,
                       grpc::ServerWriter<v1::VolumeProgress>* writer) override;
  grpc::Status Clone(grpc::ServerContext* context,
                     const v1::CloneVolumeRequest* request,
                     v1::CloneVolumeResponse* response) override;
  grpc::Status Backup(grpc::ServerContext* context,
                      const v1::BackupVolumeRequest* request,
                      grpc::ServerWriter<v1::VolumeProgress>* writer) override;
  grpc::Status ListBackups(grpc::ServerContext* context,
                           const v1::ListBackupsRequest* request,
                           v1::ListBackupsResponse* response) override;

 private:
  template <typename Request, typename Response>
  grpc::Status Run(grpc::ServerContext& context, Method method,
                   const VolumeActions::Call<Request, Response>& call,
                   const Request& request, Response& response);
  template <typename Request>
  grpc::Status Stream(grpc::ServerContext& context, Method method,
                      const VolumeActions::LongCall<Request>& call,
                      const Request& request,
                      grpc::ServerWriter<v1::VolumeProgress>& writer);

  const Gate& gate_;
  const VolumeActions actions_;
  const Stopper& stopper_;
};

}  // namespace bulwark::api

#endif  // API_VOLUMES_SERVICE_H_
