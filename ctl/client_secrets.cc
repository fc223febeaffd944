// The calls of Secrets, and those that keep credentials.
#include "ctl/client_impl.h"

namespace bulwark::ctl {

absl::StatusOr<v1::LoginResponse> Client::Login(
    const v1::LoginRequest& request) {
  return impl_->Call(*impl_->images, &v1::Images::Stub::Login, request);
}

absl::StatusOr<v1::LogoutResponse> Client::Logout(
    const v1::LogoutRequest& request) {
  return impl_->Call(*impl_->images, &v1::Images::Stub::Logout, request);
}

absl::StatusOr<v1::SecretsStatusResponse> Client::SecretsStatus() {
  return impl_->Call(*impl_->secrets, &v1::Secrets::Stub::Status,
                     v1::SecretsStatusRequest());
}

absl::StatusOr<v1::SetSecretResponse> Client::SetSecret(
    const v1::SetSecretRequest& request) {
  return impl_->Call(*impl_->secrets, &v1::Secrets::Stub::Set, request);
}

absl::StatusOr<v1::RollbackValueResponse> Client::RollbackValue(
    const v1::RollbackValueRequest& request) {
  return impl_->Call(*impl_->secrets, &v1::Secrets::Stub::Rollback, request);
}

absl::StatusOr<v1::RotateKeyResponse> Client::RotateKey() {
  return impl_->Call(*impl_->secrets, &v1::Secrets::Stub::RotateKey,
                     v1::RotateKeyRequest());
}

absl::StatusOr<v1::UnsealResponse> Client::Unseal() {
  return impl_->Call(*impl_->secrets, &v1::Secrets::Stub::Unseal,
                     v1::UnsealRequest());
}

}  // namespace bulwark::ctl
