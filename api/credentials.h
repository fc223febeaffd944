// What bulwarkd itself opens of the secrets in the store.
// docs/formats/secrets.md.
#ifndef API_CREDENTIALS_H_
#define API_CREDENTIALS_H_

#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "secrets/secrets.h"
#include "store/store.h"

namespace bulwark::api {

struct StoredCredential {
  std::string registry;  // "docker.io", "host:5000"
  std::string username;
  secrets::ValueRows rows;  // of the password
};

store::Key CredentialKey(absl::string_view registry);
secrets::Binding BindingOfRegistry(absl::string_view registry);

std::string EncodeCredential(const StoredCredential& credential);
// DATA_LOSS, naming the registry, for anything else.
absl::StatusOr<StoredCredential> DecodeCredential(const store::Record& record);

// Username and password; nothing if none are kept. Errors as Vault::Open().
struct OpenCredential {
  std::string username;
  secrets::SecretBytes password;
};
absl::StatusOr<std::optional<OpenCredential>> FindCredential(
    store::MetadataStore& store, secrets::Vault& vault,
    absl::string_view registry);

// The version of a secret that containers read now. NOT_FOUND if there is no
// such secret; else errors as Vault::Open().
absl::StatusOr<secrets::SecretBytes> OpenSecret(store::MetadataStore& store,
                                                secrets::Vault& vault,
                                                const std::string& project,
                                                const std::string& name);

}  // namespace bulwark::api

#endif  // API_CREDENTIALS_H_
