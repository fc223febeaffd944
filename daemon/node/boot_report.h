// How the services came back after the host did. Pure.
#ifndef DAEMON_NODE_BOOT_REPORT_H_
#define DAEMON_NODE_BOOT_REPORT_H_

#include <string>
#include <vector>

#include "absl/time/time.h"
#include "proto/bulwark/v1/objects.pb.h"

namespace bulwark::daemon {

struct BootFacts {
  absl::Time boot_time;   // of the host
  absl::Time start_time;  // of the first bulwarkd since then
  absl::Time now;
  std::vector<v1::Service> services;
};

struct BootReport {
  bool done = false;  // every service that should run is available
  int waiting = 0;    // services that are not
  // A line on the host, then one for each service, each after those that it
  // depends on.
  std::string text;
};

// Services that are stopped, or have no replica, are left out.
BootReport ReportBoot(const BootFacts& facts);

}  // namespace bulwark::daemon

#endif  // DAEMON_NODE_BOOT_REPORT_H_
