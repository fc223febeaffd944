// Scopes: units of systemd for processes that it did not start
// (--systemd-cgroup). Each function makes one connection to the bus, and blocks
// until systemd has done the job: DEADLINE_EXCEEDED after 30 s.
#ifndef ENGINE_OCI_CGROUP_SYSTEMD_SCOPE_H_
#define ENGINE_OCI_CGROUP_SYSTEMD_SCOPE_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/clock.h"
#include "engine/oci/cgroup/cgroup.h"
#include "engine/oci/cgroup/cgroup_path.h"
#include "engine/oci/cgroup/dbus_message.h"
#include "engine/oci/config/spec.h"

namespace bulwark::engine::oci {

// A unit's property, by the name that org.freedesktop.systemd1(5) has for it.
struct ScopeProperty {
  std::string name;
  DbusValue value;
};

// linux.resources as properties: systemd writes those of its own again when it
// reloads, so that it has to know ours. What it has no property for, or only in
// late versions, it does not touch. Pure.
std::vector<ScopeProperty> ScopeLimits(const Resources& resources, bool v1);

// Starts the scope with the process in it, and controllers delegated to us.
// ALREADY_EXISTS if there is one of that name. UNAVAILABLE if systemd does not
// answer.
absl::Status StartScope(const ScopeName& scope, int pid,
                        const std::vector<ScopeProperty>& limits, Clock& clock);

// Other limits for a scope that runs.
absl::Status SetScopeLimits(const std::string& unit,
                            const std::vector<ScopeProperty>& limits,
                            Clock& clock);

// OK if there is none.
absl::Status StopScope(const std::string& unit, Clock& clock);

// A process that does nothing, but that a scope can be started with before the
// container is there. Ends with its owner, or with us.
class ScopeHolder {
 public:
  static absl::StatusOr<ScopeHolder> Start();
  ScopeHolder(ScopeHolder&& other) noexcept;
  ScopeHolder& operator=(ScopeHolder&&) = delete;
  ~ScopeHolder();

  int pid() const { return pid_; }

 private:
  explicit ScopeHolder(int pid) : pid_(pid) {}
  int pid_;
};

}  // namespace bulwark::engine::oci

#endif  // ENGINE_OCI_CGROUP_SYSTEMD_SCOPE_H_
