// Capabilities by name.
#ifndef BASE_CAPABILITIES_H_
#define BASE_CAPABILITIES_H_

#include <cstdint>
#include <optional>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace bulwark {

// The names without "CAP_", by number. Pure.
absl::Span<const char* const> CapabilityTable();

// The bit of "NET_ADMIN", "CAP_NET_ADMIN" or "net_admin", every bit for "ALL";
// nothing for what names none. Pure.
std::optional<uint64_t> CapabilityMask(absl::string_view name);

}  // namespace bulwark

#endif  // BASE_CAPABILITIES_H_
