// Random histories with faults, and what must hold at every step of them.
#ifndef TESTS_SIM_SIM_H_
#define TESTS_SIM_SIM_H_

#include <cstdint>
#include <map>
#include <string>

#include "scheduler/rollout/plan.h"

namespace bulwark::sim {

// How often something happened over all histories: a simulator that never met
// a fault has proved nothing about it.
using Coverage = std::map<std::string, int>;

// One history: users apply, roll, scale, stop and delete; containers crash and
// fail to start, pulls fail, connections linger, the daemon crashes, the host
// reboots. Then the faults stop, and everything must converge.
//
// Returns what was violated first, with the time and the last actions; empty
// if nothing was. The same arguments give the same history.
std::string RunHistory(
    uint64_t seed, Coverage& coverage,
    scheduler::PlannerBug bug = scheduler::PlannerBug::kNone);

}  // namespace bulwark::sim

#endif  // TESTS_SIM_SIM_H_
