// A load client that knows which backend answered, and what counts as failed.
#ifndef TESTS_LOAD_LOAD_H_
#define TESTS_LOAD_LOAD_H_

#include <atomic>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/clock.h"
#include "tests/load/histogram.h"

namespace bulwark::load {

enum class Mode {
  // Each request on a connection of its own: none may fail.
  kPerRequest,
  // Connections are reused. A request on a reused connection that closed before
  // the first byte of its answer is sent once more, on a new one; then none may
  // fail.
  kKeepAlive,
};

struct LoadOptions {
  // Numeric.
  std::string address = "127.0.0.1";
  uint32_t port = 80;
  std::string path = "/";
  Mode mode = Mode::kPerRequest;
  int connections = 8;
  absl::Duration duration = absl::Seconds(5);
  // Ends the run after so many answers; 0: only the time does.
  uint64_t answers_wanted = 0;
  // Requests a second in all; 0: as many as go.
  double rate = 0;
  // For one request, from connect to the end of the answer.
  absl::Duration timeout = absl::Seconds(10);
  std::string backend_header = "X-Backend";
  // Ends the run early when it becomes true; may be null.
  const std::atomic<bool>* stop = nullptr;
  // Counts the answers as they come; may be null.
  std::atomic<uint64_t>* answers = nullptr;
};

// A process that was killed on purpose (times of Clock::Steady).
struct Kill {
  // Right before the signal,
  absl::Duration at;
  // and when the process was seen to be gone, with all its sockets.
  absl::Duration gone;
  // Which backend it was; "": the proxy, through which all connections go.
  std::string backend;
};

struct LoadReport {
  // Answered with a status below 400.
  uint64_t requests = 0;
  // Broken, timed out, answered otherwise; without those of the next line.
  uint64_t failed = 0;
  // Broken by a kill that the test made: see ForgiveKilled.
  uint64_t in_flight_on_killed = 0;
  // Sent again (kKeepAlive).
  uint64_t retried = 0;
  std::map<std::string, uint64_t> by_backend;
  // Longest time between two answers, and between two connections made.
  absl::Duration max_gap;
  absl::Duration max_connect_gap;
  // Of an answered request, microseconds.
  Histogram latency_us;
  absl::Duration elapsed;
  // What went wrong, by kind: "connect: Connection refused" -> 3.
  std::map<std::string, uint64_t> errors;

  struct Broken {
    // When its connection was begun,
    absl::Duration began;
    // its last byte was given to the kernel (InfiniteDuration: never),
    absl::Duration sent;
    // and the connection ended under it.
    absl::Duration broke;
    // Who answers on that connection: "" while no answer has begun on it.
    std::string backend;
  };
  // Those among `failed` whose connection was made and then ended under them.
  std::vector<Broken> broken;
};

// One thread, until the time is over and every request has its answer.
// INVALID_ARGUMENT for a malformed address.
absl::StatusOr<LoadReport> RunLoad(const LoadOptions& options, Clock& clock);

// Moves from `failed` to `in_flight_on_killed` what nobody could have saved:
// - of a killed backend: a request whose bytes had been sent before it was
// gone,
//   and that broke after the signal, on a connection that is known to be the
//   backend's, or of which nothing is known. A connection that ends before the
//   request was sent is the proxy's to repair: it stays a failure.
// - of the killed proxy: a request on a connection begun before it was gone,
//   and that broke after the signal.
void ForgiveKilled(LoadReport& report, const std::vector<Kill>& kills);

// One JSON object.
std::string ToJson(const LoadReport& report);

}  // namespace bulwark::load

#endif  // TESTS_LOAD_LOAD_H_
