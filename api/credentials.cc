#include "api/credentials.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "api/values.h"
#include "base/status.h"
#include "proto/bulwark/secrets/v1/credentials.pb.h"
#include "store/objects.h"
#include "store/values.h"

namespace bulwark::api {

store::Key CredentialKey(absl::string_view registry) {
  return store::Key{store::kRegistryKind, "", std::string(registry)};
}

secrets::Binding BindingOfRegistry(absl::string_view registry) {
  return {"registry", "", std::string(registry), 0};
}

std::string EncodeCredential(const StoredCredential& credential) {
  secrets::v1::RegistryCredential record;
  record.set_registry(credential.registry);
  record.set_username(credential.username);
  record.set_value(credential.rows.value);
  record.set_key(credential.rows.key);
  return record.SerializeAsString();
}

absl::StatusOr<StoredCredential> DecodeCredential(const store::Record& record) {
  secrets::v1::RegistryCredential parsed;
  if (!parsed.ParseFromString(record.value) ||
      parsed.registry() != record.key.name) {
    return absl::DataLossError(
        absl::StrCat("read credentials for registry ", record.key.name,
                     ": they are damaged; `ctl login` sets them again"));
  }
  return StoredCredential{
      parsed.registry(), parsed.username(), {parsed.value(), parsed.key()}};
}

absl::StatusOr<std::optional<OpenCredential>> FindCredential(
    store::MetadataStore& store, secrets::Vault& vault,
    absl::string_view registry) {
  ASSIGN_OR_RETURN(std::optional<store::Record> record,
                   store::Find(store, CredentialKey(registry)));
  if (!record.has_value()) return std::nullopt;
  ASSIGN_OR_RETURN(StoredCredential credential, DecodeCredential(*record));
  ASSIGN_OR_RETURN(secrets::SecretBytes password,
                   vault.Open(BindingOfRegistry(registry), credential.rows));
  return OpenCredential{std::move(credential.username), std::move(password)};
}

absl::StatusOr<secrets::SecretBytes> OpenSecret(store::MetadataStore& store,
                                                secrets::Vault& vault,
                                                const std::string& project,
                                                const std::string& name) {
  ASSIGN_OR_RETURN(
      const v1::Object object,
      store::GetObject(store, store::ObjectKey("secret", project, name)));
  const int64_t version = CurrentVersion(object);
  secrets::ValueRows rows;
  for (auto [kind, row] : {std::pair(store::kSecretValueKind, &rows.value),
                           std::pair(store::kSecretKeyKind, &rows.key)}) {
    ASSIGN_OR_RETURN(
        std::optional<store::Record> record,
        store::Find(store, store::ValueKey(kind, project, name, version)));
    if (!record.has_value()) {
      return absl::DataLossError(absl::StrCat("read secret ", name, " version ",
                                              version,
                                              ": its value is missing"));
    }
    *row = std::move(record->value);
  }
  return vault.Open(BindingOf(object, version), rows);
}

}  // namespace bulwark::api
