#include "secrets/fake/fake_vault.h"

#include <cstring>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "base/status.h"
#include "proto/bulwark/secrets/v1/rows.pb.h"

namespace bulwark::secrets {
namespace {

constexpr char kPublicKey[] = "a fake's public key of 32 bytes.";
// As long as what crypto_box_seal adds.
constexpr char kSealed[] = "sealed for the fake's public key of 32 bytes, ok";
static_assert(sizeof(kPublicKey) == 33);
static_assert(sizeof(kSealed) == kSealOverhead + 1);

std::string Text(const Binding& b) {
  return absl::StrCat(b.kind, "\n", b.project, "\n", b.name, "\n", b.version);
}

// The master key's version in a fake keyring.
int64_t VersionOf(absl::string_view keyring) {
  int64_t version = 0;
  if (!absl::ConsumePrefix(&keyring, "keyring ") ||
      !absl::SimpleAtoi(keyring, &version)) {
    return 0;
  }
  return version;
}

std::string KeyRow(const Binding& binding, int64_t master) {
  v1::DataKey key;
  key.set_master_version(master);
  key.mutable_key()->set_ciphertext(Text(binding));
  return key.SerializeAsString();
}

SecretBytes Bytes(absl::string_view text) {
  SecretBytes bytes(text.size());
  if (!text.empty()) std::memcpy(bytes.data(), text.data(), text.size());
  return bytes;
}

absl::Status Damaged(const Binding& binding) {
  return absl::DataLossError(
      absl::StrCat("open ", binding.kind, " ", binding.name,
                   ": its stored value is not what was written"));
}

}  // namespace

FakeVault::FakeVault() {
  status_.message = "the keyring is not read yet";
  status_.remedy = "wait";
}

std::string FakeVault::Seal(absl::string_view plaintext) {
  return absl::StrCat(kSealed, plaintext);
}

void FakeVault::LoseKeyFile(bool lost) {
  absl::MutexLock lock(&mu_);
  lost_ = lost;
  if (!lost) return;
  status_.sealed = true;
  status_.message = "the key file is gone";
  status_.remedy = "put it back, then run `ctl secret unseal`";
}

void FakeVault::LoseKeyFileWhileOpen() {
  absl::MutexLock lock(&mu_);
  lost_while_open_ = true;
}

VaultStatus FakeVault::Status() {
  absl::MutexLock lock(&mu_);
  return status_;
}

std::optional<std::string> FakeVault::Load(
    const std::optional<std::string>& keyring, bool has_values) {
  absl::MutexLock lock(&mu_);
  if (lost_) return std::nullopt;
  if (!keyring.has_value() && !has_values) return "keyring 1";
  const int64_t version = keyring.has_value() ? VersionOf(*keyring) : 0;
  if (version == 0) {
    status_.sealed = true;
    status_.message = "there is no sound keyring";
    status_.remedy = "restore a backup";
    return std::nullopt;
  }
  status_ = VaultStatus{};
  status_.sealed = false;
  status_.public_key = kPublicKey;
  status_.key_version = version;
  if (lost_while_open_) {
    status_.message = "the key file is gone";
    status_.remedy = "put it back, then run `ctl secret unseal`";
  }
  return std::nullopt;
}

absl::Status FakeVault::Ready(absl::string_view action) {
  return status_.sealed ? SealedError(action, status_) : absl::OkStatus();
}

absl::StatusOr<AcceptedValue> FakeVault::Accept(const Binding& binding,
                                                absl::string_view sealed) {
  absl::MutexLock lock(&mu_);
  RETURN_IF_ERROR(Ready(absl::StrCat("set ", binding.kind)));
  if (sealed.size() <= kSealOverhead ||
      sealed.size() > kSealOverhead + kMaxValue) {
    return absl::InvalidArgumentError(
        absl::StrCat("set ", binding.kind, " ", binding.name,
                     ": the value is empty or too large"));
  }
  if (!absl::ConsumePrefix(&sealed, kSealed)) {
    return absl::InvalidArgumentError(
        absl::StrCat("set ", binding.kind, " ", binding.name,
                     ": the value is not sealed to this node's public key"));
  }
  AcceptedValue value;
  value.rows.value = absl::StrCat(Text(binding), "\n\n", sealed);
  value.rows.key = KeyRow(binding, status_.key_version);
  value.digest = PlainDigest(absl::StrCat("fake ", sealed));
  value.size_bytes = static_cast<int64_t>(sealed.size());
  return value;
}

absl::StatusOr<SecretBytes> FakeVault::Open(const Binding& binding,
                                            const ValueRows& rows) {
  absl::MutexLock lock(&mu_);
  RETURN_IF_ERROR(Ready(absl::StrCat("open ", binding.kind)));
  v1::DataKey key;
  absl::string_view value = rows.value;
  if (!key.ParseFromString(rows.key) || key.master_version() == 0 ||
      key.master_version() > status_.key_version ||
      key.key().ciphertext() != Text(binding) ||
      !absl::ConsumePrefix(&value, absl::StrCat(Text(binding), "\n\n"))) {
    return Damaged(binding);
  }
  return Bytes(value);
}

absl::StatusOr<ValueRows> FakeVault::Rebind(const Binding& from,
                                            const ValueRows& rows,
                                            const Binding& to) {
  ASSIGN_OR_RETURN(const SecretBytes plaintext, Open(from, rows));
  absl::MutexLock lock(&mu_);
  return ValueRows{absl::StrCat(Text(to), "\n\n", plaintext.Reveal()),
                   KeyRow(to, status_.key_version)};
}

absl::StatusOr<std::string> FakeVault::NextKeyring() {
  absl::MutexLock lock(&mu_);
  RETURN_IF_ERROR(Ready("rotate the master key"));
  return absl::StrCat("keyring ", status_.key_version + 1);
}

absl::StatusOr<std::string> FakeVault::Rewrap(const Binding& binding,
                                              const std::string& key_row,
                                              const std::string& keyring) {
  absl::MutexLock lock(&mu_);
  RETURN_IF_ERROR(Ready("rotate the master key"));
  v1::DataKey key;
  if (!key.ParseFromString(key_row) ||
      key.key().ciphertext() != Text(binding)) {
    return Damaged(binding);
  }
  return KeyRow(binding, VersionOf(keyring));
}

absl::StatusOr<std::string> FakeVault::ExportKeyring(const SecretBytes& key) {
  absl::MutexLock lock(&mu_);
  RETURN_IF_ERROR(Ready("back up the keyring"));
  return absl::StrCat(PlainDigest(key.Reveal()), " keyring ",
                      status_.key_version);
}

absl::StatusOr<std::string> FakeVault::ImportKeyring(
    const std::string& exported, const SecretBytes& key) {
  absl::MutexLock lock(&mu_);
  RETURN_IF_ERROR(Ready("restore the keyring"));
  absl::string_view keyring = exported;
  if (!absl::ConsumePrefix(&keyring,
                           absl::StrCat(PlainDigest(key.Reveal()), " "))) {
    return absl::FailedPreconditionError("another key wraps the keyring");
  }
  if (VersionOf(keyring) == 0) {
    return absl::DataLossError("restore the keyring: it cannot be read");
  }
  return std::string(keyring);
}

}  // namespace bulwark::secrets
