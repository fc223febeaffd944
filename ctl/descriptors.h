// The API's schema with its comments, as it was at build time.
#ifndef CTL_DESCRIPTORS_H_
#define CTL_DESCRIPTORS_H_

#include "absl/strings/string_view.h"

namespace bulwark::ctl {

// A serialized google.protobuf.FileDescriptorSet with source information.
absl::string_view Descriptors();

}  // namespace bulwark::ctl

#endif  // CTL_DESCRIPTORS_H_
