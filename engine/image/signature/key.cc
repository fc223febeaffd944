#include "engine/image/signature/key.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>

#include <cstring>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace bulwark::engine::image {
namespace {

constexpr char kHow[] =
    "; give the public half of an ECDSA P-256 key in PEM, such as cosign.pub "
    "of `cosign generate-key-pair`";

absl::Status NotAKey(absl::string_view name, absl::string_view what) {
  return absl::InvalidArgumentError(
      absl::StrCat("read key ", name, ": it ", what, kHow));
}

bool IsP256(EVP_PKEY* key) {
  char group[64] = "";
  size_t length = 0;
  return EVP_PKEY_is_a(key, "EC") == 1 &&
         EVP_PKEY_get_group_name(key, group, sizeof(group), &length) == 1 &&
         std::strcmp(group, "prime256v1") == 0;
}

}  // namespace

void SignatureKey::Deleter::operator()(evp_pkey_st* key) const {
  EVP_PKEY_free(key);
}

SignatureKey::SignatureKey(std::string name,
                           std::unique_ptr<evp_pkey_st, Deleter> key)
    : name_(std::move(name)), key_(std::move(key)) {}

absl::StatusOr<std::shared_ptr<const SignatureKey>> SignatureKey::Parse(
    absl::string_view pem, absl::string_view name) {
  if (absl::StrContains(pem, "PRIVATE KEY")) {
    return NotAKey(name, "holds a private key, which must not be on this host");
  }
  std::unique_ptr<BIO, int (*)(BIO*)> bio(
      BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())), BIO_free);
  std::unique_ptr<evp_pkey_st, Deleter> key(
      PEM_read_bio_PUBKEY(bio.get(), nullptr, nullptr, nullptr));
  ERR_clear_error();
  if (key == nullptr) return NotAKey(name, "is not a public key in PEM");
  if (!IsP256(key.get())) return NotAKey(name, "is of another kind");
  return std::shared_ptr<const SignatureKey>(
      new SignatureKey(std::string(name), std::move(key)));
}

bool SignatureKey::Verifies(absl::string_view payload,
                            absl::string_view signature) const {
  std::unique_ptr<EVP_MD_CTX, void (*)(EVP_MD_CTX*)> context(EVP_MD_CTX_new(),
                                                             EVP_MD_CTX_free);
  const auto bytes = [](absl::string_view text) {
    return reinterpret_cast<const unsigned char*>(text.data());
  };
  const bool good =
      EVP_DigestVerifyInit(context.get(), nullptr, EVP_sha256(), nullptr,
                           key_.get()) == 1 &&
      EVP_DigestVerify(context.get(), bytes(signature), signature.size(),
                       bytes(payload), payload.size()) == 1;
  ERR_clear_error();
  return good;
}

}  // namespace bulwark::engine::image
