// Network namespaces for sandboxes, some of them made ahead.
#ifndef NETMESH_LINUX_SPARE_NAMESPACES_H_
#define NETMESH_LINUX_SPARE_NAMESPACES_H_

#include <cstddef>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
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

struct SandboxNamespace {
  UniqueFd network;
  os::Netlink netlink;  // inside
};

// Keeps namespaces of users of their own, prepared, so that a start does not
// wait for the millisecond that the kernel takes for one. They have no ids
// before they are taken, no name, and go with this. Thread-safe.
class SpareNamespaces {
 public:
  // Keeps up to `count`, once one was taken, and makes more a moment after
  // each.
  static absl::StatusOr<std::unique_ptr<SpareNamespaces>> Start(size_t count);
  SpareNamespaces(const SpareNamespaces&) = delete;
  SpareNamespaces& operator=(const SpareNamespaces&) = delete;
  ~SpareNamespaces();

  // One that belongs to users of that range; makes it if none is spare. Errors
  // as those of MakeUserNamespace and MapUserNamespace.
  absl::StatusOr<SandboxNamespace> Take(const os::IdRange& ids);

  // For tests: blocks until as many are spare as are kept, or no more can be
  // made.
  void AwaitFull();

 private:
  struct Spare {
    os::UserNamespace users;
    os::Netlink netlink;
  };

  SpareNamespaces(size_t count, std::unique_ptr<os::NetnsWorker> worker)
      : count_(count), worker_(std::move(worker)) {}
  absl::StatusOr<Spare> Make();
  void Refill();

  const size_t count_;
  const std::unique_ptr<os::NetnsWorker> worker_;
  absl::Mutex mu_;
  std::vector<Spare> spares_ ABSL_GUARDED_BY(mu_);
  bool wanted_ ABSL_GUARDED_BY(mu_) = false;  // since the last refill began
  bool filling_ ABSL_GUARDED_BY(mu_) = false;
  bool stop_ ABSL_GUARDED_BY(mu_) = false;
  std::thread thread_;
};

}  // namespace bulwark::netmesh

#endif  // NETMESH_LINUX_SPARE_NAMESPACES_H_
