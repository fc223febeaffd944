#include "netmesh/linux/rules.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "netmesh/linux/names.h"
#include "os/netlink.h"

namespace bulwark::netmesh {
namespace {

// Adding first makes the deletion valid where there is no table yet.
std::string Replace(absl::string_view family, absl::string_view table,
                    absl::string_view body) {
  return absl::StrCat("add table ", family, " ", table, "\n", "delete table ",
                      family, " ", table, "\n", "table ", family, " ", table,
                      " {\n", body, "}\n");
}

constexpr absl::string_view kHostBody = R"(
  chain postrouting {
    type nat hook postrouting priority srcnat; policy accept;
    ip saddr $SUBNET oifname != "$UPLINK" masquerade
  }
  chain forward {
    type filter hook forward priority filter; policy accept;
    oifname "$UPLINK" ct state established,related accept
    oifname "$UPLINK" drop
  }
  chain input {
    type filter hook input priority filter; policy accept;
    iifname "$UPLINK" ct state established,related accept
$HOST_ACCESS  }
)";

// A listener on a virtual address is the proxy's, which checks the policy. The
// gateway answers DNS and ping, and only to its own network.
constexpr absl::string_view kInetBody = R"(
  set bridges { type ifname; }
  set pairs { type ifname . ifname; }
  set gateways4 { type ifname . ipv4_addr; }
  set gateways6 { type ifname . ipv6_addr; }
  chain input {
    type filter hook input priority filter; policy drop;
    iifname "lo" accept
    ct state established,related accept
    iifname != @bridges drop
    icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept
    ip daddr $VIRTUAL accept
    iifname . ip daddr @gateways4 meta l4proto { tcp, udp } th dport 53 accept
    iifname . ip daddr @gateways4 icmp type echo-request accept
    iifname . ip6 daddr @gateways6 meta l4proto { tcp, udp } th dport 53 accept
    iifname . ip6 daddr @gateways6 icmpv6 type echo-request accept
    reject with icmpx admin-prohibited
  }
  chain forward {
    type filter hook forward priority filter; policy drop;
    ct state established,related accept
    iifname . oifname @pairs accept
$LINK_LOCAL    iifname @bridges oifname "$INSIDE" accept
    iifname @bridges reject with icmpx admin-prohibited
  }
  chain postrouting {
    type nat hook postrouting priority srcnat; policy accept;
    oifname "$INSIDE" masquerade
  }
)";

// A frame enters a bridge only from the port, MAC and address of a sandbox.
// Containers never announce routers.
constexpr absl::string_view kBridgeBody = R"(
  set ports { type ifname . ether_addr; }
  set ports4 { type ifname . ether_addr . ipv4_addr; }
  set ports6 { type ifname . ether_addr . ipv6_addr; }
  chain prerouting {
    type filter hook prerouting priority filter; policy drop;
    iifname . ether saddr . ip saddr @ports4 accept
    iifname . ether saddr != @ports drop
    iifname . arp saddr ether . arp saddr ip @ports4 accept
    icmpv6 type { nd-router-advert, nd-redirect } drop
    iifname . ether saddr . ip6 saddr @ports6 accept
    ip6 saddr fe80::/10 accept
    ip6 saddr :: icmpv6 type nd-neighbor-solicit accept
  }
)";

void AppendElement(std::string* out, absl::string_view verb,
                   absl::string_view set, absl::string_view element) {
  absl::StrAppend(out, verb, " element ", set, " { ", element, " }\n");
}

std::string Quote(absl::string_view name) {
  return absl::StrCat("\"", name, "\"");
}

// The same as SandboxElements(), in nft's language.
void AppendSandbox(std::string* out, const RulesConfig& config,
                   const SandboxPlan& sandbox) {
  const std::string table = "bridge " + TableName(config.instance) + " ";
  const std::string port = absl::StrCat(
      Quote(LinkName(config.instance, LinkKind::kSandbox, sandbox.spec.id)),
      " . ", os::FormatMac(MacFor(sandbox.address)));
  AppendElement(out, "add", table + "ports", port);
  AppendElement(out, "add", table + "ports4",
                absl::StrCat(port, " . ", sandbox.address.ToString()));
  if (sandbox.address6) {
    AppendElement(out, "add", table + "ports6",
                  absl::StrCat(port, " . ", sandbox.address6->ToString()));
  }
}

}  // namespace

std::string HostRules(const RulesConfig& config) {
  const std::string uplink = UplinkName(config.instance);
  std::string access =
      config.allow_host_access
          ? ""
          : absl::StrCat("    iifname \"", uplink, "\" drop\n");
  return Replace(
      "inet", TableName(config.instance),
      absl::StrReplaceAll(kHostBody, {{"$SUBNET", config.uplink.ToString()},
                                      {"$UPLINK", uplink},
                                      {"$HOST_ACCESS", access}}));
}

std::string DataplaneRules(const RulesConfig& config,
                           const std::vector<NetworkPlan>& networks,
                           const std::vector<SandboxPlan>& sandboxes) {
  const std::string table = TableName(config.instance);
  absl::string_view link_local =
      config.allow_link_local
          ? ""
          : "    ip daddr 169.254.0.0/16 reject with icmpx admin-prohibited\n";
  std::string text =
      Replace("inet", table,
              absl::StrReplaceAll(kInetBody,
                                  {{"$VIRTUAL", config.virtual_pool.ToString()},
                                   {"$INSIDE", kUplinkInside},
                                   {"$LINK_LOCAL", link_local}}));
  text += Replace("bridge", table, kBridgeBody);
  for (const NetworkPlan& network : networks) {
    text += NetworkElements(config, "add", network);
  }
  for (const SandboxPlan& sandbox : sandboxes) {
    AppendSandbox(&text, config, sandbox);
  }
  return text;
}

std::string NetworkElements(const RulesConfig& config, absl::string_view verb,
                            const NetworkPlan& network) {
  const std::string table = "inet " + TableName(config.instance) + " ";
  const std::string bridge =
      Quote(LinkName(config.instance, LinkKind::kBridge, network.spec.id));
  std::string text;
  AppendElement(&text, verb, table + "bridges", bridge);
  AppendElement(&text, verb, table + "pairs",
                absl::StrCat(bridge, " . ", bridge));
  AppendElement(&text, verb, table + "gateways4",
                absl::StrCat(bridge, " . ", network.gateway.ToString()));
  if (network.gateway6) {
    AppendElement(&text, verb, table + "gateways6",
                  absl::StrCat(bridge, " . ", network.gateway6->ToString()));
  }
  return text;
}

std::vector<os::NftElement> SandboxElements(const RulesConfig& config,
                                            const SandboxPlan& sandbox) {
  const std::string link =
      LinkName(config.instance, LinkKind::kSandbox, sandbox.spec.id);
  const os::MacAddress mac = MacFor(sandbox.address);
  const auto key = [&](const os::IpAddress* address) {
    os::NftKey fields;
    fields.AddInterface(link).Add(mac.data(), mac.size());
    if (address != nullptr) {
      fields.Add(address->bytes.data(), static_cast<size_t>(address->size()));
    }
    return fields.Take();
  };
  std::vector<os::NftElement> elements = {{"ports", key(nullptr)},
                                          {"ports4", key(&sandbox.address)}};
  if (sandbox.address6) elements.push_back({"ports6", key(&*sandbox.address6)});
  return elements;
}

}  // namespace bulwark::netmesh
