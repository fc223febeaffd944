// Port of the probes' execution.
#ifndef SCHEDULER_HEALTH_PROBER_H_
#define SCHEDULER_HEALTH_PROBER_H_

#include <string>
#include <vector>

#include "absl/time/time.h"

namespace bulwark::scheduler {

struct ProbeTarget {
  enum class Kind { kHttp, kTcp, kExec };
  Kind kind = Kind::kTcp;
  std::string address;               // kHttp, kTcp: the replica's
  int port = 0;                      // likewise
  std::string path;                  // kHttp
  std::string container_id;          // kExec: of the engine
  std::vector<std::string> command;  // kExec
  absl::Duration timeout;
};

struct ProbeResult {
  bool success = false;
  std::string message;  // why not, e.g. "http :80/up: 503 Service Unavailable"
};

// Thread-safe.
class Prober {
 public:
  virtual ~Prober() = default;
  // Runs one probe, within target.timeout (plus scheduling).
  virtual ProbeResult Run(const ProbeTarget& target) = 0;
};

}  // namespace bulwark::scheduler

#endif  // SCHEDULER_HEALTH_PROBER_H_
