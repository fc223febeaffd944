// What ctl build sends.
#ifndef CTL_BUILD_CONTEXT_H_
#define CTL_BUILD_CONTEXT_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "ctl/build_options.h"
#include "ctl/client.h"
#include "ctl/context.h"

namespace bulwark::ctl {

// Sets the Dockerfile and the contexts of `options`, and returns what is to be
// sent for them. The main context is a folder, "-" (standard input: a tar, or
// else a Dockerfile) or a URL. Files that .dockerignore names are not sent.
absl::StatusOr<std::vector<Client::BuildPart>> OpenBuildContexts(
    Context& context, const BuildFlags& flags, v1::BuildOptions& options);

}  // namespace bulwark::ctl

#endif  // CTL_BUILD_CONTEXT_H_
