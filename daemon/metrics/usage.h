// What everything uses, as samples. Pure.
#ifndef DAEMON_METRICS_USAGE_H_
#define DAEMON_METRICS_USAGE_H_

#include "metrics/samples.h"
#include "scheduler/usage/usage.h"

namespace bulwark::daemon {

// The series of containers and of the host. What is not known is left out.
void AddUsage(const scheduler::UsageSample& usage, metrics::Samples& samples);

}  // namespace bulwark::daemon

#endif  // DAEMON_METRICS_USAGE_H_
