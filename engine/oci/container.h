// The verbs of the runtime on one container. See state.h for what they keep.
//
// Errors are for whoever called bulwark-oci: they say what could not be done
// to which container, and why. Where one of them fails, nothing is left of
// what it began.
#ifndef ENGINE_OCI_CONTAINER_H_
#define ENGINE_OCI_CONTAINER_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/clock.h"
#include "engine/oci/config/spec.h"
#include "engine/oci/state.h"

namespace bulwark::engine::oci {

struct Runtime {
  std::string root = "/run/bulwark-oci";
  bool systemd_cgroup = false;
  Clock& clock;
};

struct CreateOptions {
  std::string id;
  std::string bundle = ".";
  std::string console_socket;
  std::string pid_file;
  int preserve_fds = 0;
};

absl::Status Create(const Runtime& runtime, const CreateOptions& options);
// FAILED_PRECONDITION unless it is created and not started yet; the program's
// own failure to execute as INVALID_ARGUMENT.
absl::Status Start(const Runtime& runtime, const std::string& id);
// Create and start in one, without the wait between them. Returns 0 at once
// with `detach`; else the exit status, and the container is deleted, unless
// `keep`.
absl::StatusOr<int> Run(const Runtime& runtime, const CreateOptions& options,
                        bool detach, bool keep);

struct ExecOptions {
  std::string id;
  Process process;
  std::string console_socket;
  std::string pid_file;
  int preserve_fds = 0;
  bool detach = false;
  bool ignore_paused = false;
  int input = 0;  // the descriptor that becomes its standard input
};
// Returns the exit status; 0 with `detach`.
absl::StatusOr<int> Exec(const Runtime& runtime, const ExecOptions& options);
// Runs the startContainer hooks of a created container, each as a process of
// the container with the rights of its program: what the path names is the
// image's. Errors as of RunHooks().
absl::Status RunStartHooks(const Runtime& runtime, const std::string& id,
                           const Spec& spec, const std::string& state);
// The process of the container's own configuration, to be changed for an exec.
absl::StatusOr<Process> ProcessOf(const Runtime& runtime,
                                  const std::string& id);

// FAILED_PRECONDITION "container not running" unless it is created or running.
absl::Status Kill(const Runtime& runtime, const std::string& id, int signal,
                  bool all);
// Removes a stopped container; with `force` a running one too, and then one
// that does not exist is no error.
absl::Status Delete(const Runtime& runtime, const std::string& id, bool force);
// The same with `force`, for who has run it: `init` was its process, `hooks`
// are those of its configuration. OK if another one has its id by now.
absl::Status DeleteAfterRun(const Runtime& runtime, const std::string& id,
                            const os::ProcessRef& init, const Hooks& hooks);
absl::Status SetPaused(const Runtime& runtime, const std::string& id,
                       bool paused);
absl::Status Update(const Runtime& runtime, const std::string& id,
                    const Resources& resources);
absl::StatusOr<std::string> StateOf(const Runtime& runtime,
                                    const std::string& id);
absl::StatusOr<std::vector<int>> PidsOf(const Runtime& runtime,
                                        const std::string& id);
// One line of `events`: type "stats".
absl::StatusOr<std::string> StatsOf(const Runtime& runtime,
                                    const std::string& id);

// Shared by the verbs.

// Writes the pid in decimal, atomically. Nothing if `path` is empty.
absl::Status WritePidFile(const std::string& path, int pid);
// Whether this host labels files and processes.
bool HasSelinux();
// FAILED_PRECONDITION if this host does not do what the process asks for.
absl::Status CheckHost(const Process& process);
// The capabilities that we can pass on.
uint64_t OwnCapabilities();

}  // namespace bulwark::engine::oci

#endif  // ENGINE_OCI_CONTAINER_H_
