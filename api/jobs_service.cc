#include "api/jobs_service.h"

#include "base/status.h"

namespace bulwark::api {

grpc::Status JobsService::Trigger(grpc::ServerContext* context,
                                  const v1::TriggerRequest* request,
                                  v1::TriggerResponse* response) {
  return gate_.Run(
      *context, "/bulwark.v1.Jobs/Trigger", *request,
      [&](const Caller& caller) -> absl::Status {
        ASSIGN_OR_RETURN(
            *response->mutable_job(),
            writer_.Trigger(request->project(), request->cron_job(), caller));
        return absl::OkStatus();
      });
}

}  // namespace bulwark::api
