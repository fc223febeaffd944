#include "netmesh/linux/rule_watcher.h"

#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "absl/strings/string_view.h"
#include "base/log.h"
#include "base/status.h"

namespace bulwark::netmesh {
namespace {

// A firewall's reload flushes first and adds its own rules in the same
// transaction; the pause only bundles several reloads.
constexpr int kQuietMillis = 50;
constexpr int kMaxBundle = 10;
constexpr uint16_t kDeleteTable = NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_DELTABLE;

// Whether the notification says that `table` was deleted.
bool IsDeletionOf(absl::string_view message, absl::string_view table) {
  nlmsghdr header;
  std::memcpy(&header, message.data(), sizeof(header));
  if (header.nlmsg_type != kDeleteTable) return false;
  size_t at = NLMSG_HDRLEN + NLMSG_ALIGN(sizeof(nfgenmsg));
  while (at + sizeof(nlattr) <= message.size()) {
    nlattr attribute;
    std::memcpy(&attribute, message.data() + at, sizeof(attribute));
    if (attribute.nla_len < sizeof(attribute) ||
        attribute.nla_len > message.size() - at) {
      return false;
    }
    absl::string_view value = message.substr(
        at + sizeof(attribute), attribute.nla_len - sizeof(attribute));
    if ((attribute.nla_type & NLA_TYPE_MASK) == NFTA_TABLE_NAME) {
      return value.substr(0, value.find('\0')) == table;
    }
    at += NLA_ALIGN(attribute.nla_len);
  }
  return false;
}

}  // namespace

absl::StatusOr<UniqueFd> RuleWatcher::OpenSocket() {
  UniqueFd fd(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK,
                     NETLINK_NETFILTER));
  if (!fd.ok()) return ErrnoStatus("open", "netfilter socket");
  sockaddr_nl address{};
  address.nl_family = AF_NETLINK;
  int group = NFNLGRP_NFTABLES;
  if (bind(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)) !=
          0 ||
      setsockopt(fd.get(), SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group,
                 sizeof(group)) != 0) {
    return ErrnoStatus("listen on", "netfilter socket");
  }
  return fd;
}

absl::StatusOr<std::unique_ptr<RuleWatcher>> RuleWatcher::Start(
    std::vector<UniqueFd> sockets, std::string table,
    std::function<void()> removed) {
  std::unique_ptr<RuleWatcher> watcher(new RuleWatcher(
      std::move(sockets), std::move(table), std::move(removed)));
  watcher->stop_.Reset(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!watcher->stop_.ok()) return ErrnoStatus("make", "eventfd");
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  watcher->thread_ = std::thread([w = watcher.get()] { w->Run(); });
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  return watcher;
}

RuleWatcher::~RuleWatcher() {
  uint64_t one = 1;
  if (stop_.ok() && write(stop_.get(), &one, sizeof(one)) < 0) {
    LOG_ERROR("cannot stop the watcher of rules",
              {{"error", ErrnoStatus("write", "eventfd")}});
  }
  if (thread_.joinable()) thread_.join();
}

void RuleWatcher::Run() {
  std::vector<pollfd> fds = {{stop_.get(), POLLIN, 0}};
  for (const UniqueFd& fd : sockets_) fds.push_back({fd.get(), POLLIN, 0});
  bool pending = false;
  int bundled = 0;
  while (true) {
    int ready = poll(fds.data(), fds.size(), pending ? kQuietMillis : -1);
    if (ready < 0 && errno != EINTR) {
      LOG_ERROR("cannot watch rules",
                {{"error", ErrnoStatus("poll", "rules")}});
      return;
    }
    if (fds[0].revents != 0) return;
    for (size_t i = 1; ready > 0 && i < fds.size(); ++i) {
      if (fds[i].revents != 0 && Drain(fds[i].fd)) pending = true;
    }
    if (!pending || (ready > 0 && ++bundled < kMaxBundle)) continue;
    pending = false;
    bundled = 0;
    removed_();
  }
}

bool RuleWatcher::Drain(int fd) {
  bool removed = false;
  std::vector<char> buffer(64 << 10);
  while (true) {
    ssize_t n = recv(fd, buffer.data(), buffer.size(), 0);
    if (n < 0 && errno == EINTR) continue;
    // The kernel dropped notifications: ours may have been among them.
    if (n < 0 && errno == ENOBUFS) {
      removed = true;
      continue;
    }
    if (n <= 0) return removed;
    absl::string_view left(buffer.data(), static_cast<size_t>(n));
    while (left.size() >= sizeof(nlmsghdr)) {
      nlmsghdr header;
      std::memcpy(&header, left.data(), sizeof(header));
      if (header.nlmsg_len < sizeof(header) || header.nlmsg_len > left.size()) {
        break;
      }
      if (IsDeletionOf(left.substr(0, header.nlmsg_len), table_)) {
        removed = true;
      }
      left.remove_prefix(
          std::min<size_t>(NLMSG_ALIGN(header.nlmsg_len), left.size()));
    }
  }
}

}  // namespace bulwark::netmesh
