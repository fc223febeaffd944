// The vault with its root key in a file.
#ifndef SECRETS_KEYRING_LOCAL_VAULT_H_
#define SECRETS_KEYRING_LOCAL_VAULT_H_

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "base/clock.h"
#include "proto/bulwark/secrets/v1/rows.pb.h"
#include "secrets/secrets.h"

namespace bulwark::secrets {

// Keys are in locked memory only. Thread-safe; see Vault.
class LocalVault final : public Vault {
 public:
  // `clock` must outlive this object. Sealed until Load().
  LocalVault(std::string key_file, Clock& clock);
  ~LocalVault() override;

  VaultStatus Status() override;
  std::optional<std::string> Load(const std::optional<std::string>& keyring,
                                  bool has_values) override;
  absl::StatusOr<AcceptedValue> Accept(const Binding& binding,
                                       absl::string_view sealed) override;
  absl::StatusOr<SecretBytes> Open(const Binding& binding,
                                   const ValueRows& rows) override;
  absl::StatusOr<ValueRows> Rebind(const Binding& from, const ValueRows& rows,
                                   const Binding& to) override;
  absl::StatusOr<std::string> NextKeyring() override;
  absl::StatusOr<std::string> Rewrap(const Binding& binding,
                                     const std::string& key_row,
                                     const std::string& keyring) override;
  absl::StatusOr<std::string> ExportKeyring(const SecretBytes& key) override;
  absl::StatusOr<std::string> ImportKeyring(const std::string& exported,
                                            const SecretBytes& key) override;

 private:
  struct Keys;  // opened; immutable, so that calls go on beside Load()
  using Root = std::shared_ptr<const SecretBytes>;

  std::optional<std::string> FirstKeyring(bool has_values)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  absl::StatusOr<std::vector<Root>> Roots(absl::Status& file)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  std::optional<std::string> Reopen(const v1::Keyring& row)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void Seal(std::string message, std::string remedy)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void SealForKeyFile(const absl::Status& error)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  std::string RemedyForKeyFile(const absl::Status& error) const;
  absl::StatusOr<std::shared_ptr<const Keys>> Ready(absl::string_view action);
  absl::StatusOr<SecretBytes> DataKey(const Keys& keys, const Binding& binding,
                                      const std::string& key_row);
  static ValueRows Encrypted(const Keys& keys, const Binding& binding,
                             const SecretBytes& plaintext);

  const std::string key_file_;
  Clock& clock_;
  absl::Mutex mu_;
  VaultStatus status_ ABSL_GUARDED_BY(mu_);
  std::shared_ptr<const Keys> keys_ ABSL_GUARDED_BY(mu_);  // null: sealed
};

}  // namespace bulwark::secrets

#endif  // SECRETS_KEYRING_LOCAL_VAULT_H_
