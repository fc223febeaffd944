// What the verbs do with the groups of a container that exists.
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <set>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "engine/oci/cgroup/cgroup.h"
#include "engine/oci/cgroup/cgroup_files.h"
#include "engine/oci/cgroup/systemd_scope.h"

namespace bulwark::engine::oci {
namespace {

constexpr absl::Duration kPause = absl::Milliseconds(1);

std::set<std::string> JoinedDirectories(const CgroupRecord& record) {
  std::set<std::string> directories;
  for (const auto& [controller, directory] : record.v1) {
    directories.insert(directory);
  }
  return directories;
}

std::set<std::string> AllDirectories(const CgroupRecord& record) {
  std::set<std::string> directories = JoinedDirectories(record);
  if (!record.unified.empty()) directories.insert(record.unified);
  return directories;
}

// The group that every process of the container is in; empty if there is none.
std::string Main(const CgroupRecord& record) {
  if (!record.unified.empty()) return record.unified;
  const auto freezer = record.v1.find("freezer");
  return freezer == record.v1.end() ? "" : freezer->second;
}

// Waits until the line "`key` `value`" is in the group's cgroup.events. OK if
// the group is gone.
absl::Status AwaitEvent(const std::string& group, absl::string_view key,
                        absl::string_view value, absl::Duration deadline,
                        Clock& clock) {
  const std::string path = group + "/cgroup.events";
  const UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd.ok()) {
    return errno == ENOENT ? absl::OkStatus() : ErrnoStatus("open", path);
  }
  for (;;) {
    char text[256];  // a read rearms the notification
    const ssize_t n = pread(fd.get(), text, sizeof(text), 0);
    if (n < 0 && errno == ENODEV) return absl::OkStatus();
    if (n < 0) return ErrnoStatus("read", path);
    const absl::string_view events(text, static_cast<size_t>(n));
    if (ControlField(events, key) == value) return absl::OkStatus();
    const absl::Duration left = deadline - clock.Steady();
    if (left <= absl::ZeroDuration()) {
      return absl::DeadlineExceededError(absl::StrCat(
          "wait for \"", key, " ", value, "\" in ", path, ": time ran out"));
    }
    pollfd poll_fd = {fd.get(), POLLPRI, 0};
    const timespec limit = absl::ToTimespec(left);
    ppoll(&poll_fd, 1, &limit, nullptr);
  }
}

absl::Status FreezeV2(const std::string& group, bool frozen,
                      absl::Duration deadline, Clock& clock) {
  const std::string file = group + "/cgroup.freeze";
  RETURN_IF_ERROR(WriteControlOrError(file, frozen ? "1" : "0"));
  const absl::Status status =
      AwaitEvent(group, "frozen", frozen ? "1" : "0", deadline, clock);
  if (!status.ok() && frozen) WriteControl(file, "0");
  return status;
}

// Writing again makes the kernel try again.
absl::Status FreezeV1(const std::string& group, bool frozen,
                      absl::Duration deadline, Clock& clock) {
  const std::string file = group + "/freezer.state";
  const char* state = frozen ? "FROZEN" : "THAWED";
  for (;;) {
    RETURN_IF_ERROR(WriteControlOrError(file, state));
    if (ReadControl(file) == state) return absl::OkStatus();
    if (clock.Steady() >= deadline) break;
    clock.Sleep(kPause);
  }
  if (frozen) WriteControl(file, "THAWED");
  return absl::DeadlineExceededError(
      absl::StrCat("wait for \"", state, "\" in ", file, ": time ran out"));
}

// Without cgroup.kill (Linux before 5.14, or no version 2): stop them, so that
// nothing new is born, and kill one by one.
absl::Status KillOneByOne(const CgroupRecord& record, absl::Duration deadline,
                          Clock& clock) {
  for (;;) {
    // One that cannot be stopped can still be killed.
    SetCgroupFrozen(record, true, absl::Milliseconds(100), clock).IgnoreError();
    absl::StatusOr<std::vector<int>> pids = CgroupPids(record);
    for (const int pid : pids.value_or(std::vector<int>())) {
      kill(pid, SIGKILL);
    }
    SetCgroupFrozen(record, false, absl::Milliseconds(100), clock)
        .IgnoreError();
    if (!pids.ok()) return pids.status();
    if (pids->empty()) return absl::OkStatus();
    if (clock.Steady() >= deadline) {
      return absl::DeadlineExceededError(
          absl::StrCat("kill the processes of ", Main(record), ": ",
                       pids->size(), " are left"));
    }
    clock.Sleep(kPause);
  }
}

bool IsPopulated(const CgroupRecord& record) {
  return ControlField(ReadControl(record.unified + "/cgroup.events"),
                      "populated") == "1";
}

}  // namespace

absl::StatusOr<CgroupEntry> OpenCgroup(const CgroupRecord& record) {
  CgroupEntry entry;
  if (!record.unified.empty()) {
    entry.unified.Reset(
        open(record.unified.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!entry.unified.ok()) return ErrnoStatus("open", record.unified);
  }
  for (const std::string& directory : JoinedDirectories(record)) {
    // Not cgroup.procs: what joins is alone (isolators/namespaces.cc).
    const std::string path = directory + "/tasks";
    entry.v1_procs.emplace_back(open(path.c_str(), O_WRONLY | O_CLOEXEC));
    if (!entry.v1_procs.back().ok()) return ErrnoStatus("open", path);
  }
  return entry;
}

absl::Status SetCgroupFrozen(const CgroupRecord& record, bool frozen,
                             absl::Duration timeout, Clock& clock) {
  const absl::Duration deadline = clock.Steady() + timeout;
  const std::string group = Main(record);
  if (group.empty()) {
    return absl::FailedPreconditionError(
        "pause the container: it has no control group that could");
  }
  return record.unified.empty() ? FreezeV1(group, frozen, deadline, clock)
                                : FreezeV2(group, frozen, deadline, clock);
}

bool IsCgroupFrozen(const CgroupRecord& record) {
  // What was asked for, as soon as it was.
  if (!record.unified.empty()) {
    return ReadControl(record.unified + "/cgroup.freeze") == "1";
  }
  const std::string state = ReadControl(Main(record) + "/freezer.state");
  return state == "FROZEN" || state == "FREEZING";
}

absl::Status KillCgroup(const CgroupRecord& record, absl::Duration timeout,
                        Clock& clock) {
  const absl::Duration deadline = clock.Steady() + timeout;
  const std::string group = Main(record);
  if (group.empty() || !PathExists(group)) return absl::OkStatus();
  if (record.unified.empty() ||
      WriteControl(group + "/cgroup.kill", "1") != 0) {
    return KillOneByOne(record, deadline, clock);
  }
  return AwaitEvent(group, "populated", "0", deadline, clock);
}

absl::Status SignalCgroup(const CgroupRecord& record, int signal) {
  if (signal == SIGKILL && !record.unified.empty() &&
      WriteControl(record.unified + "/cgroup.kill", "1") == 0) {
    return absl::OkStatus();
  }
  ASSIGN_OR_RETURN(const std::vector<int> pids, CgroupPids(record));
  for (const int pid : pids) {
    if (kill(pid, signal) != 0 && errno != ESRCH) {
      return ErrnoStatus(absl::StrCat("send signal ", signal, " to"),
                         absl::StrCat("process ", pid));
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<int>> CgroupPids(const CgroupRecord& record) {
  std::vector<int> pids;
  const std::string group = Main(record);
  if (!group.empty()) RETURN_IF_ERROR(AppendPids(group, pids));
  std::sort(pids.begin(), pids.end());
  pids.erase(std::unique(pids.begin(), pids.end()), pids.end());
  return pids;
}

absl::Status RemoveCgroup(const CgroupRecord& record, absl::Duration timeout,
                          Clock& clock) {
  const absl::Duration deadline = clock.Steady() + timeout;
  const std::set<std::string> groups = AllDirectories(record);
  absl::Status first;
  for (const std::string& group : groups) {
    absl::Status status = RemoveGroupTree(group);
    // A process that is dying leaves its group a little after it is gone.
    while (!status.ok() && clock.Steady() < deadline) {
      if (!record.unified.empty() && IsPopulated(record)) {
        AwaitEvent(record.unified, "populated", "0", deadline, clock)
            .IgnoreError();  // the next removal says what is wrong
      } else {
        clock.Sleep(kPause);
      }
      status = RemoveGroupTree(group);
    }
    first.Update(status);
  }
  // An empty scope ends by itself, but not at once; until then its name is
  // taken.
  if (first.ok() && !record.scope.empty()) {
    first = StopScope(record.scope, clock);
  }
  return first;
}

absl::Status RemoveUnusedCgroup(const CgroupRecord& record) {
  absl::Status first;
  for (const std::string& group : AllDirectories(record)) {
    if (rmdir(group.c_str()) == 0 || errno == ENOENT || errno == EBUSY)
      continue;
    first.Update(ErrnoStatus("remove", group));
  }
  return first;
}

}  // namespace bulwark::engine::oci
