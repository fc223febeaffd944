// Programs that keep credentials: docker-credential-NAME.
#ifndef CTL_CREDENTIAL_HELPER_H_
#define CTL_CREDENTIAL_HELPER_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/clock.h"

namespace bulwark::ctl {

// What `docker-credential-NAME get` prints for `server`. NOT_FOUND if it has
// nothing; other errors say what the program did. It is killed after `timeout`.
absl::StatusOr<std::string> AskCredentialHelper(const std::string& name,
                                                const std::string& server,
                                                absl::Duration timeout,
                                                Clock& clock);

}  // namespace bulwark::ctl

#endif  // CTL_CREDENTIAL_HELPER_H_
