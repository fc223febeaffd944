// The shim that is built into bulwark-oci.
#ifndef ENGINE_OCI_SHIM_PROGRAM_H_
#define ENGINE_OCI_SHIM_PROGRAM_H_

#include "absl/strings/string_view.h"

namespace bulwark::engine::oci {

absl::string_view ShimProgram();

}  // namespace bulwark::engine::oci

#endif  // ENGINE_OCI_SHIM_PROGRAM_H_
