// Signals by name, as manifests and images write them.
#ifndef BASE_SIGNALS_H_
#define BASE_SIGNALS_H_

#include <optional>

#include "absl/strings/string_view.h"

namespace bulwark {

// The number of "SIGTERM", "TERM", "sigterm", "15", "SIGRTMIN+3" or
// "SIGRTMAX-1" on this machine; nothing for what names no signal. Pure.
std::optional<int> ParseSignal(absl::string_view text);

}  // namespace bulwark

#endif  // BASE_SIGNALS_H_
