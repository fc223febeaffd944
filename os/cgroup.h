// Control groups of one instance: /INSTANCE/NAME in the unified hierarchy and,
// on hosts where controllers still live in version 1 hierarchies ("hybrid"),
// in each of those that matters too. There version 1 limits and counts, and
// the unified one kills, freezes and is cloned into (it needs no controllers
// for that). The unified hierarchy must exist: FAILED_PRECONDITION without.
#ifndef OS_CGROUP_H_
#define OS_CGROUP_H_

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "base/clock.h"

namespace bulwark::os {

struct CgroupLayout {
  std::string unified;  // where the version 2 hierarchy is mounted
  // Version 1 hierarchies by controller ("memory" -> its mount). Controllers
  // mounted together have the same path.
  std::map<std::string, std::string> v1;
};

// Reads the layout from the text of /proc/self/mountinfo.
absl::StatusOr<CgroupLayout> ParseCgroupLayout(absl::string_view mountinfo);

// Whether a process with this /proc/self/cgroup is in the group that the
// hierarchy shows as its root. Unless that is the kernel's own root, a group
// with processes enables no controllers.
bool IsInRoot(absl::string_view self_cgroup);

// 0: no limit.
struct CgroupLimits {
  int64_t cpu_limit_millicores = 0;
  int64_t cpu_request_millicores = 0;
  int64_t memory_bytes = 0;
  int64_t pids = 0;
};

// What the kernel does not count here is 0.
struct CgroupStats {
  absl::Duration cpu_usage;
  absl::Duration cpu_throttled;      // kept from running by its limit
  int64_t cpu_limit_millicores = 0;  // 0: none
  int64_t memory_bytes = 0;          // usage minus inactive file pages
  int64_t memory_limit_bytes = 0;    // 0: none
  int64_t io_read_bytes = 0;
  int64_t io_write_bytes = 0;
  int64_t pids = 0;
  int64_t oom_kills = 0;
  // Pressure stall information, "some": for how long at least one task waited.
  absl::Duration cpu_stalled;
  absl::Duration memory_stalled;
  absl::Duration io_stalled;
};

// Where a group is found.
struct CgroupPaths {
  std::string unified;          // directory
  std::vector<std::string> v1;  // directories, one for each hierarchy
  std::string oom_file;         // has a line "oom_kill N"
};

// Thread-safe; calls block for short times, except where a deadline is named.
class Cgroups {
 public:
  // `clock` outlives it.
  Cgroups(CgroupLayout layout, std::string instance, Clock& clock);

  // Makes the instance's own groups and enables its controllers. Where this
  // process stands in the way of that (see IsInRoot), it moves into a leaf,
  // /INSTANCE-daemon.
  absl::Status Prepare();
  // Removes them again if they are empty.
  absl::Status Cleanup();

  CgroupPaths Paths(absl::string_view name) const;

  // Makes the group and sets its limits. OK if it exists. On an error nothing
  // is left.
  absl::Status Create(absl::string_view name, const CgroupLimits& limits);

  // Changes the limits of a group that exists; a zero lifts the limit. Memory
  // above its new limit is reclaimed first, and what cannot be is no reason to
  // kill anybody: FAILED_PRECONDITION says how much is used, and nothing has
  // changed. NOT_FOUND if there is no such group.
  absl::Status Update(absl::string_view name, const CgroupLimits& limits);

  // Kills every process of the group and of those below it; waits until none
  // is left: DEADLINE_EXCEEDED after `timeout`. OK if it does not exist.
  absl::Status Kill(absl::string_view name, absl::Duration timeout);

  // Whether any process is in it; false if it does not exist.
  absl::StatusOr<bool> IsPopulated(absl::string_view name) const;

  // Stops or resumes every process of the group; IsFrozen() tells when all have
  // stopped.
  absl::Status SetFrozen(absl::string_view name, bool frozen);
  absl::StatusOr<bool> IsFrozen(absl::string_view name) const;

  // Removes the group and those below it: FAILED_PRECONDITION if processes
  // are left. OK if it does not exist.
  absl::Status Remove(absl::string_view name);

  // About a dozen small files, some 20 us in all. NOT_FOUND if it does not
  // exist.
  absl::StatusOr<CgroupStats> Stats(absl::string_view name) const;

  // The groups that exist in any hierarchy.
  std::set<std::string> List() const;

  const CgroupLayout& layout() const { return layout_; }

 private:
  std::vector<std::string> Roots() const;  // of the instance, unified first
  std::string Leaf() const;                // for ourselves
  absl::Status LeaveRoot();
  bool HasV1(const std::string& controller) const;
  std::string V1(const std::string& controller, absl::string_view name) const;
  void ReadCpu(absl::string_view name, const std::string& unified,
               CgroupStats& stats) const;
  void ReadMemory(absl::string_view name, const std::string& unified,
                  CgroupStats& stats) const;
  void ReadIo(absl::string_view name, const std::string& unified,
              CgroupStats& stats) const;
  absl::Status SetLimits(absl::string_view name, const CgroupLimits& limits);
  absl::Status SetV1Limits(absl::string_view name, const CgroupLimits& limits);
  absl::Status SetV2Limits(absl::string_view name, const CgroupLimits& limits);
  absl::Status UpdateV1Memory(const std::string& group, int64_t bytes);
  absl::Status UpdateV2Memory(const std::string& group, int64_t bytes);
  absl::Status AwaitEmpty(const std::string& directory,
                          absl::Duration deadline);
  absl::Status RemoveTree(const std::string& directory);

  const CgroupLayout layout_;
  const std::string instance_;
  Clock& clock_;
};

}  // namespace bulwark::os

#endif  // OS_CGROUP_H_
