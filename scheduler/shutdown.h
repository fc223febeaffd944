// In which order services end when the host goes down. Pure.
#ifndef SCHEDULER_SHUTDOWN_H_
#define SCHEDULER_SHUTDOWN_H_

#include <set>
#include <string>

#include "base/graph.h"

namespace bulwark::scheduler {

// Of the services in `live` (those that still have replicas) the ones that
// nothing live depends on, directly or over others: they may end now. In a
// cycle, which no apply admits but an old store may hold, all end together.
// Never empty while something lives.
std::set<std::string> StopNext(const DependencyGraph& services,
                               const std::set<std::string>& live);

}  // namespace bulwark::scheduler

#endif  // SCHEDULER_SHUTDOWN_H_
