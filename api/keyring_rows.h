// The rows of keys in the store, for the vault, which sees no store.
#ifndef API_KEYRING_ROWS_H_
#define API_KEYRING_ROWS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "secrets/secrets.h"
#include "store/store.h"

namespace bulwark::api {

// A stored data key and what it is bound to.
struct StoredKey {
  store::Record record;
  secrets::Binding binding;
  std::string row;  // the data key's own, of what the record holds
};

// Every data key: of secrets, and of credentials for registries.
absl::StatusOr<std::vector<StoredKey>> ListKeys(store::MetadataStore& store);

// Has the vault take the store's keyring, and stores what it makes of it: the
// first one, or one that a new root key wraps. OK also if the vault is sealed
// afterwards, which it says itself; errors are the store's.
absl::Status LoadKeyring(store::MetadataStore& store, secrets::Vault& vault);

// Makes a new master key and wraps every data key with it, in one commit: after
// a crash either all is as before, or all is done. `commit` is called with that
// write and the number of data keys, and makes it. Nobody else may write keys
// meanwhile. The number of data keys.
absl::StatusOr<int64_t> RotateMasterKey(
    store::MetadataStore& store, secrets::Vault& vault,
    absl::FunctionRef<absl::Status(store::Batch batch, int64_t keys)> commit);

}  // namespace bulwark::api

#endif  // API_KEYRING_ROWS_H_
