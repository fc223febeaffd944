// Network namespaces for sandboxes, some of them made ahead.
#ifndef NETMESH_LINUX_SPARE_NAMESPACES_H_
#define NETMESH_LINUX_SPARE_NAMESPACES_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "base/unique_fd.h"
#include "os/netlink.h"
#include "os/netns.h"
#include "os/user_namespace.h"

namespace bulwark::netmesh {

// Lets whatever will run in the namespace bind low ports and ping without
// capabilities, as Docker allows too; links to come have no IPv6; loopback is
// up. Returns a socket in there.
absl::StatusOr<os::Netlink> PrepareNamespace(os::NetnsWorker& worker,
                                             int netns);

// The end inside of a sandbox's pair of links.
inline constexpr absl::string_view kSandboxLink = "eth0";

struct SandboxNamespace {
  UniqueFd network;
  os::Netlink netlink;  // inside
  // Index, outside, of a link whose other end is kSandboxLink in there, both
  // down; 0: there is none.
  int port = 0;
};

// Where pairs of links are made ahead, and how their ends there are called.
struct SpareLinks {
  os::Netlink outside;
  std::string prefix;
};

// Keeps namespaces of users of their own, prepared, each with a pair of links,
// so that a start does not wait for the two milliseconds that the kernel takes
// for them. They have no ids and no path before they are taken, and go with
// this. Thread-safe.
class SpareNamespaces {
 public:
  // Keeps up to `count`, once one was taken, and makes more a moment after
  // each. Without `links` they have none.
  static absl::StatusOr<std::unique_ptr<SpareNamespaces>> Start(
      size_t count, std::optional<SpareLinks> links = std::nullopt);
  SpareNamespaces(const SpareNamespaces&) = delete;
  SpareNamespaces& operator=(const SpareNamespaces&) = delete;
  ~SpareNamespaces();

  // One that belongs to users of that range, with links of that MTU if it has
  // any; makes it, without links, if none is spare. Errors as those of
  // MakeUserNamespace.
  absl::StatusOr<SandboxNamespace> Take(const os::IdRange& ids, uint32_t mtu);

  // For tests: blocks until as many are spare as are kept, or no more can be
  // made.
  void AwaitFull();

 private:
  struct Spare {
    os::UnmappedUserNamespace users;
    os::Netlink netlink;
    int port = 0;
    uint32_t mtu = 0;  // of the links
  };

  SpareNamespaces(size_t count, std::unique_ptr<os::NetnsWorker> worker,
                  std::optional<SpareLinks> links)
      : count_(count), worker_(std::move(worker)), links_(std::move(links)) {}
  absl::StatusOr<Spare> Make(uint32_t mtu);
  absl::StatusOr<int> Connect(int netns, uint32_t mtu);
  void Refill();

  const size_t count_;
  const std::unique_ptr<os::NetnsWorker> worker_;
  // Of the thread alone.
  std::optional<SpareLinks> links_;
  uint32_t next_name_ = 0;
  absl::Mutex mu_;
  std::vector<Spare> spares_ ABSL_GUARDED_BY(mu_);
  uint32_t mtu_ ABSL_GUARDED_BY(mu_) = 0;     // that was asked for last
  bool wanted_ ABSL_GUARDED_BY(mu_) = false;  // since the last refill began
  bool filling_ ABSL_GUARDED_BY(mu_) = false;
  bool stop_ ABSL_GUARDED_BY(mu_) = false;
  std::thread thread_;
};

}  // namespace bulwark::netmesh

#endif  // NETMESH_LINUX_SPARE_NAMESPACES_H_
