// Runs probes with what the daemon has: sockets of the data-plane namespace for
// http and tcp, the engine for exec.
#ifndef DAEMON_PROBER_H_
#define DAEMON_PROBER_H_

#include "base/clock.h"
#include "engine/engine.h"
#include "netmesh/network.h"
#include "scheduler/health/prober.h"

namespace bulwark::daemon {

// Thread-safe. The references must outlive this object.
class LocalProber final : public scheduler::Prober {
 public:
  LocalProber(engine::Engine& engine, netmesh::Network& network, Clock& clock)
      : engine_(engine), network_(network), clock_(clock) {}

  scheduler::ProbeResult Run(const scheduler::ProbeTarget& target) override;

 private:
  scheduler::ProbeResult RunExec(const scheduler::ProbeTarget& target);

  engine::Engine& engine_;
  netmesh::Network& network_;
  Clock& clock_;
};

}  // namespace bulwark::daemon

#endif  // DAEMON_PROBER_H_
