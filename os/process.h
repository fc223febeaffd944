// Processes: identity, birth and death. A process is known by a pidfd, or by
// its pid together with its start time, never by a bare pid.
#ifndef OS_PROCESS_H_
#define OS_PROCESS_H_

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "base/unique_fd.h"

namespace bulwark::os {

struct ProcessRef {
  int pid = 0;
  uint64_t start_ticks = 0;  // field 22 of /proc/PID/stat
};

// Field 22 of the text of /proc/PID/stat. DATA_LOSS if it does not parse.
absl::StatusOr<uint64_t> ParseStartTicks(absl::string_view stat);

// NOT_FOUND if there is no such process.
absl::StatusOr<uint64_t> ReadStartTicks(int pid);

// A pidfd of exactly this process; NOT_FOUND if it is gone, also if its pid
// belongs to another one by now.
absl::StatusOr<UniqueFd> OpenPidfd(const ProcessRef& ref);

// NOT_FOUND if the process has ended and was reaped.
absl::Status SendSignal(int pidfd, int signal);

// Blocks until the process ended (kernel state, reaped or not) or `timeout`
// passed. Returns whether it ended. Works for processes that are not ours.
bool AwaitEnd(int pidfd, absl::Duration timeout);

// Reaps the process if it is a child of ours and has ended; else does nothing.
void ReapChild(int pidfd);

struct SpawnOptions {
  int executable = -1;  // descriptor of the program
  std::vector<std::string> args;
  std::vector<std::string> env;
  // Pairs {ours, child's}. The child's standard streams, unless named here, are
  // /dev/null. All other descriptors without close-on-exec are inherited: the
  // program must close what it does not know.
  std::vector<std::pair<int, int>> fds;
  int directory = -1;  // where it runs; -1: where we do
  // Sent to it when the calling thread ends, and so when we die: for programs
  // that the thread waits for. It also starts with no signal blocked. 0: it
  // outlives us, and starts with all of them blocked.
  int death_signal = 0;
  // It leads a process group of its own, with what it starts.
  bool own_group = false;
};

struct Spawned {
  int pid = 0;
  UniqueFd pidfd;
};

// Starts a program by sharing our memory until it executes (CLONE_VM and
// CLONE_VFORK): its cost does not depend on our size. Blocks the calling thread
// for that long. The child is ours to reap.
absl::StatusOr<Spawned> Spawn(const SpawnOptions& options);

// The contents of `path` in a memory file that nobody can change any more,
// fit to be executed.
absl::StatusOr<UniqueFd> SealedCopy(const std::string& path);
// The same for the bytes of a program.
absl::StatusOr<UniqueFd> SealedProgram(absl::string_view bytes);
// The same for bytes, fit to be read or mapped.
absl::StatusOr<UniqueFd> SealedBytes(const char* name, absl::string_view bytes);

// Identifies this boot of the kernel (a UUID).
absl::StatusOr<std::string> BootId();

}  // namespace bulwark::os

#endif  // OS_PROCESS_H_
