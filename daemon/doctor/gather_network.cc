// What stands between containers, their clients and the world.
#include <netinet/in.h>
// After the C library's header, which it makes way for.
#include <linux/netfilter_ipv4/ip_tables.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "base/status.h"
#include "base/unique_fd.h"
#include "daemon/doctor/firewall.h"
#include "daemon/doctor/gather.h"
#include "netmesh/linux/names.h"
#include "os/nft.h"
#include "store/objects.h"
#include "store/readable.h"

namespace bulwark::daemon {
namespace {

absl::Status GatherNft(const Config& config, HostFacts& facts) {
  ASSIGN_OR_RETURN(os::Nft nft, os::Nft::Open());
  ASSIGN_OR_RETURN(const std::string chains, nft.List("list chains", false));
  for (const ChainName& name : ForwardChains(chains)) {
    if (absl::EndsWith(name.table, " " + netmesh::TableName(config.instance))) {
      continue;
    }
    const std::string table =
        nft.List(absl::StrCat("list table ", name.table), false).value_or("");
    const std::string chain =
        nft.List(absl::StrCat("list chain ", name.table, " ", name.chain),
                 false)
            .value_or("");
    facts.forward_chains.push_back({name.table, name.chain,
                                    DropsByDefault(chain),
                                    absl::StrContains(table, facts.uplink)});
  }
  return absl::OkStatus();
}

// iptables of before nftables, if its table is there: asking would make it.
void GatherLegacy(HostFacts& facts) {
  if (!absl::StrContains(SmallFile("/proc/net/ip_tables_names"), "filter")) {
    return;
  }
  UniqueFd fd(socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW));
  ipt_getinfo info{};
  std::strcpy(info.name, "filter");
  socklen_t size = sizeof(info);
  if (getsockopt(fd.get(), IPPROTO_IP, IPT_SO_GET_INFO, &info, &size) != 0)
    return;
  std::string buffer(sizeof(ipt_get_entries) + info.size, '\0');
  auto* entries = reinterpret_cast<ipt_get_entries*>(buffer.data());
  std::strcpy(entries->name, "filter");
  entries->size = info.size;
  size = static_cast<socklen_t>(buffer.size());
  if (getsockopt(fd.get(), IPPROTO_IP, IPT_SO_GET_ENTRIES, entries, &size) !=
      0) {
    return;
  }
  // The policy is the entry that the chain falls through to.
  const size_t at = info.underflow[NF_INET_FORWARD];
  const size_t base = sizeof(ipt_get_entries);
  if (base + at + sizeof(ipt_entry) > buffer.size()) return;
  ipt_entry entry;
  std::memcpy(&entry, buffer.data() + base + at, sizeof(entry));
  xt_standard_target target;
  const size_t target_at = base + at + entry.target_offset;
  if (target_at + sizeof(target) > buffer.size()) return;
  std::memcpy(&target, buffer.data() + target_at, sizeof(target));
  facts.forward_chains.push_back({"iptables (legacy)", "FORWARD",
                                  target.verdict == -NF_DROP - 1,
                                  absl::StrContains(buffer, facts.uplink)});
}

// "nginx (pid 12)" of each process that has one of the sockets.
std::vector<std::string> HoldersOf(const std::set<std::string>& inodes) {
  std::vector<std::string> holders;
  std::error_code error;
  for (const auto& process :
       std::filesystem::directory_iterator("/proc", error)) {
    const std::string pid = process.path().filename();
    if (pid.find_first_not_of("0123456789") != std::string::npos) continue;
    for (const auto& fd :
         std::filesystem::directory_iterator(process.path() / "fd", error)) {
      const std::string target = std::filesystem::read_symlink(fd, error);
      absl::string_view inode = target;
      if (!absl::ConsumePrefix(&inode, "socket:[") ||
          !absl::ConsumeSuffix(&inode, "]") ||
          inodes.count(std::string(inode)) == 0) {
        continue;
      }
      std::string name = SmallFile(process.path() / "comm");
      absl::StripAsciiWhitespace(&name);
      holders.push_back(absl::StrCat(name, " (pid ", pid, ")"));
      break;
    }
  }
  return holders;
}

void GatherPorts(store::MetadataStore& store, HostFacts& facts) {
  const auto services = store::ListReadable(store, "service");
  if (!services.ok()) return;
  for (const v1::Object& object : services->objects) {
    const v1::Service& service = object.service();
    for (const v1::Condition& condition : service.status().conditions()) {
      if (condition.type() != "PortsOpen" ||
          condition.status() != v1::Condition::FALSE) {
        continue;
      }
      std::set<std::string> inodes;
      for (const v1::Port& port : service.spec().ports()) {
        if (port.host_port() == 0) continue;
        for (const char* file : {"/proc/net/tcp", "/proc/net/tcp6"}) {
          for (std::string& inode :
               ListeningInodes(SmallFile(file), port.host_port())) {
            inodes.insert(std::move(inode));
          }
        }
      }
      facts.closed_ports.push_back(
          {absl::StrCat(service.metadata().project(), "/",
                        service.metadata().name()),
           condition.message(),
           inodes.empty() ? std::vector<std::string>() : HoldersOf(inodes)});
    }
  }
}

}  // namespace

void GatherNetwork(const Config& config, store::MetadataStore& store,
                   HostFacts& facts) {
  facts.uplink = netmesh::UplinkName(config.instance);
  if (absl::Status status = GatherNft(config, facts); !status.ok()) {
    facts.nft_error = std::string(status.message());
  }
  GatherLegacy(facts);
  facts.ip_forward = NumberIn("/proc/sys/net/ipv4/ip_forward") == 1;
  const std::string off = SmallFile("/proc/sys/net/ipv6/conf/all/disable_ipv6");
  facts.ipv6 = absl::StartsWith(off, "0");
  facts.dns_upstreams = config.dns_upstreams;
  facts.tracked_connections =
      NumberIn("/proc/sys/net/netfilter/nf_conntrack_count");
  facts.max_tracked_connections =
      NumberIn("/proc/sys/net/netfilter/nf_conntrack_max");
  GatherPorts(store, facts);
}

}  // namespace bulwark::daemon
