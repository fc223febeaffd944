// Port of the vault: encrypts what is kept of secrets, and opens it.
//
// A value is at rest as two rows: its ciphertext, under a data key of its own,
// and that data key, wrapped by a master key. The master keys are in the
// keyring, a row too, wrapped by the root key, which is in a file outside of
// the state directory. The vault sees no store: rows are handed to it and come
// out of it as bytes.
#ifndef SECRETS_SECRETS_H_
#define SECRETS_SECRETS_H_

#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "secrets/secret_bytes.h"

namespace bulwark::secrets {

// The largest plaintext, in bytes.
inline constexpr size_t kMaxValue = size_t{500} << 10;
// What a client's sealing adds to it (crypto_box_seal).
inline constexpr size_t kSealOverhead = 48;

// What a value belongs to. Both encryptions hold it fast: a row that was put in
// another's place does not open.
struct Binding {
  std::string kind;  // "secret", "registry"
  std::string project;
  std::string name;
  int64_t version = 0;
};

struct ValueRows {
  std::string value;  // never changes
  std::string key;    // rewritten by a rotation
};

struct AcceptedValue {
  ValueRows rows;
  std::string digest;  // BLAKE2b-256 of the plaintext, keyed by the node, hex
  int64_t size_bytes = 0;
};

struct VaultStatus {
  // Nothing can be opened or accepted: `message` says why, `remedy` what to do.
  // They are also set while it is open, if the last Load() found that the key
  // file would not open it again.
  bool sealed = true;
  std::string message;
  std::string remedy;
  std::string public_key;   // X25519; empty if there is no readable keyring
  int64_t key_version = 0;  // of the master key that new values get
  absl::Time key_time;
};

// Thread-safe. While sealed, every method but Status() and Load() answers
// FAILED_PRECONDITION with the reason and the remedy.
class Vault {
 public:
  virtual ~Vault() = default;

  virtual VaultStatus Status() = 0;

  // Takes the keyring as the store holds it (none: there is no such row), and
  // reads the key file. What the vault can do afterwards is in Status(): a key
  // that is missing or does not fit seals it, and nothing is overwritten.
  //
  // Returns the keyring that belongs into the store if that must change: at the
  // first start (no keyring, and `has_values` says that the store holds no
  // value either; a key file is made if there is none), and after a new root
  // key was put above the old one. The caller commits it, reads again, and
  // calls again. Blocks for the disk.
  virtual std::optional<std::string> Load(
      const std::optional<std::string>& keyring, bool has_values) = 0;

  // Opens what a client sealed to Status().public_key, and encrypts it for
  // `binding`. INVALID_ARGUMENT if it is not sealed to that key, is empty or
  // too large.
  virtual absl::StatusOr<AcceptedValue> Accept(const Binding& binding,
                                               absl::string_view sealed) = 0;

  // DATA_LOSS if the rows were changed, or are not those of `binding`.
  virtual absl::StatusOr<SecretBytes> Open(const Binding& binding,
                                           const ValueRows& rows) = 0;

  // The same plaintext for another binding. Errors as Open().
  virtual absl::StatusOr<ValueRows> Rebind(const Binding& from,
                                           const ValueRows& rows,
                                           const Binding& to) = 0;

  // Rotation, of which nothing holds until the store has the new keyring and
  // Load() was called with it: a keyring with one new master key ...
  virtual absl::StatusOr<std::string> NextKeyring() = 0;
  // ... and the row of a data key wrapped with it. Errors as Open().
  virtual absl::StatusOr<std::string> Rewrap(const Binding& binding,
                                             const std::string& key_row,
                                             const std::string& keyring) = 0;

  // The keyring wrapped by `key` (of 32 bytes) instead of the root key: for a
  // backup, which another host may restore.
  virtual absl::StatusOr<std::string> ExportKeyring(const SecretBytes& key) = 0;
  // What ExportKeyring() made anywhere, wrapped by this host's root key: a
  // keyring for the store, and then for Load(). FAILED_PRECONDITION if another
  // key wraps it, DATA_LOSS if it was changed.
  virtual absl::StatusOr<std::string> ImportKeyring(const std::string& exported,
                                                    const SecretBytes& key) = 0;
};

// Version of the master key that wraps the data key in this row; 0 if it is no
// such row. Pure.
int64_t MasterVersionOf(const std::string& key_row);

// BLAKE2b-256 of what is no secret, hex. Pure.
std::string PlainDigest(absl::string_view value);

// FAILED_PRECONDITION "ACTION: the secrets are sealed: WHY; REMEDY".
absl::Status SealedError(absl::string_view action, const VaultStatus& status);

}  // namespace bulwark::secrets

#endif  // SECRETS_SECRETS_H_
