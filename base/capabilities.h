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

// What a container has unless its profile says otherwise: CHOWN DAC_OVERRIDE
// FOWNER FSETID KILL SETGID SETUID SETPCAP NET_BIND_SERVICE.
inline constexpr uint64_t kBaselineCapabilities = 0x5fb;

}  // namespace bulwark

#endif  // BASE_CAPABILITIES_H_
