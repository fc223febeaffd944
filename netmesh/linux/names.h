// Names of kernel objects, from the instance and an id. All of them carry the
// instance, so that an operator and the next process recognise them.
#ifndef NETMESH_LINUX_NAMES_H_
#define NETMESH_LINUX_NAMES_H_

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "os/ip_address.h"
#include "os/netlink.h"

namespace bulwark::netmesh {

enum class LinkKind : char {
  kBridge = 'b',
  kSandbox = 'v',
  kSpare = 's',  // of a sandbox to come
};

// How many spare sandboxes are kept: more than starts one after the other use
// up, whatever runs beside them.
inline constexpr size_t kSpareSandboxes = 8;

// 15 characters at most (IFNAMSIZ): the instance (7 characters; a longer one
// is shortened and hashed), the kind, and a hash of the id.
std::string LinkName(absl::string_view instance, LinkKind kind,
                     absl::string_view id);
// What every LinkName of the instance and kind begins with.
std::string LinkPrefix(absl::string_view instance, LinkKind kind);
// The host's end of the uplink. The other end is "uplink".
std::string UplinkName(absl::string_view instance);
inline constexpr absl::string_view kUplinkInside = "uplink";

// The name of our nftables tables.
std::string TableName(absl::string_view instance);

// The alias is set as the last step of making a link, and holds its spec:
// a link without one is half made. Fields hold no spaces; an empty one is "-".
// There is at least one field.
inline constexpr absl::string_view kNetworkKind = "network";
inline constexpr absl::string_view kSandboxKind = "sandbox";
std::string FormatAlias(absl::string_view instance, absl::string_view kind,
                        const std::vector<std::string>& fields);
// The fields, if `alias` is the instance's and of that kind.
std::optional<std::vector<std::string>> ParseAlias(absl::string_view alias,
                                                   absl::string_view instance,
                                                   absl::string_view kind);

// A locally administered address that follows from the IPv4 address: whoever
// takes over the address keeps the neighbours' caches right.
os::MacAddress MacFor(const os::IpAddress& address);

}  // namespace bulwark::netmesh

#endif  // NETMESH_LINUX_NAMES_H_
