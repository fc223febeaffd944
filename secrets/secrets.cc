#include "secrets/secrets.h"

#include <sodium.h>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "proto/bulwark/secrets/v1/rows.pb.h"
#include "secrets/delivery.h"

namespace bulwark::secrets {

int64_t MasterVersionOf(const std::string& key_row) {
  v1::DataKey key;
  return key.ParseFromString(key_row) ? key.master_version() : 0;
}

std::string PlainDigest(absl::string_view value) {
  uint8_t digest[crypto_generichash_BYTES];
  crypto_generichash(digest, sizeof(digest),
                     reinterpret_cast<const uint8_t*>(value.data()),
                     value.size(), nullptr, 0);
  return absl::BytesToHexString(
      absl::string_view(reinterpret_cast<const char*>(digest), sizeof(digest)));
}

absl::Status SealedError(absl::string_view action, const VaultStatus& status) {
  return absl::FailedPreconditionError(
      absl::StrCat(action, ": the secrets are sealed: ", status.message, "; ",
                   status.remedy));
}

bool IsSwappable(absl::string_view path) {
  return (absl::ConsumePrefix(&path, absl::StrCat(kSecretsDirectory, "/")) ||
          absl::ConsumePrefix(&path, absl::StrCat(kConfigsDirectory, "/"))) &&
         !path.empty() && path.find('/') == absl::string_view::npos;
}

}  // namespace bulwark::secrets
