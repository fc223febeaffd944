// The control groups of one container: made at `create`, found again by the
// other verbs through the record that state.json keeps, removed at `delete`.
//
// A group has one path ("/a/b") in the version 2 hierarchy and in those of
// version 1 that the host still mounts. Where both are there ("hybrid"), the
// unified group is cloned into, kills, freezes and holds the device filter; a
// version 1 hierarchy is joined only if a resource needs it, because the first
// join of any of them waits some 10 ms for the kernel (an RCU grace period).
//
// Functions block for short times, or up to the timeout that they take; they
// are thread-safe. Errors of what config.json asks for name its field
// ("linux.resources.memory.swap") and are INVALID_ARGUMENT if the value is
// wrong, FAILED_PRECONDITION if this host cannot do it.
#ifndef ENGINE_OCI_CGROUP_CGROUP_H_
#define ENGINE_OCI_CGROUP_CGROUP_H_

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "base/clock.h"
#include "base/unique_fd.h"
#include "engine/oci/cgroup/device_rules.h"
#include "engine/oci/config/spec.h"

namespace bulwark::engine::oci {

class ScopeHolder;

// Where this host's hierarchies are mounted.
struct CgroupHost {
  std::string unified;  // version 2; empty: not mounted
  // Version 1, by controller ("memory", "name=systemd"). Controllers that are
  // mounted together have the same path.
  std::map<std::string, std::string> v1;
};

// Some 5 us on a pure version 2 host, 30 us elsewhere. FAILED_PRECONDITION if
// there is no hierarchy at all.
absl::StatusOr<CgroupHost> FindCgroupHost();
// The same from the text of /proc/self/mountinfo.
absl::StatusOr<CgroupHost> ParseCgroupHost(absl::string_view mountinfo);

// What state.json keeps. All empty: the container has no groups of its own.
struct CgroupRecord {
  std::string path;     // "/a/b", in each hierarchy
  std::string unified;  // directory in the version 2 hierarchy, or empty
  std::map<std::string, std::string> v1;  // directories by controller
  std::string scope;  // systemd's unit ("podman-1f.scope"); empty: cgroupfs
};

struct CgroupRequest {
  std::string id;
  // linux.cgroupsPath. Empty: "/bulwark-oci/ID". Without a leading slash: below
  // "/bulwark-oci". With `systemd`: "slice:prefix:name", each of which may be
  // empty ("system.slice", "bulwark-oci", the id).
  std::string cgroups_path;
  bool systemd = false;  // --systemd-cgroup
  // Join every version 1 hierarchy, also those that no resource needs: what
  // reads a container's counters there finds them all.
  bool all_hierarchies = false;
  // Called before a group is made, with what they will be: who is killed while
  // it makes them has said so. With `systemd` the scope is there by then. Its
  // error is Create()'s.
  std::function<absl::Status(const CgroupRecord&)> before;
};

// The groups of a container that is being created. Removed by the destructor,
// with everything that was made for them, unless Commit() was called.
// Thread-compatible.
class ContainerCgroup {
 public:
  // Makes the groups, sets `resources`; FilterDevices() follows. A group
  // that exists is used if no process is in it or below: FAILED_PRECONDITION
  // otherwise. On an error nothing is left.
  //
  // With systemd, a process of ours holds the scope open until Commit(), since
  // an empty scope ends: the container has to be in it by then.
  static absl::StatusOr<ContainerCgroup> Create(const CgroupHost& host,
                                                const CgroupRequest& request,
                                                const Resources& resources,
                                                Clock& clock);

  ContainerCgroup(ContainerCgroup&& other) noexcept;
  ContainerCgroup& operator=(ContainerCgroup&&) = delete;
  ~ContainerCgroup();

  // Attaches the filter of the devices, if that is a program (version 2). The
  // kernel takes a while to check it, so that the launch may be on its way
  // already; the container's program must not run before.
  absl::Status FilterDevices();

  const CgroupRecord& record() const { return record_; }
  void Commit();

 private:
  explicit ContainerCgroup(Clock& clock);
  absl::Status MakeScope(const CgroupHost& host, const CgroupRequest& request,
                         const Resources& resources);
  absl::Status MakeGroups(const CgroupHost& host);

  CgroupRecord record_;
  Clock* clock_;
  bool committed_ = false;
  std::vector<std::string> made_;        // directories, parents first
  std::optional<DevicePolicy> devices_;  // for FilterDevices()
  std::unique_ptr<ScopeHolder> holder_;
};

// What a process joins: the directory to clone into (CLONE_INTO_CGROUP; -1
// without a version 2 hierarchy), and files to write "0" to from within.
struct CgroupEntry {
  UniqueFd unified;
  std::vector<UniqueFd> v1_procs;
};
// For create and for exec. NOT_FOUND if a group is gone.
absl::StatusOr<CgroupEntry> OpenCgroup(const CgroupRecord& record);

// `update`: what `resources` names is changed; its device rules are not. May
// make and join a version 1 group that nothing needed before, and then changes
// the record, which is to be saved, after an error too. An error leaves what
// was written before it.
absl::Status UpdateCgroup(const CgroupHost& host, const Resources& resources,
                          CgroupRecord& record, Clock& clock);

// Stops or resumes every process; waits until each has stopped.
// DEADLINE_EXCEEDED after `timeout`: a freeze is taken back then.
absl::Status SetCgroupFrozen(const CgroupRecord& record, bool frozen,
                             absl::Duration timeout, Clock& clock);
// False if it does not exist.
bool IsCgroupFrozen(const CgroupRecord& record);

// Sends SIGKILL to every process, in the groups below too, and waits until
// none is left: DEADLINE_EXCEEDED after `timeout`. OK if it does not exist.
absl::Status KillCgroup(const CgroupRecord& record, absl::Duration timeout,
                        Clock& clock);
// `kill --all`. A process that is born meanwhile may be missed, except by
// SIGKILL.
absl::Status SignalCgroup(const CgroupRecord& record, int signal);

// Every process, in the groups below too, in ascending order. Those that our
// PID namespace does not show are left out. Empty if it does not exist.
absl::StatusOr<std::vector<int>> CgroupPids(const CgroupRecord& record);

// The member "data" of `events --stats`, as runc prints it. NOT_FOUND if it
// does not exist.
absl::StatusOr<std::string> CgroupStatsJson(const CgroupRecord& record);

// Removes the groups and those below; waits for processes that are dying.
// FAILED_PRECONDITION if some live on. OK if they do not exist.
absl::Status RemoveCgroup(const CgroupRecord& record, absl::Duration timeout,
                          Clock& clock);
// Removes those of the groups that have neither processes nor groups below
// them; the others may be somebody else's, and stay.
absl::Status RemoveUnusedCgroup(const CgroupRecord& record);

}  // namespace bulwark::engine::oci

#endif  // ENGINE_OCI_CGROUP_CGROUP_H_
