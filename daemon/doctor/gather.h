// Looks at the host.
#ifndef DAEMON_DOCTOR_GATHER_H_
#define DAEMON_DOCTOR_GATHER_H_

#include "base/clock.h"
#include "daemon/config.h"
#include "daemon/doctor/facts.h"
#include "store/store.h"

namespace bulwark::daemon {

// Changes nothing. What cannot be read is in the facts as what it means, or
// left at its default. Reads some hundred files of /proc: tens of milliseconds.
// Call it in the daemon's own namespaces. Thread-safe.
HostFacts Gather(const Config& config, store::MetadataStore& store,
                 Clock& clock);

// Its parts.
void GatherKernel(const Config& config, HostFacts& facts);
void GatherNetwork(const Config& config, store::MetadataStore& store,
                   HostFacts& facts);
void GatherHost(const Config& config, HostFacts& facts);
void GatherDaemon(const Config& config, HostFacts& facts);
void GatherRecords(store::MetadataStore& store, HostFacts& facts);

// The text of a small file of /proc or /sys; empty if it cannot be read.
std::string SmallFile(const std::string& path);
// The same as a number; 0 if it is none.
int64_t NumberIn(const std::string& path);

}  // namespace bulwark::daemon

#endif  // DAEMON_DOCTOR_GATHER_H_
