// The file of the root key, outside of the state directory.
//
// Text: a key is a line of 64 hex digits; empty lines and what follows a # are
// ignored. The first key is the one in force. Others below it are older ones:
// what they wrap is wrapped anew with the first as soon as the file is read,
// and then they can be taken out.
#ifndef SECRETS_KEYRING_KEY_FILE_H_
#define SECRETS_KEYRING_KEY_FILE_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "secrets/secret_bytes.h"

namespace bulwark::secrets {

// The keys, the one in force first; never none. Errors say what is wrong with
// the file, and never what is in it: NOT_FOUND if there is no such file,
// FAILED_PRECONDITION if it is no regular file or others than its owner may
// read it, INVALID_ARGUMENT if it does not hold keys.
absl::StatusOr<std::vector<SecretBytes>> ReadKeyFile(const std::string& path);

// Makes the file with a new random key, mode 0400, on disk when this returns;
// its folder too, if that is missing. ALREADY_EXISTS if there is one: it is
// never replaced.
absl::Status CreateKeyFile(const std::string& path);

}  // namespace bulwark::secrets

#endif  // SECRETS_KEYRING_KEY_FILE_H_
