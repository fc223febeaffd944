#include "api/containers_service.h"

#include <map>
#include <optional>
#include <string>
#include <utility>

#include "api/convert.h"
#include "api/log_stream.h"
#include "base/status.h"

namespace bulwark::api {
namespace {

// Ends a call before it began.
template <typename Request, typename Response>
class RefusedCall final : public grpc::ServerBidiReactor<Request, Response> {
 public:
  explicit RefusedCall(const grpc::Status& status) { this->Finish(status); }
  void OnDone() override { delete this; }
};

// Leaves out what the caller may not see, now.
void KeepVisible(const Caller& caller, v1::StatsResponse& stats) {
  std::map<std::string, bool> visible;
  google::protobuf::RepeatedPtrField<v1::ContainerUsage> kept;
  for (v1::ContainerUsage& usage : *stats.mutable_containers()) {
    const auto [it, added] = visible.try_emplace(usage.project());
    if (added) it->second = caller.Can(Right::kView, usage.project());
    if (it->second) *kept.Add() = std::move(usage);
  }
  *stats.mutable_containers() = std::move(kept);
}

}  // namespace

grpc::Status ContainersService::Logs(grpc::ServerContext* context,
                                     const v1::LogsRequest* request,
                                     grpc::ServerWriter<v1::LogLine>* writer) {
  return gate_.Run(
      *context, "/bulwark.v1.Containers/Logs", *request,
      [&](const Caller& caller) -> absl::Status {
        const std::string project = ProjectOr(request->project());
        LogStream stream(store_, engine_, clock_, *request);
        RETURN_IF_ERROR(stream.Run(
            [&](const v1::LogLine& line) { return writer->Write(line); },
            [&] {
              return context->IsCancelled() || stopper_.stopping() ||
                     !caller.Can(Right::kView, project);
            }));
        // It may have been taken away meanwhile.
        RETURN_IF_ERROR(caller.Require(Right::kView, project, "read logs"));
        if (stopper_.stopping()) {
          return absl::UnavailableError("read logs: the daemon is stopping");
        }
        return absl::OkStatus();
      });
}

grpc::Status ContainersService::Stats(
    grpc::ServerContext* context, const v1::StatsRequest* request,
    grpc::ServerWriter<v1::StatsResponse>* writer) {
  return gate_.Run(
      *context, "/bulwark.v1.Containers/Stats", *request,
      [&](const Caller& caller) -> absl::Status {
        StatsStream stream(store_, clock_, stats_, *request);
        RETURN_IF_ERROR(stream.Run(
            [&](v1::StatsResponse stats) {
              KeepVisible(caller, stats);
              return writer->Write(stats);
            },
            [&] { return context->IsCancelled() || stopper_.stopping(); }));
        if (stopper_.stopping()) {
          return absl::UnavailableError(
              "read statistics: the daemon is stopping");
        }
        return absl::OkStatus();
      });
}

grpc::ServerBidiReactor<v1::ExecRequest, v1::ExecResponse>*
ContainersService::Exec(grpc::CallbackServerContext* context) {
  std::optional<Caller> who;
  const grpc::Status admitted =
      gate_.Run(*context, "/bulwark.v1.Containers/Exec",
                [&](const Caller& caller) -> absl::Status {
                  if (!calls_.Enter()) {
                    return absl::ResourceExhaustedError(
                        "run a command: too many run at once; try again later");
                  }
                  who = caller;
                  return absl::OkStatus();
                });
  if (!admitted.ok()) {
    return new RefusedCall<v1::ExecRequest, v1::ExecResponse>(admitted);
  }
  return ExecCall::Start({store_, engine_, clock_, stopper_, calls_, *who});
}

grpc::ServerBidiReactor<v1::AttachRequest, v1::AttachResponse>*
ContainersService::Attach(grpc::CallbackServerContext* context) {
  std::optional<Caller> who;
  const grpc::Status admitted = gate_.Run(
      *context, "/bulwark.v1.Containers/Attach",
      [&](const Caller& caller) -> absl::Status {
        RETURN_IF_ERROR(Access().status());
        if (!calls_.Enter()) {
          return absl::ResourceExhaustedError(
              "attach to a container: too many are attached; try again later");
        }
        who = caller;
        return absl::OkStatus();
      });
  if (!admitted.ok()) {
    return new RefusedCall<v1::AttachRequest, v1::AttachResponse>(admitted);
  }
  return AttachCall::Start(
      {store_, engine_, *access_, clock_, stopper_, calls_, *who});
}

}  // namespace bulwark::api
