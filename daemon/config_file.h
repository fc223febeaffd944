// The configuration file: the command line's flags as YAML.
#ifndef DAEMON_CONFIG_FILE_H_
#define DAEMON_CONFIG_FILE_H_

#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "daemon/config.h"

namespace bulwark::daemon {

// Read at every start if it exists, and no other file is named.
inline constexpr char kDefaultConfigFile[] = "/etc/bulwark/bulwarkd.yaml";

// Sets in `config` what `text` sets. INVALID_ARGUMENT lists everything that is
// wrong, one fault a line, as "FILE:LINE:COLUMN: SETTING: what; what to do".
absl::Status ParseConfigFile(absl::string_view file, absl::string_view text,
                             Config& config);

// The same for the file `path`. NOT_FOUND if there is none;
// FAILED_PRECONDITION if everybody may write it. /dev/null has no settings.
absl::Status ReadConfigFile(const std::string& path, Config& config);

}  // namespace bulwark::daemon

#endif  // DAEMON_CONFIG_FILE_H_
