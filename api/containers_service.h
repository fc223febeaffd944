// The RPCs of Containers.
#ifndef API_CONTAINERS_SERVICE_H_
#define API_CONTAINERS_SERVICE_H_

#include <utility>

#include "api/attach_call.h"
#include "api/exec_call.h"
#include "api/gate.h"
#include "api/stats_stream.h"
#include "api/stopper.h"
#include "base/clock.h"
#include "engine/container_files.h"
#include "engine/engine.h"
#include "engine/image_commits.h"
#include "proto/bulwark/v1/api.grpc.pb.h"
#include "store/store.h"

namespace bulwark::api {

// `access`, `files`, `commits`: null (tests): its calls answer UNIMPLEMENTED.
//
// Thread-safe. The references must outlive this object; the destructor waits
// for the commands that run.
class ContainersService final
    : public v1::Containers::WithCallbackMethod_Exec<
          v1::Containers::WithCallbackMethod_Attach<v1::Containers::Service>> {
 public:
  ContainersService(const Gate& gate, store::MetadataStore& store,
                    engine::Engine& engine, engine::ContainerAccess* access,
                    engine::ContainerFiles* files,
                    engine::ImageCommits* commits, StatsFunction stats,
                    Clock& clock, const Stopper& stopper)
      : gate_(gate),
        store_(store),
        engine_(engine),
        access_(access),
        files_(files),
        commits_(commits),
        stats_(std::move(stats)),
        clock_(clock),
        stopper_(stopper) {}
  ~ContainersService() override { calls_.AwaitNone(); }

  grpc::Status Logs(grpc::ServerContext* context,
                    const v1::LogsRequest* request,
                    grpc::ServerWriter<v1::LogLine>* writer) override;
  grpc::Status Stats(grpc::ServerContext* context,
                     const v1::StatsRequest* request,
                     grpc::ServerWriter<v1::StatsResponse>* writer) override;
  grpc::ServerBidiReactor<v1::ExecRequest, v1::ExecResponse>* Exec(
      grpc::CallbackServerContext* context) override;
  grpc::ServerBidiReactor<v1::AttachRequest, v1::AttachResponse>* Attach(
      grpc::CallbackServerContext* context) override;

  // containers_life.cc
  grpc::Status Processes(grpc::ServerContext* context,
                         const v1::ProcessesRequest* request,
                         v1::ProcessesResponse* response) override;
  grpc::Status Pause(grpc::ServerContext* context,
                     const v1::PauseRequest* request,
                     v1::PauseResponse* response) override;
  grpc::Status Unpause(grpc::ServerContext* context,
                       const v1::UnpauseRequest* request,
                       v1::UnpauseResponse* response) override;
  grpc::Status Signal(grpc::ServerContext* context,
                      const v1::SignalRequest* request,
                      v1::SignalResponse* response) override;
  grpc::Status Wait(grpc::ServerContext* context,
                    const v1::WaitRequest* request,
                    v1::WaitResponse* response) override;
  grpc::Status Commit(grpc::ServerContext* context,
                      const v1::CommitRequest* request,
                      v1::CommitResponse* response) override;
  grpc::Status Inspect(grpc::ServerContext* context,
                       const v1::InspectRequest* request,
                       v1::InspectResponse* response) override;

  // containers_files.cc
  grpc::Status CopyFrom(
      grpc::ServerContext* context, const v1::CopyFromRequest* request,
      grpc::ServerWriter<v1::CopyFromResponse>* writer) override;
  grpc::Status CopyTo(grpc::ServerContext* context,
                      grpc::ServerReader<v1::CopyToRequest>* reader,
                      v1::CopyToResponse* response) override;
  grpc::Status Diff(grpc::ServerContext* context,
                    const v1::DiffRequest* request,
                    v1::DiffResponse* response) override;
  grpc::Status Export(grpc::ServerContext* context,
                      const v1::ExportRequest* request,
                      grpc::ServerWriter<v1::ExportResponse>* writer) override;

 private:
  // Pauses or unpauses what a request names.
  absl::Status CommitChecked(const Caller& caller,
                             const v1::CommitRequest& request,
                             v1::CommitResponse& response);
  template <typename Request>
  absl::Status SetPaused(const Caller& caller, const Request& request,
                         bool paused);
  absl::StatusOr<engine::ContainerAccess*> Access() const;
  absl::StatusOr<engine::ContainerFiles*> Files() const;
  // The container of a request about files, which may have ended. The caller's
  // record then refers to it.
  template <typename Request>
  absl::StatusOr<ContainerRef> FindFiles(const Caller& caller,
                                         const Request& request) const;
  absl::Status CopyToChecked(const grpc::ServerContext& context,
                             const Caller& caller,
                             grpc::ServerReader<v1::CopyToRequest>& reader,
                             v1::CopyToResponse& response);

  const Gate& gate_;
  store::MetadataStore& store_;
  engine::Engine& engine_;
  engine::ContainerAccess* const access_;
  engine::ContainerFiles* const files_;
  engine::ImageCommits* const commits_;
  const StatsFunction stats_;
  Clock& clock_;
  const Stopper& stopper_;
  StreamCalls calls_;
};

}  // namespace bulwark::api

#endif  // API_CONTAINERS_SERVICE_H_
