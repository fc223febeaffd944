// Load on a port while the test does something to the service behind it.
#ifndef TESTS_E2E_TRAFFIC_H_
#define TESTS_E2E_TRAFFIC_H_

#include <sys/types.h>

#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "tests/load/load.h"

namespace bulwark::e2e {

// Load clients against one port of loopback, one for each mode. Runs until
// Finish().
class Traffic {
 public:
  // Of each load client.
  static constexpr int kConnections = 4;

  explicit Traffic(int port,
                   std::vector<load::Mode> modes = {load::Mode::kPerRequest,
                                                    load::Mode::kKeepAlive});
  ~Traffic();

  // Kills the process behind `backend` ("": the proxy) and waits until it is
  // gone. Dies with a CHECK if there is none.
  void Kill(pid_t pid, const std::string& backend);
  // Ends the load; a report for each mode, with what was in flight on killed
  // processes moved out of the failures.
  std::vector<load::LoadReport> Finish();

 private:
  RealClock clock_;
  std::atomic<bool> stop_ = false;
  std::vector<load::Kill> kills_;
  std::vector<load::LoadReport> reports_;
  std::vector<std::thread> threads_;
};

}  // namespace bulwark::e2e

#endif  // TESTS_E2E_TRAFFIC_H_
