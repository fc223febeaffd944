#include "api/contexts_service.h"

#include "base/status.h"

namespace bulwark::api {

grpc::Status ContextsService::Offer(grpc::ServerContext* context,
                                    const v1::OfferContextRequest* request,
                                    v1::OfferContextResponse* response) {
  return gate_.Run(*context, "/bulwark.v1.Contexts/Offer", *request,
                   [&](const Caller& caller) -> absl::Status {
                     ASSIGN_OR_RETURN(
                         *response,
                         kept_.Offer(caller.identity().uid(), *request));
                     return absl::OkStatus();
                   });
}

}  // namespace bulwark::api
