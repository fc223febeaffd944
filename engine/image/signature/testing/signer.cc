#include "engine/image/signature/testing/signer.h"

#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>

#include <cstdlib>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "engine/image/digest.h"
#include "engine/image/manifest.h"
#include "engine/image/signature/evidence.h"

namespace bulwark::engine::image::testing {
namespace {

std::string Text(BIO* bio) {
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio, &data);
  std::string text(data, size);
  BIO_free(bio);
  return text;
}

}  // namespace

Signer::Signer(const char* curve) : key_(EVP_EC_gen(curve)) {
  if (key_ == nullptr) std::abort();
}

Signer::~Signer() { EVP_PKEY_free(key_); }

std::string Signer::PublicPem() const {
  BIO* bio = BIO_new(BIO_s_mem());
  PEM_write_bio_PUBKEY(bio, key_);
  return Text(bio);
}

std::string Signer::PrivatePem() const {
  BIO* bio = BIO_new(BIO_s_mem());
  PEM_write_bio_PrivateKey(bio, key_, nullptr, nullptr, 0, nullptr, nullptr);
  return Text(bio);
}

std::string Signer::Sign(absl::string_view payload) const {
  EVP_MD_CTX* context = EVP_MD_CTX_new();
  const auto* bytes = reinterpret_cast<const unsigned char*>(payload.data());
  size_t size = 0;
  EVP_DigestSignInit(context, nullptr, EVP_sha256(), nullptr, key_);
  EVP_DigestSign(context, nullptr, &size, bytes, payload.size());
  std::string signature(size, '\0');
  EVP_DigestSign(context, reinterpret_cast<unsigned char*>(signature.data()),
                 &size, bytes, payload.size());
  EVP_MD_CTX_free(context);
  signature.resize(size);
  return signature;
}

std::string PayloadOf(absl::string_view docker_reference,
                      absl::string_view digest) {
  return absl::StrCat(
      R"({"critical":{"identity":{"docker-reference":")", docker_reference,
      R"("},"image":{"docker-manifest-digest":")", digest,
      R"("},"type":"cosign container image signature"},"optional":null})");
}

std::string SignatureManifest(const std::vector<SignedPayload>& signatures,
                              absl::string_view subject) {
  std::string layers;
  for (const SignedPayload& s : signatures) {
    absl::StrAppend(&layers, layers.empty() ? "" : ",", R"({"mediaType":")",
                    kSimpleSigning, R"(","size":)", s.payload.size(),
                    R"(,"digest":")", DigestOf(s.payload),
                    R"(","annotations":{")", kSignatureAnnotation, R"(":")",
                    absl::Base64Escape(s.signature), R"("}})");
  }
  std::string refers;
  if (!subject.empty()) {
    refers = absl::StrCat(R"(,"subject":{"mediaType":")", kOciManifest,
                          R"(","size":2,"digest":")", subject, R"("})");
  }
  return absl::StrCat(R"({"schemaVersion":2,"mediaType":")", kOciManifest,
                      R"(","config":{"mediaType":")",
                      subject.empty() ? kOciConfig : kSignatureArtifact,
                      R"(","size":2,"digest":")", DigestOf("{}"),
                      R"("},"layers":[)", layers, "]", refers, "}");
}

}  // namespace bulwark::engine::image::testing
