// The version of ctl.
#ifndef CTL_VERSION_H_
#define CTL_VERSION_H_

#include "absl/strings/string_view.h"

namespace bulwark::ctl {

constexpr absl::string_view kVersion = "0.1.0";

}  // namespace bulwark::ctl

#endif  // CTL_VERSION_H_
