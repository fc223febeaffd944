// The RPCs of Resources.
#ifndef API_RESOURCES_SERVICE_H_
#define API_RESOURCES_SERVICE_H_

#include "api/gate.h"
#include "api/spec_writer.h"
#include "api/stopper.h"
#include "proto/bulwark/v1/api.grpc.pb.h"
#include "store/store.h"

namespace bulwark::api {

// Thread-safe. The references must outlive this object.
class ResourcesService final : public v1::Resources::Service {
 public:
  ResourcesService(const Gate& gate, store::MetadataStore& store,
                   SpecWriter& writer, const Stopper& stopper)
      : gate_(gate), store_(store), writer_(writer), stopper_(stopper) {}

  grpc::Status Apply(grpc::ServerContext* context,
                     const v1::ApplyRequest* request,
                     v1::ApplyResponse* response) override;
  grpc::Status Get(grpc::ServerContext* context, const v1::GetRequest* request,
                   v1::Object* response) override;
  grpc::Status List(grpc::ServerContext* context,
                    const v1::ListRequest* request,
                    v1::ListResponse* response) override;
  grpc::Status Watch(grpc::ServerContext* context,
                     const v1::WatchRequest* request,
                     grpc::ServerWriter<v1::WatchEvent>* writer) override;
  grpc::Status Delete(grpc::ServerContext* context,
                      const v1::DeleteRequest* request,
                      v1::DeleteResponse* response) override;

 private:
  const Gate& gate_;
  store::MetadataStore& store_;
  SpecWriter& writer_;
  const Stopper& stopper_;
};

}  // namespace bulwark::api

#endif  // API_RESOURCES_SERVICE_H_
