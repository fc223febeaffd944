// Which programs this host can run.
#ifndef ENGINE_BUILD_PLATFORMS_H_
#define ENGINE_BUILD_PLATFORMS_H_

#include "absl/status/status.h"
#include "engine/image/manifest.h"

namespace bulwark::engine::build {

// OK, or FAILED_PRECONDITION with what to do: programs of another architecture
// need an emulator that the kernel knows (binfmt_misc).
absl::Status CheckRunnable(const image::Platform& platform);

}  // namespace bulwark::engine::build

#endif  // ENGINE_BUILD_PLATFORMS_H_
