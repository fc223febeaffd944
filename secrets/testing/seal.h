// What clients do with a value, for tests.
#ifndef SECRETS_TESTING_SEAL_H_
#define SECRETS_TESTING_SEAL_H_

#include <sodium.h>

#include <string>

#include "absl/strings/string_view.h"

namespace bulwark::secrets::testing {

// `plaintext` sealed to `public_key` (X25519).
inline std::string Seal(absl::string_view plaintext,
                        const std::string& public_key) {
  std::string sealed(plaintext.size() + crypto_box_SEALBYTES, '\0');
  crypto_box_seal(reinterpret_cast<uint8_t*>(sealed.data()),
                  reinterpret_cast<const uint8_t*>(plaintext.data()),
                  plaintext.size(),
                  reinterpret_cast<const uint8_t*>(public_key.data()));
  return sealed;
}

}  // namespace bulwark::secrets::testing

#endif  // SECRETS_TESTING_SEAL_H_
