// The directory that a process starts in.
#ifndef ENGINE_PLAN_WORKDIR_H_
#define ENGINE_PLAN_WORKDIR_H_

#include <string>

#include "engine/plan/plan_builder.h"

namespace bulwark::engine {

// For a container's first process: makes `path` if it is not there. A process
// that joins a container gets none made.
void AddMakeWorkdir(const std::string& path, PlanBuilder& plan);

// Goes to `path`, which is to be there.
void AddWorkdir(const std::string& path, PlanBuilder& plan);

}  // namespace bulwark::engine

#endif  // ENGINE_PLAN_WORKDIR_H_
