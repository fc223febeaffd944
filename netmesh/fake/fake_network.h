// The network port in memory.
#ifndef NETMESH_FAKE_FAKE_NETWORK_H_
#define NETMESH_FAKE_FAKE_NETWORK_H_

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "netmesh/network.h"
#include "netmesh/plan.h"

namespace bulwark::netmesh {

// What the kernel keeps when the daemon dies. Share one between two
// FakeNetworks to play a restart; it outlives them.
struct FakeKernel {
  absl::Mutex mu;
  NetworkTable table ABSL_GUARDED_BY(mu);
  // Sandboxes that are prepared; they go with the daemon.
  std::set<std::string, std::less<>> unconnected ABSL_GUARDED_BY(mu);
};

// The same rules as the real one, in memory. Paths of namespaces do not
// exist; sockets are made in the caller's namespace.
class FakeNetwork final : public Network {
 public:
  FakeNetwork() : owned_(std::make_unique<FakeKernel>()), kernel_(*owned_) {}
  explicit FakeNetwork(FakeKernel& kernel) : kernel_(kernel) {}

  // The next `count` calls that make or delete something fail with `status`
  // and change nothing.
  void FailNext(absl::Status status, int count = 1);

  // Called before each PrepareSandbox(), without locks held; it may block.
  void SetSandboxHook(std::function<void(const SandboxSpec& spec)> hook);
  // Called before a sandbox is connected, without locks held; it may block. Its
  // error is that of the connection.
  void SetConnectHook(std::function<absl::Status(absl::string_view id)> hook);

  // What ReadTraffic() tells of a sandbox that exists; else nothing went
  // through.
  void SetTraffic(const std::string& id, const Traffic& traffic);

  absl::Status Recover() override;
  std::string dataplane_netns() const override;
  absl::StatusOr<NetworkInfo> EnsureNetwork(const NetworkSpec& spec) override;
  absl::Status DeleteNetwork(absl::string_view id) override;
  std::vector<NetworkInfo> ListNetworks() override;
  absl::StatusOr<Sandbox> PrepareSandbox(const SandboxSpec& spec) override;
  absl::Status ConnectSandbox(absl::string_view id) override;
  absl::Status DeleteSandbox(absl::string_view id) override;
  std::vector<Sandbox> ListSandboxes() override;
  std::optional<Sandbox> FindSandbox(absl::string_view id) override;
  absl::StatusOr<std::map<std::string, Traffic>> ReadTraffic() override;
  absl::StatusOr<UniqueFd> OpenSocket(int domain, int type,
                                      int protocol) override;

 private:
  // Whether a change may go on.
  absl::Status Begin() ABSL_EXCLUSIVE_LOCKS_REQUIRED(kernel_.mu);

  std::unique_ptr<FakeKernel> owned_;
  FakeKernel& kernel_;
  std::function<void(const SandboxSpec&)> sandbox_hook_
      ABSL_GUARDED_BY(kernel_.mu);
  std::function<absl::Status(absl::string_view)> connect_hook_
      ABSL_GUARDED_BY(kernel_.mu);
  std::map<std::string, Traffic> traffic_ ABSL_GUARDED_BY(kernel_.mu);
  bool recovered_ ABSL_GUARDED_BY(kernel_.mu) = false;
  absl::Status failure_ ABSL_GUARDED_BY(kernel_.mu);
  int failures_ ABSL_GUARDED_BY(kernel_.mu) = 0;
};

}  // namespace bulwark::netmesh

#endif  // NETMESH_FAKE_FAKE_NETWORK_H_
