#include "secrets/envelope.h"

#include <sodium.h>

#include <initializer_list>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "base/check.h"

namespace bulwark::secrets {
namespace {

constexpr size_t kNonce = crypto_aead_xchacha20poly1305_ietf_NPUBBYTES;
constexpr size_t kTag = crypto_aead_xchacha20poly1305_ietf_ABYTES;
static_assert(kKeySize == crypto_aead_xchacha20poly1305_ietf_KEYBYTES);

const uint8_t* Bytes(absl::string_view text) {
  return reinterpret_cast<const uint8_t*>(text.data());
}
uint8_t* Bytes(std::string& text) {
  return reinterpret_cast<uint8_t*>(text.data());
}

std::string Context(absl::string_view purpose,
                    std::initializer_list<std::string> fields) {
  std::string context = absl::StrCat("bulwark/", purpose, "/1");
  for (const std::string& field : fields) {
    absl::StrAppend(&context, "\n", field.size(), ":", field);
  }
  return context;
}

void Seal(const SecretBytes& plaintext, const SecretBytes& key,
          absl::string_view context, std::string* nonce,
          std::string* ciphertext) {
  CHECK(key.size() == kKeySize);
  nonce->resize(kNonce);
  randombytes_buf(nonce->data(), kNonce);
  ciphertext->resize(plaintext.size() + kTag);
  crypto_aead_xchacha20poly1305_ietf_encrypt(
      Bytes(*ciphertext), nullptr, plaintext.data(), plaintext.size(),
      Bytes(context), context.size(), nullptr, Bytes(*nonce), key.data());
}

absl::StatusOr<SecretBytes> Unseal(absl::string_view nonce,
                                   absl::string_view ciphertext,
                                   const SecretBytes& key,
                                   absl::string_view context) {
  CHECK(key.size() == kKeySize);
  const absl::Status bad = absl::DataLossError(
      "it was changed, or was made for something else or with another key");
  if (nonce.size() != kNonce || ciphertext.size() < kTag) return bad;
  SecretBytes plaintext(ciphertext.size() - kTag);
  if (crypto_aead_xchacha20poly1305_ietf_decrypt(
          plaintext.data(), nullptr, nullptr, Bytes(ciphertext),
          ciphertext.size(), Bytes(context), context.size(), Bytes(nonce),
          key.data()) != 0) {
    return bad;
  }
  return plaintext;
}

}  // namespace

std::string MasterContext(int64_t version, int64_t create_time) {
  return Context("master-key",
                 {absl::StrCat(version), absl::StrCat(create_time)});
}

std::string PrivateKeyContext(absl::string_view public_key) {
  return Context("node-key", {std::string(public_key)});
}

std::string DigestKeyContext(absl::string_view public_key) {
  return Context("digest-key", {std::string(public_key)});
}

std::string DataKeyContext(const Binding& binding, int64_t master_version) {
  return Context("data-key",
                 {binding.kind, binding.project, binding.name,
                  absl::StrCat(binding.version), absl::StrCat(master_version)});
}

std::string ValueContext(const Binding& binding) {
  return Context("value", {binding.kind, binding.project, binding.name,
                           absl::StrCat(binding.version)});
}

v1::WrappedKey Wrap(const SecretBytes& key, const SecretBytes& wrapper,
                    absl::string_view context) {
  v1::WrappedKey wrapped;
  Seal(key, wrapper, context, wrapped.mutable_nonce(),
       wrapped.mutable_ciphertext());
  return wrapped;
}

absl::StatusOr<SecretBytes> Unwrap(const v1::WrappedKey& wrapped,
                                   const SecretBytes& wrapper,
                                   absl::string_view context) {
  if (wrapped.ciphertext().size() != kKeySize + kTag) {
    return absl::DataLossError("it is no wrapped key");
  }
  return Unseal(wrapped.nonce(), wrapped.ciphertext(), wrapper, context);
}

v1::Value Encrypt(const SecretBytes& plaintext, const SecretBytes& key,
                  absl::string_view context) {
  v1::Value value;
  Seal(plaintext, key, context, value.mutable_nonce(),
       value.mutable_ciphertext());
  return value;
}

absl::StatusOr<SecretBytes> Decrypt(const v1::Value& value,
                                    const SecretBytes& key,
                                    absl::string_view context) {
  return Unseal(value.nonce(), value.ciphertext(), key, context);
}

std::string KeyId(const SecretBytes& key) {
  std::string id(16, '\0');
  crypto_generichash(Bytes(id), id.size(), key.data(), key.size(), nullptr, 0);
  return id;
}

std::string KeyedDigest(const SecretBytes& value, const SecretBytes& key) {
  uint8_t digest[crypto_generichash_BYTES];
  crypto_generichash(digest, sizeof(digest), value.data(), value.size(),
                     key.data(), key.size());
  return absl::BytesToHexString(
      absl::string_view(reinterpret_cast<const char*>(digest), sizeof(digest)));
}

}  // namespace bulwark::secrets
