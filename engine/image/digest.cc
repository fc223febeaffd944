#include "engine/image/digest.h"

#include <openssl/evp.h>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/check.h"

namespace bulwark::engine::image {
namespace {

constexpr absl::string_view kPrefix = "sha256:";

}  // namespace

Sha256::Sha256() : context_(EVP_MD_CTX_new()) {
  CHECK(context_ != nullptr);
  CHECK(EVP_DigestInit_ex(context_, EVP_sha256(), nullptr) == 1);
}

Sha256::~Sha256() { EVP_MD_CTX_free(context_); }

void Sha256::Update(absl::string_view data) {
  CHECK(EVP_DigestUpdate(context_, data.data(), data.size()) == 1);
}

std::string Sha256::Digest() {
  unsigned char hash[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  CHECK(EVP_DigestFinal_ex(context_, hash, &size) == 1);
  return absl::StrCat(kPrefix, absl::BytesToHexString(absl::string_view(
                                   reinterpret_cast<const char*>(hash), size)));
}

std::string DigestOf(absl::string_view data) {
  Sha256 hash;
  hash.Update(data);
  return hash.Digest();
}

bool IsDigest(absl::string_view text) {
  if (!absl::StartsWith(text, kPrefix)) return false;
  text.remove_prefix(kPrefix.size());
  if (text.size() != 64) return false;
  for (char c : text) {
    if (!absl::ascii_isdigit(c) && !(c >= 'a' && c <= 'f')) return false;
  }
  return true;
}

absl::string_view HexOf(absl::string_view digest) {
  CHECK(IsDigest(digest));
  return digest.substr(kPrefix.size());
}

}  // namespace bulwark::engine::image
