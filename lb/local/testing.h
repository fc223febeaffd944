// The real data plane in network namespaces of a test's own.
#ifndef LB_LOCAL_TESTING_H_
#define LB_LOCAL_TESTING_H_

#include <sys/types.h>

#include <functional>
#include <memory>
#include <string>

#include "base/clock.h"
#include "lb/local/local_proxy.h"

namespace bulwark::lb::testing {

// Moves this process into a new network namespace ("the host") beside another
// new one ("the data plane"), loopback up in both. Call once, first in main,
// before any thread starts; needs root. False, with the reason on standard
// error, if the kernel refuses.
bool EnterOwnNamespaces();

// Runs `f` in the data-plane namespace, on a thread of its own, until it
// returns.
void InDataplane(const std::function<void()>& f);

// A runtime directory with keeper and proxy in it. The programs' paths come
// from the environment: KEEPER and PROXY. Ends both on destruction.
class Installation {
 public:
  explicit Installation(std::string engine = "auto");
  ~Installation();

  LocalProxy& proxy() { return *proxy_; }
  const LocalProxyConfig& config() const { return config_; }
  std::string log() const;

  // Pids of the running processes; 0 if there is none.
  pid_t keeper_pid() const;
  pid_t proxy_pid() const;

 private:
  RealClock clock_;
  std::string dir_;
  LocalProxyConfig config_;
  std::unique_ptr<LocalProxy> proxy_;
};

}  // namespace bulwark::lb::testing

#endif  // LB_LOCAL_TESTING_H_
