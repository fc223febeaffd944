// What the host's firewall does with forwarded packets, read from nft's text.
// Pure.
#ifndef DAEMON_DOCTOR_FIREWALL_H_
#define DAEMON_DOCTOR_FIREWALL_H_

#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace bulwark::daemon {

struct ChainName {
  std::string table;  // "ip filter": family and name
  std::string chain;
};

// The chains that hook into forwarding, of `nft list chains`.
std::vector<ChainName> ForwardChains(absl::string_view text);

// Whether a chain, of `nft list chain`, drops or rejects what none of its rules
// accepts: by its policy, or by a last rule without a condition.
bool DropsByDefault(absl::string_view text);

// The sockets (inodes) that listen on the port, of /proc/net/tcp or tcp6.
std::vector<std::string> ListeningInodes(absl::string_view text, int port);

}  // namespace bulwark::daemon

#endif  // DAEMON_DOCTOR_FIREWALL_H_
