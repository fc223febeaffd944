#include "netmesh/linux/spare_namespaces.h"

#include <optional>
#include <utility>

#include "absl/memory/memory.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "base/log.h"
#include "base/status.h"
#include "base/thread_name.h"
#include "netmesh/linux/dataplane.h"

namespace bulwark::netmesh {
namespace {

// Whoever took one starts a container now, and has the processors first.
constexpr absl::Duration kRest = absl::Milliseconds(20);
// Of links that an earlier process left: they go a moment after it.
constexpr int kMostTakenNames = 1000;

}  // namespace

absl::StatusOr<os::Netlink> PrepareNamespace(os::NetnsWorker& worker,
                                             int netns) {
  std::optional<os::Netlink> netlink;
  RETURN_IF_ERROR(worker.Run(netns, [&]() -> absl::Status {
    RETURN_IF_ERROR(
        WriteNetSysctl("ipv4/ip_unprivileged_port_start", "0", true));
    RETURN_IF_ERROR(
        WriteNetSysctl("ipv4/ping_group_range", "0 2147483647", true));
    RETURN_IF_ERROR(WriteNetSysctl("ipv6/conf/all/accept_ra", "0", true));
    RETURN_IF_ERROR(WriteNetSysctl("ipv6/conf/default/accept_ra", "0", true));
    // Loopback keeps ::1.
    RETURN_IF_ERROR(
        WriteNetSysctl("ipv6/conf/default/disable_ipv6", "1", true));
    ASSIGN_OR_RETURN(netlink, os::Netlink::Open());
    return absl::OkStatus();
  }));
  ASSIGN_OR_RETURN(const os::Link lo, netlink->GetLink("lo"));
  RETURN_IF_ERROR(netlink->ChangeLink(lo.index, {.up = true}));
  return *std::move(netlink);
}

absl::StatusOr<std::unique_ptr<SpareNamespaces>> SpareNamespaces::Start(
    size_t count, std::optional<SpareLinks> links) {
  ASSIGN_OR_RETURN(auto worker, os::NetnsWorker::Start());
  auto spares = absl::WrapUnique(
      new SpareNamespaces(count, std::move(worker), std::move(links)));
  spares->thread_ = std::thread([s = spares.get()] { s->Refill(); });
  return spares;
}

SpareNamespaces::~SpareNamespaces() {
  {
    absl::MutexLock lock(&mu_);
    stop_ = true;
  }
  if (thread_.joinable()) thread_.join();
}

absl::StatusOr<SandboxNamespace> SpareNamespaces::Take(const os::IdRange& ids,
                                                       uint32_t mtu) {
  std::optional<Spare> spare;
  {
    absl::MutexLock lock(&mu_);
    wanted_ = true;
    mtu_ = mtu;
    while (!spares_.empty() && !spare.has_value()) {
      // Another MTU is rare: such a spare is of no use any more.
      if (spares_.back().port == 0 || spares_.back().mtu == mtu) {
        spare = std::move(spares_.back());
      }
      spares_.pop_back();
    }
  }
  if (!spare.has_value()) {
    ASSIGN_OR_RETURN(os::UserNamespace made, os::MakeUserNamespace(ids));
    ASSIGN_OR_RETURN(os::Netlink netlink,
                     PrepareNamespace(*worker_, made.network.get()));
    return SandboxNamespace{std::move(made.network), std::move(netlink)};
  }
  RETURN_IF_ERROR(spare->users.Map(ids));
  return SandboxNamespace{std::move(spare->users.namespaces.network),
                          std::move(spare->netlink), spare->port};
}

absl::StatusOr<int> SpareNamespaces::Connect(int netns, uint32_t mtu) {
  os::VethOptions veth;
  veth.mtu = mtu;
  veth.peer_name = std::string(kSandboxLink);
  veth.peer_netns_fd = netns;
  absl::Status added;
  for (int tries = 0; tries < kMostTakenNames; ++tries) {
    veth.name = absl::StrCat(links_->prefix, next_name_++ % 10'000'000);
    added = links_->outside.AddVeth(veth);
    if (!absl::IsAlreadyExists(added)) break;
  }
  RETURN_IF_ERROR(added);
  ASSIGN_OR_RETURN(const os::Link link, links_->outside.GetLink(veth.name));
  return link.index;
}

absl::StatusOr<SpareNamespaces::Spare> SpareNamespaces::Make(uint32_t mtu) {
  ASSIGN_OR_RETURN(os::UnmappedUserNamespace made,
                   os::MakeUnmappedUserNamespace());
  ASSIGN_OR_RETURN(os::Netlink netlink,
                   PrepareNamespace(*worker_, made.namespaces.network.get()));
  int port = 0;
  if (links_.has_value()) {
    ASSIGN_OR_RETURN(port, Connect(made.namespaces.network.get(), mtu));
  }
  return Spare{std::move(made), std::move(netlink), port, mtu};
}

void SpareNamespaces::AwaitFull() {
  absl::MutexLock lock(&mu_);
  auto full = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    return !wanted_ && !filling_;
  };
  mu_.Await(absl::Condition(&full));
}

void SpareNamespaces::Refill() {
  NameThread("spare sandboxes");
  absl::MutexLock lock(&mu_);
  auto needed = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    return stop_ || wanted_;
  };
  while (true) {
    mu_.Await(absl::Condition(&needed));
    mu_.AwaitWithTimeout(absl::Condition(&stop_), kRest);
    wanted_ = false;
    filling_ = true;
    while (!stop_ && spares_.size() < count_) {
      const uint32_t mtu = mtu_;
      mu_.Unlock();
      absl::StatusOr<Spare> made = Make(mtu);
      mu_.Lock();
      if (!made.ok()) {
        // Whoever needs one will hear why there is none.
        LOG_DEBUG("cannot make a spare namespace", {{"error", made.status()}});
        break;
      }
      spares_.push_back(*std::move(made));
    }
    filling_ = false;
    if (stop_) return;
  }
}

}  // namespace bulwark::netmesh
