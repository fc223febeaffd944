// bulwark-oci: a container runtime as the OCI runtime specification 1.2 and
// the callers of runc expect one.
#include <fcntl.h>
#include <unistd.h>

#include <cstdio>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/unique_fd.h"
#include "engine/oci/commands.h"
#include "nlohmann/json.hpp"
#include "os/files.h"

namespace bulwark::engine::oci {
namespace {

// What went wrong, for people and for who asked for a log.
void Report(const Invocation& invocation, const absl::Status& status) {
  const std::string message(status.message());
  fprintf(stderr, "bulwark-oci: %s\n", message.c_str());
  if (invocation.log.empty()) return;
  const UniqueFd fd(open(invocation.log.c_str(),
                         O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644));
  if (!fd.ok()) return;
  const std::string time = absl::FormatTime(
      absl::RFC3339_full, RealClock().Now(), absl::UTCTimeZone());
  const std::string line =
      invocation.json_log
          ? nlohmann::json(
                {{"level", "error"}, {"msg", message}, {"time", time}})
                .dump(-1, ' ', false, nlohmann::json::error_handler_t::replace)
          : absl::StrCat("time=\"", time, "\" level=error msg=", message);
  // The caller has the text on standard error too.
  os::WriteAll(fd.get(), line + "\n", invocation.log).IgnoreError();
}

int Main(int argc, char** argv) {
  const std::vector<std::string> words(argv + 1, argv + argc);
  RealClock clock;
  Invocation invocation;
  const absl::StatusOr<int> code = Execute(words, clock, invocation);
  if (code.ok()) return *code;
  Report(invocation, code.status());
  // As runc's exec: its own failures are told from the program's by a number
  // that programs use less.
  return invocation.verb == "exec" ? 255 : 1;
}

}  // namespace
}  // namespace bulwark::engine::oci

int main(int argc, char** argv) {
  bulwark::InitLogging(bulwark::LogLevel::kWarn, /*json=*/false);
  return bulwark::engine::oci::Main(argc, argv);
}
