// The RPCs of Services.
#ifndef API_SERVICES_SERVICE_H_
#define API_SERVICES_SERVICE_H_

#include "api/gate.h"
#include "api/spec_writer.h"
#include "proto/bulwark/v1/api.grpc.pb.h"
#include "store/store.h"

namespace bulwark::api {

// Every action is a change of the service's spec, checked as an apply is, that
// the controllers then follow. Thread-safe. The references must outlive this
// object.
class ServicesService final : public v1::Services::Service {
 public:
  ServicesService(const Gate& gate, store::MetadataStore& store,
                  SpecWriter& writer)
      : gate_(gate), store_(store), writer_(writer) {}

  // FAILED_PRECONDITION while autoscale decides.
  grpc::Status Scale(grpc::ServerContext* context,
                     const v1::ScaleRequest* request,
                     v1::ScaleResponse* response) override;
  grpc::Status Stop(grpc::ServerContext* context,
                    const v1::StopRequest* request,
                    v1::StopResponse* response) override;
  grpc::Status Start(grpc::ServerContext* context,
                     const v1::StartRequest* request,
                     v1::StartResponse* response) override;
  // NOT_FOUND without such a revision.
  grpc::Status Undo(grpc::ServerContext* context,
                    const v1::UndoRequest* request,
                    v1::UndoResponse* response) override;

 private:
  absl::Status UndoChecked(const v1::UndoRequest& request, const Caller& caller,
                           v1::UndoResponse& response, std::string& warning);

  const Gate& gate_;
  store::MetadataStore& store_;
  SpecWriter& writer_;
};

}  // namespace bulwark::api

#endif  // API_SERVICES_SERVICE_H_
