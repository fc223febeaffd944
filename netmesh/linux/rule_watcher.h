// Notices when another program removes our nftables tables.
#ifndef NETMESH_LINUX_RULE_WATCHER_H_
#define NETMESH_LINUX_RULE_WATCHER_H_

#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "base/unique_fd.h"

namespace bulwark::netmesh {

// One thread that listens to the kernel's nftables notifications. It cannot
// tell our own replacement of a table from its removal: the callback looks.
class RuleWatcher {
 public:
  // A socket that hears the calling thread's network namespace.
  static absl::StatusOr<UniqueFd> OpenSocket();
  // Calls `removed` on the thread, soon after a table `table` was deleted in
  // one of the sockets' namespaces.
  static absl::StatusOr<std::unique_ptr<RuleWatcher>> Start(
      std::vector<UniqueFd> sockets, std::string table,
      std::function<void()> removed);
  RuleWatcher(const RuleWatcher&) = delete;
  RuleWatcher& operator=(const RuleWatcher&) = delete;
  // Waits for a callback that runs.
  ~RuleWatcher();

 private:
  RuleWatcher(std::vector<UniqueFd> sockets, std::string table,
              std::function<void()> removed)
      : sockets_(std::move(sockets)),
        table_(std::move(table)),
        removed_(std::move(removed)) {}
  void Run();
  // Reads what is there; whether our table was deleted (or news was lost).
  bool Drain(int fd);

  const std::vector<UniqueFd> sockets_;
  const std::string table_;
  const std::function<void()> removed_;
  UniqueFd stop_;
  std::thread thread_;
};

}  // namespace bulwark::netmesh

#endif  // NETMESH_LINUX_RULE_WATCHER_H_
