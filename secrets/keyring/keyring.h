// The keyring: made, opened and wrapped anew. Pure but for randomness.
#ifndef SECRETS_KEYRING_KEYRING_H_
#define SECRETS_KEYRING_KEYRING_H_

#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "proto/bulwark/secrets/v1/rows.pb.h"
#include "secrets/secret_bytes.h"

namespace bulwark::secrets {

// Layout of rows that this program reads and writes.
inline constexpr uint32_t kKeyringFormat = 1;

// A keyring whose keys are unwrapped. Masters are shared with the keyrings that
// follow this one, so that a row read before a rotation still opens after it.
struct OpenKeyring {
  std::map<int64_t, std::shared_ptr<const SecretBytes>> masters;
  int64_t newest = 0;
  absl::Time newest_time;
  std::string public_key;
  SecretBytes private_key;
  SecretBytes digest_key;
};

// A keyring of new keys, wrapped by `root`.
v1::Keyring NewKeyring(const SecretBytes& root, absl::Time now);

// FAILED_PRECONDITION if another root key wraps it, or a newer program wrote
// it; DATA_LOSS if it was changed.
absl::StatusOr<OpenKeyring> UnwrapKeyring(const v1::Keyring& keyring,
                                          const SecretBytes& root);

// The same keys wrapped by `root`.
v1::Keyring RewrapKeyring(const v1::Keyring& keyring, const OpenKeyring& open,
                          const SecretBytes& root);

// With one new master key in place of all others. `root` wraps `keyring`.
v1::Keyring WithNewMaster(const v1::Keyring& keyring, const SecretBytes& root,
                          absl::Time now);

}  // namespace bulwark::secrets

#endif  // SECRETS_KEYRING_KEYRING_H_
