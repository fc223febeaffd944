#include "secrets/keyring/keyring.h"

#include <sodium.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "secrets/envelope.h"

namespace bulwark::secrets {
namespace {

static_assert(kKeySize == crypto_box_SECRETKEYBYTES);

v1::MasterKey MakeMaster(int64_t version, const SecretBytes& root,
                         absl::Time now) {
  v1::MasterKey master;
  master.set_version(version);
  master.set_create_time(absl::ToUnixSeconds(now));
  *master.mutable_key() = Wrap(SecretBytes::Random(kKeySize), root,
                               MasterContext(version, master.create_time()));
  return master;
}

}  // namespace

v1::Keyring NewKeyring(const SecretBytes& root, absl::Time now) {
  v1::Keyring keyring;
  keyring.set_format(kKeyringFormat);
  keyring.set_root_id(KeyId(root));
  *keyring.add_masters() = MakeMaster(1, root, now);
  SecretBytes private_key(crypto_box_SECRETKEYBYTES);
  std::string public_key(crypto_box_PUBLICKEYBYTES, '\0');
  crypto_box_keypair(reinterpret_cast<uint8_t*>(public_key.data()),
                     private_key.data());
  keyring.set_public_key(public_key);
  *keyring.mutable_private_key() =
      Wrap(private_key, root, PrivateKeyContext(public_key));
  *keyring.mutable_digest_key() =
      Wrap(SecretBytes::Random(kKeySize), root, DigestKeyContext(public_key));
  return keyring;
}

absl::StatusOr<OpenKeyring> UnwrapKeyring(const v1::Keyring& keyring,
                                          const SecretBytes& root) {
  if (keyring.format() != kKeyringFormat) {
    return absl::FailedPreconditionError(
        absl::StrCat("the keyring has the format ", keyring.format(),
                     ", of another version of bulwarkd"));
  }
  if (keyring.root_id() != KeyId(root)) {
    return absl::FailedPreconditionError("another key wraps the keyring");
  }
  if (keyring.masters().empty()) {
    return absl::DataLossError("the keyring holds no master key");
  }
  OpenKeyring open;
  for (const v1::MasterKey& master : keyring.masters()) {
    ASSIGN_OR_RETURN(
        SecretBytes key,
        Unwrap(master.key(), root,
               MasterContext(master.version(), master.create_time())));
    open.masters[master.version()] =
        std::make_shared<const SecretBytes>(std::move(key));
    if (master.version() < open.newest) continue;
    open.newest = master.version();
    open.newest_time = absl::FromUnixSeconds(master.create_time());
  }
  open.public_key = keyring.public_key();
  ASSIGN_OR_RETURN(
      open.private_key,
      Unwrap(keyring.private_key(), root, PrivateKeyContext(open.public_key)));
  ASSIGN_OR_RETURN(open.digest_key, Unwrap(keyring.digest_key(), root,
                                           DigestKeyContext(open.public_key)));
  return open;
}

v1::Keyring RewrapKeyring(const v1::Keyring& keyring, const OpenKeyring& open,
                          const SecretBytes& root) {
  v1::Keyring next = keyring;
  next.set_root_id(KeyId(root));
  for (v1::MasterKey& master : *next.mutable_masters()) {
    *master.mutable_key() =
        Wrap(*open.masters.at(master.version()), root,
             MasterContext(master.version(), master.create_time()));
  }
  *next.mutable_private_key() =
      Wrap(open.private_key, root, PrivateKeyContext(open.public_key));
  *next.mutable_digest_key() =
      Wrap(open.digest_key, root, DigestKeyContext(open.public_key));
  return next;
}

v1::Keyring WithNewMaster(const v1::Keyring& keyring, const SecretBytes& root,
                          absl::Time now) {
  v1::Keyring next = keyring;
  int64_t newest = 0;
  for (const v1::MasterKey& master : keyring.masters()) {
    newest = std::max(newest, master.version());
  }
  next.clear_masters();
  *next.add_masters() = MakeMaster(newest + 1, root, now);
  return next;
}

}  // namespace bulwark::secrets
