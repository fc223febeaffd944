// The encryptions, and what each of them holds fast. Pure but for randomness.
//
// A context is a word for the purpose and the fields that the purpose has, each
// with its length before it, so that no two of them read the same.
#ifndef SECRETS_ENVELOPE_H_
#define SECRETS_ENVELOPE_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "proto/bulwark/secrets/v1/rows.pb.h"
#include "secrets/secret_bytes.h"
#include "secrets/secrets.h"

namespace bulwark::secrets {

inline constexpr size_t kKeySize = 32;

// Contexts.
std::string MasterContext(int64_t version, int64_t create_time);
std::string PrivateKeyContext(absl::string_view public_key);
std::string DigestKeyContext(absl::string_view public_key);
std::string DataKeyContext(const Binding& binding, int64_t master_version);
std::string ValueContext(const Binding& binding);

// `key` encrypted by `wrapper` (both of kKeySize) under a fresh nonce.
v1::WrappedKey Wrap(const SecretBytes& key, const SecretBytes& wrapper,
                    absl::string_view context);
// DATA_LOSS unless Wrap() made it with this wrapper and context.
absl::StatusOr<SecretBytes> Unwrap(const v1::WrappedKey& wrapped,
                                   const SecretBytes& wrapper,
                                   absl::string_view context);

// The same for values of any size.
v1::Value Encrypt(const SecretBytes& plaintext, const SecretBytes& key,
                  absl::string_view context);
absl::StatusOr<SecretBytes> Decrypt(const v1::Value& value,
                                    const SecretBytes& key,
                                    absl::string_view context);

// BLAKE2b-128: says which key it is, and nothing about it.
std::string KeyId(const SecretBytes& key);

// BLAKE2b-256 of `value` keyed by `key`, hex.
std::string KeyedDigest(const SecretBytes& value, const SecretBytes& key);

}  // namespace bulwark::secrets

#endif  // SECRETS_ENVELOPE_H_
