// The RPCs of Contexts.
#ifndef API_CONTEXTS_SERVICE_H_
#define API_CONTEXTS_SERVICE_H_

#include <grpcpp/grpcpp.h>

#include "api/gate.h"
#include "api/kept_contexts.h"
#include "proto/bulwark/v1/contexts.grpc.pb.h"

namespace bulwark::api {

// Thread-safe.
class ContextsService final : public v1::Contexts::Service {
 public:
  // The references must outlive this object.
  ContextsService(const Gate& gate, KeptContexts& kept)
      : gate_(gate), kept_(kept) {}

  grpc::Status Offer(grpc::ServerContext* context,
                     const v1::OfferContextRequest* request,
                     v1::OfferContextResponse* response) override;

 private:
  const Gate& gate_;
  KeptContexts& kept_;
};

}  // namespace bulwark::api

#endif  // API_CONTEXTS_SERVICE_H_
