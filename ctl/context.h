// What every command gets.
#ifndef CTL_CONTEXT_H_
#define CTL_CONTEXT_H_

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "base/clock.h"
#include "ctl/client.h"
#include "ctl/io.h"

namespace bulwark::ctl {

// Thread-compatible; lives as long as the command runs.
class Context {
 public:
  using Environment =
      std::function<std::optional<std::string>(absl::string_view name)>;
  // What the parsed command line asks for; gives the exit code.
  using Action = std::function<absl::StatusOr<int>(Context&)>;

  Context(Io& io, Clock& clock, Environment environment)
      : io(io), clock(clock), environment(std::move(environment)) {}

  Io& io;
  Clock& clock;
  const Environment environment;

  // Global flags.
  std::string socket;
  std::string project;
  std::string timeout_text;
  Action action;

  // Subcommands that end in a command of the user's (Command::Tail).
  struct Tail {
    std::vector<std::string>* values = nullptr;
    bool flags_after = false;
  };
  std::map<std::string, Tail> tails;

  // Empty --project means this one.
  std::string ProjectOrDefault() const {
    return project.empty() ? "default" : project;
  }

  // --timeout, or `fallback`. The command line has been checked.
  absl::Duration Timeout(absl::Duration fallback) const;

  Client& client();

 private:
  std::unique_ptr<Client> client_;
};

}  // namespace bulwark::ctl

#endif  // CTL_CONTEXT_H_
