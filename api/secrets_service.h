// The RPCs of Secrets.
#ifndef API_SECRETS_SERVICE_H_
#define API_SECRETS_SERVICE_H_

#include <functional>
#include <utility>

#include "api/gate.h"
#include "api/spec_writer.h"
#include "base/clock.h"
#include "base/entropy.h"
#include "proto/bulwark/v1/api.grpc.pb.h"
#include "secrets/secrets.h"
#include "store/store.h"

namespace bulwark::api {

// Thread-safe. The references must outlive this object.
class SecretsService final : public v1::Secrets::Service {
 public:
  struct Environment {
    const Gate& gate;
    store::MetadataStore& store;
    SpecWriter& writer;
    secrets::Vault& vault;
  };

  // `unsealed` is called when the vault was opened: what waits for it looks
  // again. It may be null, and must not block.
  SecretsService(const Environment& environment, std::function<void()> unsealed)
      : env_(environment), unsealed_(std::move(unsealed)) {}

  grpc::Status Status(grpc::ServerContext* context,
                      const v1::SecretsStatusRequest* request,
                      v1::SecretsStatusResponse* response) override;
  grpc::Status Set(grpc::ServerContext* context,
                   const v1::SetSecretRequest* request,
                   v1::SetSecretResponse* response) override;
  grpc::Status Rollback(grpc::ServerContext* context,
                        const v1::RollbackValueRequest* request,
                        v1::RollbackValueResponse* response) override;
  grpc::Status RotateKey(grpc::ServerContext* context,
                         const v1::RotateKeyRequest* request,
                         v1::RotateKeyResponse* response) override;
  grpc::Status Unseal(grpc::ServerContext* context,
                      const v1::UnsealRequest* request,
                      v1::UnsealResponse* response) override;

 private:
  const Environment env_;
  const std::function<void()> unsealed_;
};

}  // namespace bulwark::api

#endif  // API_SECRETS_SERVICE_H_
