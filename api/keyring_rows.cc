#include "api/keyring_rows.h"

#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "api/credentials.h"
#include "base/status.h"
#include "store/values.h"

namespace bulwark::api {
namespace {

// Each step is a commit of ours that Load() asked for.
constexpr int kMostSteps = 4;

absl::StatusOr<bool> HasValues(store::MetadataStore& store) {
  for (const char* kind : {store::kSecretKeyKind, store::kRegistryKind}) {
    store::Filter filter;
    filter.kind = kind;
    ASSIGN_OR_RETURN(const store::Listing listing, store.List(filter));
    if (!listing.records.empty()) return true;
  }
  return false;
}

}  // namespace

absl::StatusOr<std::vector<StoredKey>> ListKeys(store::MetadataStore& store) {
  std::vector<StoredKey> keys;
  store::Filter filter;
  filter.kind = store::kSecretKeyKind;
  ASSIGN_OR_RETURN(store::Listing secrets, store.List(filter));
  for (store::Record& record : secrets.records) {
    const std::optional<store::ValueName> name =
        store::ParseValueName(record.key.name);
    if (!name.has_value()) {
      return absl::DataLossError(
          absl::StrCat("read ", record.key.ToString(), ": not NAME@VERSION"));
    }
    secrets::Binding binding{"secret", record.key.project, name->name,
                             name->version};
    std::string row = record.value;
    keys.push_back({std::move(record), std::move(binding), std::move(row)});
  }
  filter.kind = store::kRegistryKind;
  ASSIGN_OR_RETURN(store::Listing registries, store.List(filter));
  for (store::Record& record : registries.records) {
    ASSIGN_OR_RETURN(StoredCredential credential, DecodeCredential(record));
    keys.push_back({std::move(record), BindingOfRegistry(credential.registry),
                    std::move(credential.rows.key)});
  }
  return keys;
}

absl::Status LoadKeyring(store::MetadataStore& store, secrets::Vault& vault) {
  for (int i = 0; i < kMostSteps; ++i) {
    ASSIGN_OR_RETURN(std::optional<store::Record> record,
                     store::Find(store, store::KeyringKey()));
    std::optional<std::string> keyring;
    if (record.has_value()) keyring = record->value;
    ASSIGN_OR_RETURN(const bool has_values, HasValues(store));
    std::optional<std::string> next = vault.Load(keyring, has_values);
    if (!next.has_value()) return absl::OkStatus();
    const absl::Status status =
        store
            .Commit(store::Batch()
                        .Put(store::KeyringKey(), *std::move(next),
                             record.has_value() ? record->revision : 0)
                        .Essential())
            .status();
    if (!absl::IsAborted(status)) RETURN_IF_ERROR(status);
  }
  return absl::OkStatus();
}

absl::StatusOr<int64_t> RotateMasterKey(
    store::MetadataStore& store, secrets::Vault& vault,
    absl::FunctionRef<absl::Status(store::Batch batch, int64_t keys)> commit) {
  // As the store has it, whatever became of earlier attempts.
  RETURN_IF_ERROR(LoadKeyring(store, vault));
  ASSIGN_OR_RETURN(std::optional<store::Record> before,
                   store::Find(store, store::KeyringKey()));
  ASSIGN_OR_RETURN(const std::string keyring, vault.NextKeyring());
  store::Batch batch;
  batch.Put(store::KeyringKey(), keyring,
            before.has_value() ? before->revision : 0);
  ASSIGN_OR_RETURN(std::vector<StoredKey> keys, ListKeys(store));
  for (StoredKey& key : keys) {
    ASSIGN_OR_RETURN(std::string row,
                     vault.Rewrap(key.binding, key.row, keyring));
    std::string value = row;
    if (key.record.key.kind == store::kRegistryKind) {
      ASSIGN_OR_RETURN(StoredCredential credential,
                       DecodeCredential(key.record));
      credential.rows.key = std::move(row);
      value = EncodeCredential(credential);
    }
    batch.Put(key.record.key, std::move(value), key.record.revision);
  }
  const auto count = static_cast<int64_t>(keys.size());
  const absl::Status committed = commit(std::move(batch), count);
  // Also after an error: what the disk has is what counts.
  const absl::Status loaded = LoadKeyring(store, vault);
  RETURN_IF_ERROR(committed);
  RETURN_IF_ERROR(loaded);
  return count;
}

}  // namespace bulwark::api
