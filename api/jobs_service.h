// The service Jobs of the API.
#ifndef API_JOBS_SERVICE_H_
#define API_JOBS_SERVICE_H_

#include <grpcpp/grpcpp.h>

#include "api/gate.h"
#include "api/spec_writer.h"
#include "proto/bulwark/v1/api.grpc.pb.h"

namespace bulwark::api {

// Thread-safe.
class JobsService final : public v1::Jobs::Service {
 public:
  // The references must outlive this object.
  JobsService(const Gate& gate, SpecWriter& writer)
      : gate_(gate), writer_(writer) {}

  grpc::Status Trigger(grpc::ServerContext* context,
                       const v1::TriggerRequest* request,
                       v1::TriggerResponse* response) override;

 private:
  const Gate& gate_;
  SpecWriter& writer_;
};

}  // namespace bulwark::api

#endif  // API_JOBS_SERVICE_H_
