// What stands between containers, their clients and the world.
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "daemon/doctor/judge.h"

namespace bulwark::daemon {
namespace {

void Nftables(const HostFacts& facts, v1::DoctorResponse& response) {
  if (facts.nft_error.empty()) {
    AddGood(response, "nftables", "rules can be read and written");
  } else {
    AddBad(response, "nftables",
           absl::StrCat(facts.nft_error,
                        ": networks are neither isolated nor reach the world"),
           "modprobe nf_tables, or boot a kernel that has it");
  }
}

// Which rule accepts what cannot be told for sure: a chain that drops by
// default and names our uplink is taken for one that lets it pass.
void Egress(const HostFacts& facts, v1::DoctorResponse& response) {
  if (!facts.ip_forward) {
    AddBad(response, "egress",
           "the host does not forward IPv4: containers reach no other host",
           "sysctl net.ipv4.ip_forward=1; bulwarkd sets it, find out who "
           "unsets it");
    return;
  }
  std::vector<std::string> closed, open;
  for (const ForwardChain& chain : facts.forward_chains) {
    if (!chain.drops) continue;
    (chain.knows_uplink ? open : closed)
        .push_back(
            absl::StrCat("chain ", chain.name, " of table ", chain.table));
  }
  if (!closed.empty()) {
    const bool legacy = closed[0].find("legacy") != std::string::npos;
    AddBad(response, "egress",
           absl::StrCat(
               "containers reach no other host: ", absl::StrJoin(closed, ", "),
               closed.size() == 1 ? " drops" : " drop",
               " what no rule of the host's firewall accepts"),
           absl::StrCat(
               legacy ? "iptables-legacy" : "iptables", " -I FORWARD -i ",
               facts.uplink, " -j ACCEPT and the same with -o ", facts.uplink,
               "; with ufw: ufw route allow in on ", facts.uplink,
               "; with firewalld: firewall-cmd --permanent --zone=trusted "
               "--add-interface=",
               facts.uplink));
  } else if (!open.empty()) {
    AddGood(response, "egress",
            absl::StrCat("forwarded through ", facts.uplink, "; ",
                         absl::StrJoin(open, ", "),
                         " drops by default and has rules for it"));
  } else {
    AddGood(response, "egress",
            absl::StrCat("forwarded through ", facts.uplink));
  }
}

void Ipv6(const HostFacts& facts, v1::DoctorResponse& response) {
  if (facts.ipv6) {
    AddGood(response, "ipv6", "published ports listen on it too");
  } else {
    AddLimited(response, "ipv6",
               "switched off: published ports listen on IPv4 only",
               "sysctl net.ipv6.conf.all.disable_ipv6=0, if it is wanted");
  }
}

void Dns(const HostFacts& facts, v1::DoctorResponse& response) {
  if (facts.dns_upstreams.empty()) {
    AddLimited(response, "dns",
               "no server for foreign names: containers resolve services only",
               "name one: dns-upstream in bulwarkd.yaml, or a nameserver in "
               "/etc/resolv.conf that is not link-local");
  } else {
    AddGood(response, "dns",
            absl::StrCat("foreign names are asked of ",
                         absl::StrJoin(facts.dns_upstreams, ", ")));
  }
}

void Ports(const HostFacts& facts, v1::DoctorResponse& response) {
  if (facts.closed_ports.empty()) {
    AddGood(response, "ports", "every published port is open");
    return;
  }
  std::vector<std::string> lines;
  for (const ClosedPort& port : facts.closed_ports) {
    lines.push_back(absl::StrCat(
        "service ", port.service, ": ", port.message,
        port.holders.empty()
            ? ""
            : absl::StrCat(" (held by ", absl::StrJoin(port.holders, ", "),
                           ")")));
  }
  AddBad(response, "ports", absl::StrJoin(lines, "; "),
         "stop what holds the port, or choose another hostPort; it is tried "
         "again by itself");
}

void Tracking(const HostFacts& facts, v1::DoctorResponse& response) {
  const int64_t now = facts.tracked_connections;
  const int64_t most = facts.max_tracked_connections;
  if (most <= 0) {
    AddGood(response, "conntrack", "connections are not tracked");
    return;
  }
  const std::string numbers =
      absl::StrCat(now, " of ", most, " tracked connections");
  if (now * 10 >= most * 8) {
    AddLimited(
        response, "conntrack",
        absl::StrCat(numbers,
                     ": the kernel drops new ones when the "
                     "table is full"),
        absl::StrCat("sysctl net.netfilter.nf_conntrack_max=", most * 2));
  } else {
    AddGood(response, "conntrack", numbers);
  }
}

}  // namespace

void JudgeNetwork(const HostFacts& facts, v1::DoctorResponse& response) {
  Nftables(facts, response);
  Egress(facts, response);
  Ipv6(facts, response);
  Dns(facts, response);
  Ports(facts, response);
  Tracking(facts, response);
}

}  // namespace bulwark::daemon
