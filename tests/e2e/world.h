// One installation under test: a registry, a daemon and its client, in network
// and mount namespaces of their own.
#ifndef TESTS_E2E_WORLD_H_
#define TESTS_E2E_WORLD_H_

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "base/testing/temp_dir.h"
#include "tests/e2e/process.h"

namespace bulwark::e2e {

// Moves this process into new network and mount namespaces with loopback up.
// Call first in main(). Returns why not, if it cannot (no root).
std::string EnterPrivateNamespaces();

// What `ctl get service NAME -o json` says.
struct ServiceInfo {
  int replicas = 0;  // declared
  bool deleted = false;
  std::map<std::string, std::string> labels;
};
ServiceInfo ParseService(const std::string& json);

struct ReplicaInfo {
  std::string name;
  std::string uid;
  std::string state;
  int64_t revision = 0;
  int slot = 0;
  bool ready = false;
  int pid = 0;
};

// Everything of it is gone after the destructor, whatever state it is in.
// Paths are short, since sockets live below them.
class World {
 public:
  // `name`: the instance, [a-z0-9]{1,12}.
  // `daemon`: what runs as bulwarkd, a path as in Runfile().
  explicit World(std::string name,
                 const std::string& daemon = "daemon/bulwarkd");
  ~World();
  const std::string& name() const { return name_; }

  // A variable of the daemon's environment, from its next start on.
  void Set(const std::string& variable, const std::string& value);
  // The daemon; blocks until it answers. `flags` go to its command line.
  void StartDaemon(std::vector<std::string> flags = {});
  // The two halves of a start with the flags of the one before.
  void LaunchDaemon();
  void AwaitDaemon();
  // Sends `signal` and waits for the end that it brings.
  void EndDaemon(int signal);
  void KillDaemon();  // -9
  void StopDaemon();  // TERM
  pid_t daemon_pid() const { return daemon_->pid(); }
  // Once it has ended.
  bool daemon_dumped_core() const { return daemon_->dumped_core(); }
  bool daemon_alive() { return daemon_ != nullptr && daemon_->Alive(); }

  // Debian's registry on loopback; "127.0.0.1:PORT".
  const std::string& StartRegistry();
  void StopRegistry() { registry_.reset(); }
  // Builds nginx that answers with `version` and pushes it as TAG; returns the
  // reference. A port other than 80 never becomes ready.
  std::string PushNginx(const std::string& tag, const std::string& version,
                        int port = 80);
  // A busybox image in the registry.
  std::string PushBusybox(const std::string& tag);

  Result Ctl(std::vector<std::string> args,
             absl::Duration timeout = absl::Seconds(60),
             const std::string& input = "");
  // Applies a manifest and expects success.
  Result Apply(const std::string& manifest);

  std::vector<ReplicaInfo> Replicas(const std::string& service);
  // Those that run and are ready.
  std::vector<ReplicaInfo> Ready(const std::string& service);
  bool AwaitReady(const std::string& service, int count,
                  absl::Duration timeout = absl::Seconds(60));
  // The status of a condition, e.g. "TRUE", with its reason; "" if none.
  std::string Condition(const std::string& service, const std::string& type);

  // The pid of this installation's process of that program; 0 if none runs.
  int ProcessOf(const std::string& program) const;

  // Everything that the instance has in the kernel, one item a line.
  std::string LeakReport();
  // What it has that `before`, an earlier report, lacks; "" if nothing. Waits a
  // little for what the kernel takes down in the background.
  std::string Leaked(const std::string& before);
  // Ends all that the daemon left running.
  void Teardown();

  std::string Path(const std::string& name) const { return dir_ / name; }
  std::string bin(const std::string& program) const;
  // Path of a file of the source tree (a data dependency of the test).
  static std::string Runfile(const std::string& path);
  std::string DaemonLog() const { return ReadFile(Path("daemon.log")); }

 private:
  std::vector<std::string> DaemonArgs() const;
  void PushLayout(const std::string& layout, const std::string& reference);

  const std::string name_;
  testing::TempDir dir_;
  std::string registry_address_;
  std::vector<std::string> flags_;
  std::map<std::string, std::string> environment_;
  std::unique_ptr<Background> registry_;
  std::unique_ptr<Background> daemon_;
};

}  // namespace bulwark::e2e

#endif  // TESTS_E2E_WORLD_H_
