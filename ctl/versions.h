// Commands about the versions of secrets and configs.
#ifndef CTL_VERSIONS_H_
#define CTL_VERSIONS_H_

#include "ctl/command.h"
#include "ctl/context.h"

namespace bulwark::ctl {

// What `ctl secret` and `ctl config` have in common: adds list, history,
// rollback and delete to `group`. `kind` is one of the two, and outlives it.
void AddVersionCommands(CLI::App& group, Context& context, const char* kind);

}  // namespace bulwark::ctl

#endif  // CTL_VERSIONS_H_
