// Signs images as cosign does, for tests.
#ifndef ENGINE_IMAGE_SIGNATURE_TESTING_SIGNER_H_
#define ENGINE_IMAGE_SIGNATURE_TESTING_SIGNER_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"

struct evp_pkey_st;

namespace bulwark::engine::image::testing {

// A key pair on `curve`.
class Signer {
 public:
  explicit Signer(const char* curve = "P-256");
  ~Signer();
  Signer(const Signer&) = delete;
  Signer& operator=(const Signer&) = delete;

  std::string PublicPem() const;
  std::string PrivatePem() const;
  // DER.
  std::string Sign(absl::string_view payload) const;

 private:
  evp_pkey_st* key_;
};

// What `cosign sign` signs.
std::string PayloadOf(absl::string_view docker_reference,
                      absl::string_view digest);

struct SignedPayload {
  std::string payload;
  std::string signature;  // DER
};
// The manifest that holds them; its configuration is "{}". With a `subject`,
// the digest of an image, it is an artifact that refers to that.
std::string SignatureManifest(const std::vector<SignedPayload>& signatures,
                              absl::string_view subject = "");

}  // namespace bulwark::engine::image::testing

#endif  // ENGINE_IMAGE_SIGNATURE_TESTING_SIGNER_H_
