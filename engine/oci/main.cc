// bulwark-oci: a container runtime as the OCI runtime specification 1.2 and
// the callers of runc expect one.
#include <fcntl.h>
#include <malloc.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
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

// What a run allocates, at once, as entry.cc does with the program's own
// memory; and none of it is given back before the end.
void PrepareHeap() {
  constexpr int kKept = 64 << 20;
  constexpr size_t kHeap = 112 << 10;
  constexpr uintptr_t kPage = 4096;
  constexpr int kPopulateWrite = 23;  // MADV_POPULATE_WRITE
  mallopt(M_TRIM_THRESHOLD, kKept);
  void* heap = std::malloc(kHeap);
  const uintptr_t begin =
      (reinterpret_cast<uintptr_t>(heap) + kPage - 1) & ~(kPage - 1);
  // Where the kernel cannot (before Linux 5.14), pages come one by one.
  madvise(reinterpret_cast<void*>(begin), kHeap - kPage, kPopulateWrite);
  std::free(heap);
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
  bulwark::engine::oci::PrepareHeap();
  bulwark::InitLogging(bulwark::LogLevel::kWarn, /*json=*/false);
  return bulwark::engine::oci::Main(argc, argv);
}
