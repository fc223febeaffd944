#include "secrets/keyring/local_vault.h"

#include <sodium.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/log.h"
#include "base/status.h"
#include "secrets/envelope.h"
#include "secrets/keyring/key_file.h"
#include "secrets/keyring/keyring.h"

namespace bulwark::secrets {
namespace {

static_assert(kSealOverhead == crypto_box_SEALBYTES);

constexpr char kUnsealHint[] = "then run `ctl secret unseal`";

std::string NameOf(const Binding& binding) {
  std::string name = absl::StrCat(binding.kind, " ");
  if (!binding.project.empty() && binding.project != "default") {
    absl::StrAppend(&name, binding.project, "/");
  }
  absl::StrAppend(&name, binding.name);
  if (binding.version > 0) {
    absl::StrAppend(&name, " version ", binding.version);
  }
  return name;
}

absl::Status Damaged(const Binding& binding, absl::string_view what,
                     absl::string_view why) {
  return absl::DataLossError(
      absl::StrCat("open ", NameOf(binding), ": its stored ", what,
                   " is not what was written: ", why,
                   "; set it again, or restore a backup"));
}

}  // namespace

struct LocalVault::Keys {
  v1::Keyring row;
  OpenKeyring open;
  Root root;
};

LocalVault::LocalVault(std::string key_file, Clock& clock)
    : key_file_(std::move(key_file)), clock_(clock) {
  CHECK(sodium_init() >= 0);
  status_.message = "the keyring is not read yet";
  status_.remedy = "wait until bulwarkd has started";
}

LocalVault::~LocalVault() = default;

VaultStatus LocalVault::Status() {
  absl::MutexLock lock(&mu_);
  return status_;
}

void LocalVault::Seal(std::string message, std::string remedy) {
  keys_ = nullptr;
  status_.sealed = true;
  status_.message = std::move(message);
  status_.remedy = std::move(remedy);
}

std::string LocalVault::RemedyForKeyFile(const absl::Status& error) const {
  std::string remedy;
  switch (error.code()) {
    case absl::StatusCode::kNotFound:
      remedy = absl::StrCat("put the key file back to ", key_file_);
      break;
    case absl::StatusCode::kFailedPrecondition:
      remedy = absl::StrCat("chmod 0400 ", key_file_);
      break;
    case absl::StatusCode::kInvalidArgument:
      remedy = absl::StrCat("put the right key file to ", key_file_);
      break;
    default:
      remedy = absl::StrCat("see to it that bulwarkd can use ", key_file_);
  }
  return absl::StrCat(remedy, ", ", kUnsealHint);
}

void LocalVault::SealForKeyFile(const absl::Status& error) {
  Seal(std::string(error.message()), RemedyForKeyFile(error));
}

std::optional<std::string> LocalVault::Load(
    const std::optional<std::string>& keyring, bool has_values) {
  absl::MutexLock lock(&mu_);
  if (!keyring.has_value()) return FirstKeyring(has_values);
  v1::Keyring row;
  if (!row.ParseFromString(*keyring)) {
    Seal("the keyring in the store is damaged",
         "restore a backup of the state directory");
    return std::nullopt;
  }
  status_.public_key = row.public_key();
  return Reopen(row);
}

std::optional<std::string> LocalVault::FirstKeyring(bool has_values) {
  if (has_values) {
    Seal("the store holds values but no keyring to open them with",
         "restore a backup of the state directory");
    return std::nullopt;
  }
  absl::StatusOr<std::vector<SecretBytes>> roots = ReadKeyFile(key_file_);
  if (absl::IsNotFound(roots.status())) {
    if (absl::Status made = CreateKeyFile(key_file_); !made.ok()) {
      SealForKeyFile(absl::UnknownError(made.message()));
      return std::nullopt;
    }
    LOG_INFO(
        "made the key file of secrets; keep a copy of it apart from "
        "backups of the state directory",
        {{"file", key_file_}});
    roots = ReadKeyFile(key_file_);
  }
  if (!roots.ok()) {
    SealForKeyFile(roots.status());
    return std::nullopt;
  }
  Seal("the keyring is being made", "try again");
  return NewKeyring(roots->front(), clock_.Now()).SerializeAsString();
}

// The key file's keys, and the one in use: a vault that is open stays open when
// its key file goes. `file`: what became of reading it.
absl::StatusOr<std::vector<LocalVault::Root>> LocalVault::Roots(
    absl::Status& file) {
  std::vector<Root> roots;
  absl::StatusOr<std::vector<SecretBytes>> read = ReadKeyFile(key_file_);
  file = read.status();
  if (!file.ok() && keys_ == nullptr) return file;
  if (file.ok()) {
    for (SecretBytes& key : *read) {
      roots.push_back(std::make_shared<const SecretBytes>(std::move(key)));
    }
  }
  if (keys_ != nullptr) roots.push_back(keys_->root);
  return roots;
}

std::optional<std::string> LocalVault::Reopen(const v1::Keyring& row) {
  absl::Status file;
  absl::StatusOr<std::vector<Root>> roots = Roots(file);
  if (!roots.ok()) {
    SealForKeyFile(roots.status());
    return std::nullopt;
  }
  const auto root =
      std::find_if(roots->begin(), roots->end(), [&](const Root& candidate) {
        return row.root_id() == KeyId(*candidate);
      });
  if (root == roots->end()) {
    Seal(absl::StrCat("the key in ", key_file_,
                      " is not the one that the secrets are wrapped with"),
         absl::StrCat("put the right key file back, ", kUnsealHint));
    return std::nullopt;
  }
  absl::StatusOr<OpenKeyring> open = UnwrapKeyring(row, **root);
  if (!open.ok()) {
    Seal(absl::StrCat("the keyring does not open: ", open.status().message()),
         "restore a backup of the state directory, or run the version of "
         "bulwarkd that wrote it");
    return std::nullopt;
  }
  // The key in use, which is the last: the file does not name it.
  const bool is_lost = keys_ != nullptr && *root == keys_->root;
  const bool is_older = root != roots->begin() && !is_lost;
  if (is_older)
    return RewrapKeyring(row, *open, **roots->begin()).SerializeAsString();
  // Masters of before a rotation still open what was read before it.
  if (keys_ != nullptr) {
    for (const auto& [version, key] : keys_->open.masters) {
      open->masters.emplace(version, key);
    }
  }
  auto keys = std::make_shared<Keys>();
  keys->row = row;
  keys->open = *std::move(open);
  keys->root = *root;
  status_ = VaultStatus{false,
                        "",
                        "",
                        keys->open.public_key,
                        keys->open.newest,
                        keys->open.newest_time};
  if (is_lost && !file.ok()) {
    status_.message = std::string(file.message());
    status_.remedy = RemedyForKeyFile(file);
  } else if (is_lost) {
    status_.message = absl::StrCat(key_file_,
                                   " does not hold the key that the secrets "
                                   "are wrapped with");
    status_.remedy = absl::StrCat(
        "put the line with the old key back, below that of a new one, ",
        kUnsealHint);
  }
  keys_ = std::move(keys);
  return std::nullopt;
}

absl::StatusOr<std::shared_ptr<const LocalVault::Keys>> LocalVault::Ready(
    absl::string_view action) {
  absl::MutexLock lock(&mu_);
  if (keys_ != nullptr) return keys_;
  return SealedError(action, status_);
}

ValueRows LocalVault::Encrypted(const Keys& keys, const Binding& binding,
                                const SecretBytes& plaintext) {
  const SecretBytes data_key = SecretBytes::Random(kKeySize);
  const int64_t newest = keys.open.newest;
  v1::DataKey key;
  key.set_master_version(newest);
  *key.mutable_key() = Wrap(data_key, *keys.open.masters.at(newest),
                            DataKeyContext(binding, newest));
  return {
      Encrypt(plaintext, data_key, ValueContext(binding)).SerializeAsString(),
      key.SerializeAsString()};
}

absl::StatusOr<AcceptedValue> LocalVault::Accept(const Binding& binding,
                                                 absl::string_view sealed) {
  ASSIGN_OR_RETURN(const std::shared_ptr<const Keys> keys,
                   Ready(absl::StrCat("set ", NameOf(binding))));
  const bool is_empty = sealed.empty() || sealed.size() == kSealOverhead;
  if (is_empty || sealed.size() > kSealOverhead + kMaxValue) {
    return absl::InvalidArgumentError(
        absl::StrCat("set ", NameOf(binding), ": the value is ",
                     is_empty ? "empty" : "larger than 500 KiB"));
  }
  const absl::Status foreign = absl::InvalidArgumentError(
      absl::StrCat("set ", NameOf(binding),
                   ": the value is not sealed to this node's public key; `ctl "
                   "secret set` seals it"));
  if (sealed.size() < kSealOverhead) return foreign;
  SecretBytes plaintext(sealed.size() - kSealOverhead);
  const auto* public_key =
      reinterpret_cast<const uint8_t*>(keys->open.public_key.data());
  if (crypto_box_seal_open(
          plaintext.data(), reinterpret_cast<const uint8_t*>(sealed.data()),
          sealed.size(), public_key, keys->open.private_key.data()) != 0) {
    return foreign;
  }
  AcceptedValue value;
  value.rows = Encrypted(*keys, binding, plaintext);
  value.digest = KeyedDigest(plaintext, keys->open.digest_key);
  value.size_bytes = static_cast<int64_t>(plaintext.size());
  return value;
}

absl::StatusOr<SecretBytes> LocalVault::DataKey(const Keys& keys,
                                                const Binding& binding,
                                                const std::string& key_row) {
  v1::DataKey key;
  if (!key.ParseFromString(key_row)) {
    return Damaged(binding, "key", "it cannot be read");
  }
  const auto master = keys.open.masters.find(key.master_version());
  if (master == keys.open.masters.end()) {
    return Damaged(binding, "key",
                   absl::StrCat("master key ", key.master_version(),
                                " is not in the keyring"));
  }
  absl::StatusOr<SecretBytes> data_key =
      Unwrap(key.key(), *master->second,
             DataKeyContext(binding, key.master_version()));
  if (data_key.ok()) return data_key;
  return Damaged(binding, "key", data_key.status().message());
}

absl::StatusOr<SecretBytes> LocalVault::Open(const Binding& binding,
                                             const ValueRows& rows) {
  ASSIGN_OR_RETURN(const std::shared_ptr<const Keys> keys,
                   Ready(absl::StrCat("open ", NameOf(binding))));
  ASSIGN_OR_RETURN(const SecretBytes data_key,
                   DataKey(*keys, binding, rows.key));
  v1::Value value;
  if (!value.ParseFromString(rows.value)) {
    return Damaged(binding, "value", "it cannot be read");
  }
  absl::StatusOr<SecretBytes> plaintext =
      Decrypt(value, data_key, ValueContext(binding));
  if (plaintext.ok()) return plaintext;
  return Damaged(binding, "value", plaintext.status().message());
}

absl::StatusOr<ValueRows> LocalVault::Rebind(const Binding& from,
                                             const ValueRows& rows,
                                             const Binding& to) {
  ASSIGN_OR_RETURN(const SecretBytes plaintext, Open(from, rows));
  ASSIGN_OR_RETURN(const std::shared_ptr<const Keys> keys,
                   Ready(absl::StrCat("set ", NameOf(to))));
  return Encrypted(*keys, to, plaintext);
}

absl::StatusOr<std::string> LocalVault::NextKeyring() {
  ASSIGN_OR_RETURN(const std::shared_ptr<const Keys> keys,
                   Ready("rotate the master key"));
  return WithNewMaster(keys->row, *keys->root, clock_.Now())
      .SerializeAsString();
}

absl::StatusOr<std::string> LocalVault::Rewrap(const Binding& binding,
                                               const std::string& key_row,
                                               const std::string& keyring) {
  ASSIGN_OR_RETURN(const std::shared_ptr<const Keys> keys,
                   Ready("rotate the master key"));
  v1::Keyring row;
  if (!row.ParseFromString(keyring)) {
    return absl::InternalError("rotate the master key: no keyring is given");
  }
  ASSIGN_OR_RETURN(const OpenKeyring next, UnwrapKeyring(row, *keys->root));
  ASSIGN_OR_RETURN(const SecretBytes data_key,
                   DataKey(*keys, binding, key_row));
  v1::DataKey key;
  key.set_master_version(next.newest);
  *key.mutable_key() = Wrap(data_key, *next.masters.at(next.newest),
                            DataKeyContext(binding, next.newest));
  return key.SerializeAsString();
}

absl::StatusOr<std::string> LocalVault::ExportKeyring(const SecretBytes& key) {
  ASSIGN_OR_RETURN(const std::shared_ptr<const Keys> keys,
                   Ready("back up the keyring"));
  return RewrapKeyring(keys->row, keys->open, key).SerializeAsString();
}

absl::StatusOr<std::string> LocalVault::ImportKeyring(
    const std::string& exported, const SecretBytes& key) {
  ASSIGN_OR_RETURN(const std::shared_ptr<const Keys> keys,
                   Ready("restore the keyring"));
  v1::Keyring row;
  if (!row.ParseFromString(exported)) {
    return absl::DataLossError("restore the keyring: it cannot be read");
  }
  absl::StatusOr<OpenKeyring> open = UnwrapKeyring(row, key);
  if (!open.ok()) return Annotate(open.status(), "restore the keyring");
  return RewrapKeyring(row, *open, *keys->root).SerializeAsString();
}

}  // namespace bulwark::secrets
