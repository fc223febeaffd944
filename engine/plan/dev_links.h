// What every container has in its /dev beside nodes.
#ifndef ENGINE_PLAN_DEV_LINKS_H_
#define ENGINE_PLAN_DEV_LINKS_H_

#include <cstdint>

#include "engine/plan/plan_builder.h"

namespace bulwark::engine {

// Steps that make the links of /dev which the runtime specification names (fd,
// stdin, stdout, stderr, ptmx). `flags`: of the steps, child::kOptional where
// what is there already may stay.
void AddDevLinks(Stage stage, uint32_t flags, PlanBuilder& plan);

}  // namespace bulwark::engine

#endif  // ENGINE_PLAN_DEV_LINKS_H_
