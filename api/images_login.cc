// Log-ins at registries, which the daemon keeps.
#include <utility>

#include "absl/strings/str_cat.h"
#include "api/credentials.h"
#include "api/errors.h"
#include "api/images_service.h"
#include "api/rules.h"
#include "base/log.h"
#include "base/status.h"

namespace bulwark::api {
namespace {

constexpr size_t kMaxUsername = 256;

}  // namespace

absl::StatusOr<std::string> ImagesService::LoginChecked(
    const v1::LoginRequest& request, const Caller& caller) {
  if (env_.vault == nullptr) {
    return absl::FailedPreconditionError("log in: nothing can be kept here");
  }
  if (request.username().empty() || request.username().size() > kMaxUsername ||
      !IsPrintable(request.username()) ||
      request.username().find(':') != std::string::npos) {
    return absl::InvalidArgumentError(
        absl::StrCat("log in: ", Quoted(request.username()),
                     " is not a user's name at a registry"));
  }
  ASSIGN_OR_RETURN(std::string registry,
                   env_.registries.name(request.registry()));
  const secrets::Binding binding = BindingOfRegistry(registry);
  StoredCredential credential{registry, request.username(), {}};
  ASSIGN_OR_RETURN(secrets::AcceptedValue accepted,
                   env_.vault->Accept(binding, request.sealed_password()));
  if (!request.no_check()) {
    ASSIGN_OR_RETURN(const secrets::SecretBytes password,
                     env_.vault->Open(binding, accepted.rows));
    engine::RegistryAuth auth;
    auth.username = request.username();
    auth.password = SecretText(password.Reveal());
    RETURN_IF_ERROR(env_.registries.check(registry, auth));
  }
  // Anew under the lock: the master key may have changed meanwhile.
  const auto plan = [&](const StoredObjects&) -> absl::StatusOr<store::Batch> {
    ASSIGN_OR_RETURN(credential.rows,
                     env_.vault->Rebind(binding, accepted.rows, binding));
    return store::Batch().Put(CredentialKey(registry),
                              EncodeCredential(credential));
  };
  RETURN_IF_ERROR(env_.writer.Change(caller, plan).status());
  LOG_INFO("credentials for a registry are kept",
           {{"registry", registry},
            {"user", request.username()},
            {"by", caller.identity().name()}});
  return registry;
}

grpc::Status ImagesService::Login(grpc::ServerContext* context,
                                  const v1::LoginRequest* request,
                                  v1::LoginResponse* response) {
  return env_.gate.Run(*context, "/bulwark.v1.Images/Login", *request,
                       [&](const Caller& caller) -> absl::Status {
                         ASSIGN_OR_RETURN(*response->mutable_registry(),
                                          LoginChecked(*request, caller));
                         return absl::OkStatus();
                       });
}

grpc::Status ImagesService::Logout(grpc::ServerContext* context,
                                   const v1::LogoutRequest* request,
                                   v1::LogoutResponse*) {
  return env_.gate.Run(
      *context, "/bulwark.v1.Images/Logout", *request,
      [&](const Caller& caller) -> absl::Status {
        if (env_.vault == nullptr) {
          return absl::FailedPreconditionError("log out: nothing is kept here");
        }
        ASSIGN_OR_RETURN(const std::string registry,
                         env_.registries.name(request->registry()));
        const store::Key key = CredentialKey(registry);
        const auto plan =
            [&](const StoredObjects&) -> absl::StatusOr<store::Batch> {
          const absl::Status found = env_.store.Get(key).status();
          if (absl::IsNotFound(found)) {
            return absl::NotFoundError(absl::StrCat(
                "log out of ", registry, ": nobody is logged in there"));
          }
          RETURN_IF_ERROR(found);
          return store::Batch().Delete(key);
        };
        RETURN_IF_ERROR(env_.writer.Change(caller, plan).status());
        LOG_INFO("credentials for a registry are forgotten",
                 {{"registry", registry}, {"by", caller.identity().name()}});
        return absl::OkStatus();
      });
}

}  // namespace bulwark::api
