// Port of the container engine: runs containers on this host and keeps them
// running without us.
//
// A container's whole life is one execution: Start, then an exit (its own, or
// by Signal or Kill), then Remove. A restart is a new container with a new id.
// Containers outlive the process that holds this object; Recover() finds them
// again.
#ifndef ENGINE_ENGINE_H_
#define ENGINE_ENGINE_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "base/unique_fd.h"
#include "engine/container_spec.h"

namespace bulwark::engine {

enum class ContainerState { kRunning, kExited };

// How a container's first process ended.
struct ExitInfo {
  int code = 0;    // exit status, or 128 + signal
  int signal = 0;  // the signal that ended it, else 0
  bool oom_killed = false;
  // Not empty if the first process never ran: which step failed and why.
  std::string launch_error;
  // The kernel did not tell us (shim killed, or the host rebooted): `code` is
  // then 255 and this says which.
  std::string unknown_reason;
  absl::Time finish_time;
};

struct ContainerInfo {
  std::string id;
  std::map<std::string, std::string> labels;  // from the spec
  ContainerState state = ContainerState::kRunning;
  int pid = 0;               // of the first process, in our PID namespace
  uint64_t start_ticks = 0;  // /proc/PID/stat field 22: pid + this = identity
  absl::Time start_time;
  Resources resources;  // of the spec, or of the last Update()
  IdRange ids;          // of its user namespace
  bool paused = false;  // see ContainerAccess::SetPaused()
  ExitInfo exit;        // when kExited
  // The folder of the files that its output is written to; empty if its driver
  // writes none.
  std::string log_path;
};

// Counters since the container's start, and what it has now. What the host
// does not count is 0.
struct ContainerStats {
  absl::Duration cpu_usage;
  absl::Duration cpu_throttled;      // kept from running by its limit
  int64_t cpu_limit_millicores = 0;  // 0: none
  int64_t memory_bytes = 0;  // working set: usage minus inactive file pages
  int64_t memory_limit_bytes = 0;  // 0: none
  int64_t io_read_bytes = 0;
  int64_t io_write_bytes = 0;
  int64_t pids = 0;
  int64_t oom_kills = 0;
  // Pressure stall information: for how long some of its tasks waited.
  absl::Duration cpu_stalled;
  absl::Duration memory_stalled;
  absl::Duration io_stalled;
};

struct ExecSpec {
  std::vector<std::string> args;
  std::vector<std::string> env;  // added to the container's own, KEY=VALUE
  std::string user;              // empty: the container's
  std::string cwd;               // empty: the container's
  bool terminal = false;
  TerminalSize size;  // of the terminal when the process begins
  // Leaves the process alone: it has no terminal, its streams lead nowhere, and
  // it runs on whatever becomes of the session and of us. The session is then
  // good for nothing but to be destroyed.
  bool detach = false;
};

// One process started in a running container. Destroying it before Wait()
// returned kills the process, unless it was detached. Thread-compatible.
class ExecSession {
 public:
  virtual ~ExecSession() = default;
  // Ends of the process's standard streams; with a terminal, input() and
  // output() are the same pty and error() is -1. Owned by the session.
  virtual int input() = 0;
  virtual int output() = 0;
  virtual int error() = 0;
  virtual void CloseInput() = 0;
  virtual absl::Status Resize(int rows, int columns) = 0;
  virtual absl::Status Signal(int signal) = 0;
  // Blocks until the process ended; its exit status, or 128 + signal.
  virtual absl::StatusOr<int> Wait() = 0;
  // The same within `timeout` (zero: only looks); DEADLINE_EXCEEDED if it still
  // runs, UNIMPLEMENTED if this session can only Wait().
  virtual absl::StatusOr<int> WaitFor(absl::Duration timeout) {
    return absl::UnimplementedError("wait for process: only without a limit");
  }
};

struct LogEntry {
  absl::Time time;
  bool is_stderr = false;
  std::string line;      // without its newline
  bool partial = false;  // the line goes on in the next entry
};

struct LogOptions {
  int64_t tail = -1;                          // last n lines; -1: all
  absl::Time since = absl::InfinitePast();    // entries at or after this
  absl::Time until = absl::InfiniteFuture();  // before this; it then ends
  bool follow = false;                        // go on until the container exits
};

// Reads one container's log, across rotation. Thread-compatible.
class LogReader {
 public:
  virtual ~LogReader() = default;
  // The next entry; OUT_OF_RANGE at the end; CANCELLED after Cancel();
  // DEADLINE_EXCEEDED if following and nothing came within `timeout`.
  virtual absl::StatusOr<LogEntry> Next(absl::Duration timeout) = 0;
  // Makes a blocked Next() return. Thread-safe.
  virtual void Cancel() = 0;
};

// Told that something about container `id` changed (it exited, or its shim
// died). A hint: it may come twice or, after a crash of ours, not at all.
using EventSink = std::function<void(absl::string_view id)>;

// Thread-safe: calls for different containers run side by side. Errors common
// to all: NOT_FOUND for an unknown id, UNAVAILABLE for a hung shim.
class Engine {
 public:
  virtual ~Engine() = default;

  // Finds every container that runs or has left a record, reattaches to it,
  // and removes what a crash left half made. Call once, before the others.
  virtual absl::Status Recover(EventSink sink) = 0;

  // Starts a container: on success its first process has been executed.
  // Idempotent by id: if it exists already, returns it as it is. A command
  // that cannot be executed is INVALID_ARGUMENT with the failed step and
  // leaves nothing behind; so does every other error.
  virtual absl::StatusOr<ContainerInfo> Start(const ContainerSpec& spec) = 0;

  // Sends `signal` to the first process. FAILED_PRECONDITION if it exited. A
  // paused container goes on then.
  virtual absl::Status Signal(absl::string_view id, int signal) = 0;

  // Kills every process of the container and waits until all are gone.
  // OK if it has exited already.
  virtual absl::Status Kill(absl::string_view id) = 0;

  // Forgets an exited container: record, writable layer, cgroup, log.
  // FAILED_PRECONDITION while it runs; OK if it does not exist.
  virtual absl::Status Remove(absl::string_view id) = 0;

  // Changes the limits of a running container, for good: also a process that
  // takes it over knows them. Nothing is killed for it. FAILED_PRECONDITION,
  // and nothing has changed, if it exited, or if it uses more memory than the
  // new limit even after everything was reclaimed that can be.
  virtual absl::Status Update(absl::string_view id,
                              const Resources& resources) = 0;

  virtual absl::StatusOr<ContainerInfo> Inspect(absl::string_view id) = 0;
  virtual std::vector<ContainerInfo> List() = 0;
  // All zero if it has exited, and its group with it.
  virtual absl::StatusOr<ContainerStats> Stats(absl::string_view id) = 0;

  virtual absl::StatusOr<std::unique_ptr<ExecSession>> Exec(
      absl::string_view id, const ExecSpec& spec) = 0;
  virtual absl::StatusOr<std::unique_ptr<LogReader>> Logs(
      absl::string_view id, const LogOptions& options) = 0;
};

}  // namespace bulwark::engine

#endif  // ENGINE_ENGINE_H_
