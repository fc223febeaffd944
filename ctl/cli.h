// The command line.
#ifndef CTL_CLI_H_
#define CTL_CLI_H_

#include <memory>
#include <string>
#include <vector>

#include "ctl/context.h"

namespace CLI {
class App;
}  // namespace CLI

namespace bulwark::ctl {

constexpr absl::string_view kDefaultSocket =
    "unix:///run/bulwark/bulwarkd.sock";

// Every verb; the parsed values land in `context`.
std::shared_ptr<CLI::App> MakeApp(Context& context);

// Parses `arguments` (without the program's name) and runs the command; prints
// its error. Returns the exit code: see errors.h.
int RunCtl(const std::vector<std::string>& arguments, Context& context);

}  // namespace bulwark::ctl

#endif  // CTL_CLI_H_
