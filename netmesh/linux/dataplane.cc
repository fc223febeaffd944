#include "netmesh/linux/dataplane.h"

#include <fcntl.h>
#include <linux/netfilter.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/log.h"
#include "base/status.h"
#include "netmesh/linux/names.h"

namespace bulwark::netmesh {
namespace {

constexpr size_t kMaxInstance = 31;
constexpr absl::string_view kUplinkKind = "uplink";

struct Sysctl {
  const char* name;
  const char* value;
  bool optional;
};

// Ours alone: the namespace holds nothing but the data plane.
constexpr Sysctl kInsideSysctls[] = {
    {"ipv4/ip_forward", "1", false},
    {"ipv4/conf/all/rp_filter", "1", false},
    {"ipv4/conf/default/rp_filter", "1", false},
    {"ipv4/conf/all/accept_redirects", "0", false},
    {"ipv4/conf/all/send_redirects", "0", false},
    {"ipv4/conf/default/send_redirects", "0", false},
    // The proxy opens one connection to a backend for each client's.
    {"ipv4/tcp_tw_reuse", "1", true},
    {"ipv4/ip_local_port_range", "10000 65535", true},
    {"ipv4/ip_unprivileged_port_start", "0", true},
    {"core/somaxconn", "65535", true},
    {"ipv4/tcp_max_syn_backlog", "65535", true},
    {"ipv6/conf/all/accept_ra", "0", true},
    {"ipv6/conf/default/accept_ra", "0", true},
    // Frames between two ports of one bridge are the bridge table's business.
    {"bridge/bridge-nf-call-iptables", "0", true},
    {"bridge/bridge-nf-call-ip6tables", "0", true},
    {"bridge/bridge-nf-call-arptables", "0", true},
};

absl::Status CheckInstance(absl::string_view instance) {
  bool good =
      !instance.empty() && instance.size() <= kMaxInstance &&
      absl::ascii_islower(static_cast<unsigned char>(instance[0])) &&
      std::all_of(instance.begin(), instance.end(), [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
      });
  if (good) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(
      "instance name \"", instance.substr(0, 64),
      "\": a letter, then up to 30 characters of [a-z0-9-] are expected"));
}

// The host's namespace is that of process 1; where we may not look at that
// process, one with hardware of its own (a link without a kind).
absl::StatusOr<bool> InHostNamespace(int netns) {
  absl::StatusOr<UniqueFd> init = os::OpenNetns("/proc/1/ns/net");
  if (init.ok()) return os::SameNetns(init->get(), netns);
  ASSIGN_OR_RETURN(os::Netlink netlink, os::Netlink::Open());
  ASSIGN_OR_RETURN(std::vector<os::Link> links, netlink.ListLinks());
  return std::any_of(links.begin(), links.end(), [](const os::Link& link) {
    return link.kind.empty() && link.name != "lo";
  });
}

absl::Status MakeDirectory(const std::string& path) {
  if (mkdir(path.c_str(), 0711) != 0 && errno != EEXIST) {
    return ErrnoStatus("make directory", path);
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status WriteNetSysctl(absl::string_view name, absl::string_view value,
                            bool optional) {
  std::string path = absl::StrCat("/proc/sys/net/", name);
  UniqueFd fd(open(path.c_str(), O_WRONLY | O_CLOEXEC));
  if (!fd.ok()) {
    if (errno == ENOENT && optional) return absl::OkStatus();
    return ErrnoStatus("open", path);
  }
  if (write(fd.get(), value.data(), value.size()) < 0) {
    return ErrnoStatus(absl::StrCat("write \"", value, "\" to"), path);
  }
  return absl::OkStatus();
}

absl::StatusOr<RulesConfig> ParseConfig(const LinuxNetworkConfig& config) {
  RETURN_IF_ERROR(CheckInstance(config.instance));
  RulesConfig rules;
  rules.instance = config.instance;
  absl::StatusOr<os::Subnet> uplink = os::Subnet::Parse(config.uplink_subnet);
  RETURN_IF_ERROR_CTX(uplink.status(), "uplink subnet");
  if (uplink->base.family != AF_INET || uplink->bits > 30) {
    return absl::InvalidArgumentError(absl::StrCat(
        "uplink subnet ", config.uplink_subnet, " is not an IPv4 /30"));
  }
  absl::StatusOr<os::Subnet> pool = os::Subnet::Parse(config.virtual_pool);
  RETURN_IF_ERROR_CTX(pool.status(), "pool of virtual addresses");
  if (pool->base.family != AF_INET || pool->Overlaps(*uplink)) {
    return absl::InvalidArgumentError(
        absl::StrCat("pool of virtual addresses ", config.virtual_pool,
                     " is not IPv4, or overlaps the uplink"));
  }
  rules.uplink = *uplink;
  rules.virtual_pool = *pool;
  rules.allow_host_access = config.allow_host_access;
  rules.allow_link_local = config.allow_link_local;
  return rules;
}

absl::StatusOr<std::unique_ptr<Dataplane>> Dataplane::Open(
    const LinuxNetworkConfig& config) {
  std::unique_ptr<Dataplane> plane(new Dataplane());
  plane->config_ = config;
  ASSIGN_OR_RETURN(plane->rules_, ParseConfig(config));
  ASSIGN_OR_RETURN(UniqueFd home, os::CurrentNetns());
  ASSIGN_OR_RETURN(bool host, InHostNamespace(home.get()));
  if (host && !config.allow_host_namespace) {
    return absl::FailedPreconditionError(
        "set up the network: this is the host's own network namespace; run "
        "with --i-own-this-host, or in a namespace of its own (unshare -n)");
  }
  const std::string directory = absl::StrCat(config.runtime_dir, "/netns");
  RETURN_IF_ERROR(MakeDirectory(config.runtime_dir));
  RETURN_IF_ERROR(MakeDirectory(directory));
  RETURN_IF_ERROR(os::MakePrivateMount(directory));
  ASSIGN_OR_RETURN(plane->worker_, os::NetnsWorker::Start());
  plane->pin_ = absl::StrCat(directory, "/dataplane");
  absl::StatusOr<UniqueFd> pinned = os::OpenNetns(plane->pin_);
  if (pinned.ok()) {
    plane->netns_ = *std::move(pinned);
  } else if (absl::IsNotFound(pinned.status()) ||
             absl::IsFailedPrecondition(pinned.status())) {
    ASSIGN_OR_RETURN(plane->netns_, plane->worker_->Create());
    RETURN_IF_ERROR(os::PinNetns(plane->netns_.get(), plane->pin_));
    plane->fresh_ = true;
  } else {
    return pinned.status();
  }
  RETURN_IF_ERROR(plane->OpenSockets());
  return plane;
}

absl::Status Dataplane::OpenSockets() {
  RETURN_IF_ERROR(worker_->Run(-1, [this]() -> absl::Status {
    ASSIGN_OR_RETURN(host_, os::Netlink::Open());
    ASSIGN_OR_RETURN(host_nft_, os::Nft::Open());
    ASSIGN_OR_RETURN(host_written_.generation, os::NftGeneration::Open());
    return absl::OkStatus();
  }));
  return Run([this]() -> absl::Status {
    ASSIGN_OR_RETURN(inside_, os::Netlink::Open());
    ASSIGN_OR_RETURN(inside_nft_, os::Nft::Open());
    ASSIGN_OR_RETURN(elements_, os::NftElements::Open());
    ASSIGN_OR_RETURN(inside_written_.generation, os::NftGeneration::Open());
    return absl::OkStatus();
  });
}

absl::Status Dataplane::Run(absl::FunctionRef<absl::Status()> task) {
  return worker_->Run(netns_.get(), task);
}

absl::Status Dataplane::Configure() {
  RETURN_IF_ERROR(FindMtu());
  RETURN_IF_ERROR_CTX(ConfigureInside(), "data-plane namespace");
  RETURN_IF_ERROR_CTX(EnsureUplink(), "uplink");
  return ConfigureHost();
}

// A container that sends more than the host's own way out takes would depend
// on ICMP to find out, which firewalls like to drop.
absl::Status Dataplane::FindMtu() {
  ASSIGN_OR_RETURN(int index, host_->DefaultRouteLink());
  mtu_ = 1500;
  if (index == 0) return absl::OkStatus();
  ASSIGN_OR_RETURN(std::vector<os::Link> links, host_->ListLinks());
  for (const os::Link& link : links) {
    if (link.index == index) mtu_ = std::clamp(link.mtu, 1280u, 65521u);
  }
  return absl::OkStatus();
}

absl::Status Dataplane::ConfigureInside() {
  RETURN_IF_ERROR(KeepSysctls());
  ASSIGN_OR_RETURN(os::Link lo, inside_->GetLink("lo"));
  if (!lo.up) RETURN_IF_ERROR(inside_->ChangeLink(lo.index, {.up = true}));
  // Every virtual address is local: the proxy binds those that it serves.
  return inside_->ReplaceRoute(
      {.destination = rules_.virtual_pool, .link = lo.index, .local = true});
}

absl::Status Dataplane::KeepSysctls() {
  bool missing = false;
  for (const Sysctl& s : kInsideSysctls) {
    auto open = sysctls_.find(s.name);
    if (open != sysctls_.end()) {
      const absl::Status status = open->second.Keep(s.value).status();
      if (!absl::IsNotFound(status)) {
        RETURN_IF_ERROR(status);
        continue;
      }
      sysctls_.erase(open);
    }
    missing = true;
  }
  if (!missing) return absl::OkStatus();
  return Run([this]() -> absl::Status {
    for (const Sysctl& s : kInsideSysctls) {
      if (sysctls_.count(s.name) != 0) continue;
      absl::StatusOr<NetSysctl> sysctl = NetSysctl::Open(s.name);
      // Some come with a module that is loaded later, if at all.
      if (s.optional && absl::IsNotFound(sysctl.status())) continue;
      RETURN_IF_ERROR(sysctl.status());
      RETURN_IF_ERROR(sysctl->Keep(s.value).status());
      sysctls_.emplace(s.name, *std::move(sysctl));
    }
    return absl::OkStatus();
  });
}

absl::Status Dataplane::CheckUplinkSubnet() {
  ASSIGN_OR_RETURN(std::vector<os::LinkAddress> all, host_->ListAddresses());
  ASSIGN_OR_RETURN(std::vector<os::Link> links, host_->ListLinks());
  for (const os::LinkAddress& a : all) {
    if (!rules_.uplink.Contains(a.address)) continue;
    for (const os::Link& link : links) {
      if (link.index != a.link) continue;
      return absl::FailedPreconditionError(absl::StrCat(
          "subnet ", rules_.uplink.ToString(), " is in use by ", link.name,
          " (", a.address.ToString(), "); configure another one"));
    }
  }
  return absl::OkStatus();
}

absl::Status Dataplane::EnsureUplink() {
  const std::string name = UplinkName(config_.instance);
  // With another subnet than before it is made anew.
  const std::string alias =
      FormatAlias(config_.instance, kUplinkKind, {rules_.uplink.ToString()});
  absl::StatusOr<os::Link> outer = host_->GetLink(name);
  absl::StatusOr<os::Link> inner = inside_->GetLink(kUplinkInside);
  bool whole = outer.ok() && inner.ok() && outer->alias == alias &&
               outer->peer == inner->index && inner->peer == outer->index;
  if (outer.ok() && !whole) {
    if (outer->kind != "veth" ||
        (!outer->alias.empty() &&
         !ParseAlias(outer->alias, config_.instance, kUplinkKind))) {
      return absl::AlreadyExistsError(
          absl::StrCat("link ", name, " belongs to something else (",
                       outer->kind, " \"", outer->alias, "\")"));
    }
    RETURN_IF_ERROR(host_->DeleteLink(outer->index));
    inner = inside_->GetLink(kUplinkInside);
  }
  if (!whole) {
    if (inner.ok()) RETURN_IF_ERROR(inside_->DeleteLink(inner->index));
    RETURN_IF_ERROR(CheckUplinkSubnet());
    os::VethOptions veth;
    veth.name = name;
    veth.mtu = mtu_;
    veth.peer_name = std::string(kUplinkInside);
    veth.peer_netns_fd = netns_.get();
    RETURN_IF_ERROR(host_->AddVeth(veth));
    ASSIGN_OR_RETURN(outer, host_->GetLink(name));
    ASSIGN_OR_RETURN(inner, inside_->GetLink(kUplinkInside));
  }
  const int bits = rules_.uplink.bits;
  const os::IpAddress host_address = rules_.uplink.base.Plus(1);
  RETURN_IF_ERROR(host_->AddAddress(outer->index, host_address, bits));
  // A change of a link tells everybody who listens, even one that changes
  // nothing.
  if (!outer->up) {
    RETURN_IF_ERROR(host_->ChangeLink(outer->index, {.up = true}));
  }
  RETURN_IF_ERROR(
      inside_->AddAddress(inner->index, rules_.uplink.base.Plus(2), bits));
  if (!inner->up) {
    RETURN_IF_ERROR(inside_->ChangeLink(inner->index, {.up = true}));
  }
  RETURN_IF_ERROR(inside_->ReplaceRoute(
      {.destination = {os::IpAddress::V4(0), 0}, .gateway = host_address}));
  if (whole) return absl::OkStatus();
  return host_->ChangeLink(outer->index, {.alias = alias});
}

absl::Status Dataplane::ConfigureHost() {
  if (!forwarding_) {
    RETURN_IF_ERROR(worker_->Run(-1, [this]() -> absl::Status {
      ASSIGN_OR_RETURN(forwarding_, NetSysctl::Open("ipv4/ip_forward"));
      return absl::OkStatus();
    }));
  }
  ASSIGN_OR_RETURN(const bool written, forwarding_->Keep("1"));
  if (written) {
    LOG_INFO("switched IPv4 forwarding on in the host's network namespace",
             {{"instance", config_.instance}});
  }
  return absl::OkStatus();
}

absl::Status Dataplane::Note(Written& written,
                             absl::FunctionRef<absl::Status()> replace) {
  written.last.reset();
  const absl::StatusOr<uint32_t> before = written.generation->Read();
  RETURN_IF_ERROR(replace());
  const absl::StatusOr<uint32_t> after = written.generation->Read();
  if (before.ok() && after.ok() && *after - *before == 1) written.last = *after;
  return absl::OkStatus();
}

absl::Status Dataplane::NoteChange(Written& written,
                                   absl::FunctionRef<absl::Status()> change) {
  const bool untouched = Untouched(written);
  const std::optional<uint32_t> before = written.last;
  written.last.reset();
  RETURN_IF_ERROR(change());
  const absl::StatusOr<uint32_t> after = written.generation->Read();
  if (untouched && after.ok() && *after - *before == 1) written.last = *after;
  return absl::OkStatus();
}

bool Dataplane::Untouched(Written& written) {
  if (!written.last) return false;
  const absl::StatusOr<uint32_t> now = written.generation->Read();
  return now.ok() && *now == *written.last;
}

absl::Status Dataplane::ApplyHostRules() {
  return Note(host_written_, [this] {
    return worker_->Run(-1,
                        [this] { return host_nft_->Run(HostRules(rules_)); });
  });
}

absl::Status Dataplane::ReplaceRules(const std::string& commands) {
  return Note(inside_written_, [&] { return RunRules(commands); });
}

absl::Status Dataplane::RunRules(const std::string& commands) {
  return Run([&] { return inside_nft_->Run(commands); });
}

absl::Status Dataplane::AddSandboxRules(const SandboxPlan& sandbox) {
  return NoteChange(inside_written_, [&] {
    return elements_->Add(NFPROTO_BRIDGE, TableName(config_.instance),
                          SandboxElements(rules_, sandbox));
  });
}

absl::Status Dataplane::DeleteSandboxRules(const SandboxPlan& sandbox) {
  return NoteChange(inside_written_, [&] {
    return elements_->Delete(NFPROTO_BRIDGE, TableName(config_.instance),
                             SandboxElements(rules_, sandbox));
  });
}

bool Dataplane::HostRulesUntouched() { return Untouched(host_written_); }

bool Dataplane::RulesUntouched() { return Untouched(inside_written_); }

absl::StatusOr<bool> Dataplane::TablesPresent() {
  const std::string table = " " + TableName(config_.instance) + "\n";
  std::string outer, inner;
  RETURN_IF_ERROR(worker_->Run(-1, [&]() -> absl::Status {
    ASSIGN_OR_RETURN(outer, host_nft_->List("list tables", false));
    return absl::OkStatus();
  }));
  RETURN_IF_ERROR(Run([&]() -> absl::Status {
    ASSIGN_OR_RETURN(inner, inside_nft_->List("list tables", false));
    return absl::OkStatus();
  }));
  return absl::StrContains(outer, "inet" + table) &&
         absl::StrContains(inner, "inet" + table) &&
         absl::StrContains(inner, "bridge" + table);
}

absl::Status Dataplane::Teardown() {
  absl::StatusOr<os::Link> outer = host_->GetLink(UplinkName(config_.instance));
  if (outer.ok() && ParseAlias(outer->alias, config_.instance, kUplinkKind)) {
    RETURN_IF_ERROR(host_->DeleteLink(outer->index));
  }
  const std::string table = "inet " + TableName(config_.instance);
  RETURN_IF_ERROR(worker_->Run(-1, [&] {
    return host_nft_->Run(
        absl::StrCat("add table ", table, "\ndelete table ", table));
  }));
  RETURN_IF_ERROR(os::UnpinNetns(pin_));
  const std::string directory = config_.runtime_dir + "/netns";
  if (umount2(directory.c_str(), MNT_DETACH | UMOUNT_NOFOLLOW) != 0 &&
      errno != EINVAL) {
    return ErrnoStatus("unmount", directory);
  }
  if (rmdir(directory.c_str()) != 0 && errno != ENOENT) {
    return ErrnoStatus("remove", directory);
  }
  return absl::OkStatus();
}

}  // namespace bulwark::netmesh
