// A vault without cryptography.
#ifndef SECRETS_FAKE_FAKE_VAULT_H_
#define SECRETS_FAKE_FAKE_VAULT_H_

#include <optional>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "secrets/secrets.h"

namespace bulwark::secrets {

// Opens at once with Load(). Clients' values are "sealed:KEY:PLAINTEXT", see
// Seal(); rows are readable. Everything else keeps the real rules.
class FakeVault : public Vault {
 public:
  FakeVault();
  // What a client sends for `plaintext`; padded as the real sealing is.
  static std::string Seal(absl::string_view plaintext);

  // The key file is missing until the next call; Load() finds that out.
  void LoseKeyFile(bool lost = true);

  // It goes while the vault is open, which stays open; Load() tells.
  void LoseKeyFileWhileOpen();

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
  absl::Status Ready(absl::string_view action)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  absl::Mutex mu_;
  bool lost_ ABSL_GUARDED_BY(mu_) = false;
  bool lost_while_open_ ABSL_GUARDED_BY(mu_) = false;
  VaultStatus status_ ABSL_GUARDED_BY(mu_);
};

}  // namespace bulwark::secrets

#endif  // SECRETS_FAKE_FAKE_VAULT_H_
