#include "api/volumes_service.h"

#include "base/status.h"

namespace bulwark::api {
namespace {

constexpr char kNotServed[] = "this daemon serves no volumes";

}  // namespace

template <typename Request, typename Response>
grpc::Status VolumesService::Run(
    grpc::ServerContext& context, Method method,
    const VolumeActions::Call<Request, Response>& call, const Request& request,
    Response& response) {
  return gate_.Run(context, method, request,
                   [&](const Caller& caller) -> absl::Status {
                     if (!call) return absl::UnimplementedError(kNotServed);
                     ASSIGN_OR_RETURN(response, call(request, caller));
                     return absl::OkStatus();
                   });
}

template <typename Request>
grpc::Status VolumesService::Stream(
    grpc::ServerContext& context, Method method,
    const VolumeActions::LongCall<Request>& call, const Request& request,
    grpc::ServerWriter<v1::VolumeProgress>& writer) {
  return gate_.Run(
      context, method, request, [&](const Caller& caller) -> absl::Status {
        if (!call) return absl::UnimplementedError(kNotServed);
        const absl::Status status =
            call(request, caller, [&](const v1::VolumeProgress& progress) {
              if (context.IsCancelled() || stopper_.stopping()) return false;
              return progress.ByteSizeLong() == 0 || writer.Write(progress);
            });
        if (absl::IsCancelled(status) && stopper_.stopping()) {
          return absl::UnavailableError(
              "the daemon is stopping; a restore goes on after its next start");
        }
        return status;
      });
}

grpc::Status VolumesService::Snapshot(grpc::ServerContext* context,
                                      const v1::SnapshotVolumeRequest* request,
                                      v1::SnapshotVolumeResponse* response) {
  return Run(*context, "/bulwark.v1.Volumes/Snapshot", actions_.snapshot,
             *request, *response);
}

grpc::Status VolumesService::DeleteSnapshot(
    grpc::ServerContext* context, const v1::DeleteSnapshotRequest* request,
    v1::DeleteSnapshotResponse* response) {
  return Run(*context, "/bulwark.v1.Volumes/DeleteSnapshot",
             actions_.delete_snapshot, *request, *response);
}

grpc::Status VolumesService::Restore(
    grpc::ServerContext* context, const v1::RestoreVolumeRequest* request,
    grpc::ServerWriter<v1::VolumeProgress>* writer) {
  return Stream(*context, "/bulwark.v1.Volumes/Restore", actions_.restore,
                *request, *writer);
}

grpc::Status VolumesService::Clone(grpc::ServerContext* context,
                                   const v1::CloneVolumeRequest* request,
                                   v1::CloneVolumeResponse* response) {
  return Run(*context, "/bulwark.v1.Volumes/Clone", actions_.clone, *request,
             *response);
}

grpc::Status VolumesService::Backup(
    grpc::ServerContext* context, const v1::BackupVolumeRequest* request,
    grpc::ServerWriter<v1::VolumeProgress>* writer) {
  return Stream(*context, "/bulwark.v1.Volumes/Backup", actions_.backup,
                *request, *writer);
}

grpc::Status VolumesService::ListBackups(grpc::ServerContext* context,
                                         const v1::ListBackupsRequest* request,
                                         v1::ListBackupsResponse* response) {
  return Run(*context, "/bulwark.v1.Volumes/ListBackups", actions_.list_backups,
             *request, *response);
}

}  // namespace bulwark::api
