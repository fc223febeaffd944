// ctl, the command line client of bulwarkd.
#include <cstdlib>
#include <optional>
#include <string>
#include <vector>

#include "ctl/cli.h"

int main(int argc, char** argv) {
  // gRPC's own log is no help to users; errors come back as statuses.
  setenv("GRPC_VERBOSITY", "NONE", 0);
  bulwark::ctl::RealIo io;
  bulwark::RealClock clock;
  bulwark::ctl::Context context(
      io, clock, [](absl::string_view name) -> std::optional<std::string> {
        const char* value = std::getenv(std::string(name).c_str());
        if (value == nullptr) return std::nullopt;
        return value;
      });
  // Nothing is buffered, and threads of gRPC's still run: no destructors.
  std::_Exit(bulwark::ctl::RunCtl({argv + 1, argv + argc}, context));
}
