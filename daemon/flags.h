// Every flag of bulwarkd: one table for the command line, the configuration
// file and their reference in docs/configuration.md.
#ifndef DAEMON_FLAGS_H_
#define DAEMON_FLAGS_H_

#include <string>
#include <variant>
#include <vector>

#include "absl/types/span.h"
#include "daemon/config.h"

namespace bulwark::daemon {

// Where a flag's value goes.
using FlagTarget =
    std::variant<std::string Config::*, std::vector<std::string> Config::*,
                 int Config::*, bool Config::*>;

struct Flag {
  const char* name;  // without its dashes; the same in the file
  const char* help;
  FlagTarget target;
  // A wish for this one start: not a setting, and refused in the file.
  bool command_line_only = false;
};

absl::Span<const Flag> Flags();

// What `config` holds for the flag, as it is written in the file: "info",
// "[10.0.0.1, 10.0.0.2]", "0", "false"; "" for a text that is empty.
std::string ValueOf(const Flag& flag, const Config& config);

}  // namespace bulwark::daemon

#endif  // DAEMON_FLAGS_H_
