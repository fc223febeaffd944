// Rows of values: what secrets and configs hold, version by version, apart from
// the objects. docs/formats/secrets.md.
#ifndef STORE_VALUES_H_
#define STORE_VALUES_H_

#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "store/store.h"

namespace bulwark::store {

// Kinds of rows. None is a kind of object.
inline constexpr char kSecretValueKind[] = "secret-value";  // ciphertexts
inline constexpr char kSecretKeyKind[] = "secret-key";      // their data keys
inline constexpr char kConfigValueKind[] = "config-value";
inline constexpr char kRegistryKind[] = "registry-credential";

// The name of the row is "NAME@VERSION". `kind` is one of the first three.
Key ValueKey(absl::string_view kind, absl::string_view project,
             absl::string_view name, int64_t version);

// What ValueKey() made.
struct ValueName {
  std::string name;
  int64_t version = 0;
};
std::optional<ValueName> ParseValueName(absl::string_view text);

// The one row of the keys of secrets.
Key KeyringKey();

// The record's value; nothing if there is no such record.
absl::StatusOr<std::optional<Record>> Find(MetadataStore& store,
                                           const Key& key);

}  // namespace bulwark::store

#endif  // STORE_VALUES_H_
