#include "api/secrets_service.h"

#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "api/convert.h"
#include "api/errors.h"
#include "api/keyring_rows.h"
#include "base/log.h"
#include "base/status.h"

namespace bulwark::api {

grpc::Status SecretsService::Status(grpc::ServerContext* context,
                                    const v1::SecretsStatusRequest* request,
                                    v1::SecretsStatusResponse* response) {
  return env_.gate.Run(
      *context, "/bulwark.v1.Secrets/Status", *request,
      [&](const Caller&) -> absl::Status {
        const secrets::VaultStatus status = env_.vault.Status();
        response->set_public_key(status.public_key);
        response->set_sealed(status.sealed);
        if (!status.message.empty()) {
          response->set_message(
              absl::StrCat(status.message, "; ", status.remedy));
        }
        if (!status.sealed) {
          response->set_key_version(status.key_version);
          *response->mutable_key_time() = ToTimestamp(status.key_time);
        }
        ASSIGN_OR_RETURN(const std::vector<StoredKey> keys,
                         ListKeys(env_.store));
        int64_t older = 0;
        for (const StoredKey& key : keys) {
          if (secrets::MasterVersionOf(key.row) < status.key_version) ++older;
        }
        response->set_values(static_cast<int64_t>(keys.size()));
        response->set_values_of_older_keys(older);
        return absl::OkStatus();
      });
}

grpc::Status SecretsService::Set(grpc::ServerContext* context,
                                 const v1::SetSecretRequest* request,
                                 v1::SetSecretResponse* response) {
  return env_.gate.Run(
      *context, "/bulwark.v1.Secrets/Set", *request,
      [&](const Caller& caller) -> absl::Status {
        ASSIGN_OR_RETURN(*response, env_.writer.SetSecret(*request, caller));
        return absl::OkStatus();
      });
}

grpc::Status SecretsService::Rollback(grpc::ServerContext* context,
                                      const v1::RollbackValueRequest* request,
                                      v1::RollbackValueResponse* response) {
  return env_.gate.Run(*context, "/bulwark.v1.Secrets/Rollback", *request,
                       [&](const Caller& caller) -> absl::Status {
                         ASSIGN_OR_RETURN(
                             *response->mutable_object(),
                             env_.writer.RollbackValue(*request, caller));
                         return absl::OkStatus();
                       });
}

grpc::Status SecretsService::RotateKey(grpc::ServerContext* context,
                                       const v1::RotateKeyRequest* request,
                                       v1::RotateKeyResponse* response) {
  return env_.gate.Run(
      *context, "/bulwark.v1.Secrets/RotateKey", *request,
      [&](const Caller& caller) {
        return env_.writer.Exclusively([&]() -> absl::Status {
          const auto commit = [&](store::Batch batch, int64_t keys) {
            caller.record()->record().set_detail(absl::StrCat("values ", keys));
            return caller.record()
                ->Commit(env_.store, std::move(batch))
                .status();
          };
          ASSIGN_OR_RETURN(const int64_t rewrapped,
                           RotateMasterKey(env_.store, env_.vault, commit));
          response->set_rewrapped(rewrapped);
          response->set_key_version(env_.vault.Status().key_version);
          LOG_INFO("master key of secrets rotated",
                   {{"by", caller.identity().name()},
                    {"version", response->key_version()},
                    {"values", rewrapped}});
          return absl::OkStatus();
        });
      });
}

grpc::Status SecretsService::Unseal(grpc::ServerContext* context,
                                    const v1::UnsealRequest* request,
                                    v1::UnsealResponse*) {
  return env_.gate.Run(
      *context, "/bulwark.v1.Secrets/Unseal", *request,
      [&](const Caller& caller) -> absl::Status {
        RETURN_IF_ERROR(env_.writer.Exclusively(
            [&] { return LoadKeyring(env_.store, env_.vault); }));
        const secrets::VaultStatus status = env_.vault.Status();
        if (status.sealed) {
          return WithRemedy(absl::FailedPreconditionError(
                                absl::StrCat("unseal: ", status.message)),
                            status.remedy);
        }
        LOG_INFO("secrets are unsealed", {{"by", caller.identity().name()}});
        if (unsealed_ != nullptr) unsealed_();
        if (status.message.empty()) return absl::OkStatus();
        LOG_WARN("secrets are open, but the next start would be sealed",
                 {{"cause", status.message}, {"remedy", status.remedy}});
        return WithRemedy(
            absl::FailedPreconditionError(absl::StrCat(
                "unseal: the secrets stay open, but after the next start of "
                "bulwarkd nothing could be read: ",
                status.message)),
            status.remedy);
      });
}

}  // namespace bulwark::api
