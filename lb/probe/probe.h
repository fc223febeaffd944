// Health probes over the network.
#ifndef LB_PROBE_PROBE_H_
#define LB_PROBE_PROBE_H_

#include <cstdint>
#include <functional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/clock.h"
#include "base/unique_fd.h"

namespace bulwark::lb {

struct ProbeResult {
  bool success = false;
  // Why not, in words for a person: "connect 10.0.0.2:80: Connection refused".
  std::string reason;
};

// socket(2), wherever the probe's connection should come from.
using SocketFactory =
    std::function<absl::StatusOr<UniqueFd>(int domain, int type, int protocol)>;

// Makes sockets in the calling thread's namespace.
absl::StatusOr<UniqueFd> OpenSocket(int domain, int type, int protocol);

// Both block for at most `timeout`, and are for any thread. A connect is a
// success for ProbeTcp; ProbeHttp sends `GET path` (HTTP/1.1, one request per
// connection) and takes a status of 200 to 399. Of the answer at most 4 KiB are
// read. A malformed address, port or path is a failure with its reason.
ProbeResult ProbeTcp(const SocketFactory& open_socket,
                     const std::string& address, uint32_t port,
                     absl::Duration timeout, Clock& clock);
ProbeResult ProbeHttp(const SocketFactory& open_socket,
                      const std::string& address, uint32_t port,
                      const std::string& path, absl::Duration timeout,
                      Clock& clock);

}  // namespace bulwark::lb

#endif  // LB_PROBE_PROBE_H_
