// Public keys that sign images.
#ifndef ENGINE_IMAGE_SIGNATURE_KEY_H_
#define ENGINE_IMAGE_SIGNATURE_KEY_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

struct evp_pkey_st;

namespace bulwark::engine::image {

// One ECDSA key on the curve P-256. Thread-safe.
class SignatureKey {
 public:
  // `pem` is a SubjectPublicKeyInfo, as `cosign generate-key-pair` and `openssl
  // ec -pubout` write it. INVALID_ARGUMENT says what else it is. `name` is for
  // messages.
  static absl::StatusOr<std::shared_ptr<const SignatureKey>> Parse(
      absl::string_view pem, absl::string_view name);

  const std::string& name() const { return name_; }

  // Whether `signature`, DER, is this key's over the SHA-256 of `payload`.
  bool Verifies(absl::string_view payload, absl::string_view signature) const;

 private:
  struct Deleter {
    void operator()(evp_pkey_st* key) const;
  };
  SignatureKey(std::string name, std::unique_ptr<evp_pkey_st, Deleter> key);

  const std::string name_;
  const std::unique_ptr<evp_pkey_st, Deleter> key_;
};

}  // namespace bulwark::engine::image

#endif  // ENGINE_IMAGE_SIGNATURE_KEY_H_
