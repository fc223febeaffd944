// One subcommand's flags, over CLI11, whose headers are too large to be in
// every command.
#ifndef CTL_COMMAND_H_
#define CTL_COMMAND_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "ctl/context.h"

namespace CLI {
class App;
}  // namespace CLI

namespace bulwark::ctl {

// Values are written by the parser: they must live until the action has run.
// `names` are CLI11's, "-f,--filename". Thread-compatible.
class Command {
 public:
  enum Need { kOptional, kRequired };

  // Adds the subcommand `name` to `app`. Global flags may follow it.
  Command(CLI::App& app, Context& context, const std::string& name,
          const std::string& help);

  Command& Flag(const std::string& names, bool& value, const std::string& help);
  // "--generate{32}": given alone it is 32, and "--generate=64" another number.
  Command& Flag(const std::string& names, int64_t& value,
                const std::string& help);
  Command& Option(const std::string& names, std::string& value,
                  const std::string& help, Need need = kOptional);
  // Repeatable, one value each time.
  Command& Option(const std::string& names, std::vector<std::string>& values,
                  const std::string& help, Need need = kOptional);
  Command& Option(const std::string& names, int64_t& value,
                  const std::string& help, Need need = kOptional);
  // Where 0 is not the same as no number.
  Command& Option(const std::string& names, std::optional<int64_t>& value,
                  const std::string& help);
  // One positional argument, and all that are left.
  Command& Word(const std::string& name, std::string& value,
                const std::string& help, Need need = kOptional);
  Command& Words(const std::string& name, std::vector<std::string>& values,
                 const std::string& help, Need need = kOptional);
  // The words after the first one are a command of the user's, in which
  // nothing is a flag of ctl's: `exec web ls -l`. With `flags_after`, flags may
  // still stand between the two: `exec web -it sh`. A "--" before the command
  // is dropped.
  Command& Tail(std::vector<std::string>& values, bool flags_after);

  // What runs when the subcommand is given. Last.
  void Action(Context::Action action);
  // Has subcommands of its own, one of which must be given.
  CLI::App& Group();

 private:
  CLI::App& sub_;
  Context& context_;
};

}  // namespace bulwark::ctl

#endif  // CTL_COMMAND_H_
