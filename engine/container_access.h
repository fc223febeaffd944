// Port beside Engine: what people do to the inside of one container, its
// streams, processes and files.
//
// Nothing that a container can change leads any of this out of it: paths are
// resolved inside its root, and no program of it is run.
#ifndef ENGINE_CONTAINER_ACCESS_H_
#define ENGINE_CONTAINER_ACCESS_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace bulwark::engine {

struct AttachOptions {
  bool input = false;   // Write() is meant to work
  bool replay = false;  // first what is kept of the output, the newest 64 KiB:
                        // of containers with open_stdin or a terminal
  // The container waits for us when we are slow, 10 s at most.
  bool patient = false;
};

struct AttachChunk {
  bool is_error = false;
  std::string data;
};

// The standard streams of a container's first process. Destroying it changes
// nothing for the container. Thread-compatible.
class AttachSession {
 public:
  virtual ~AttachSession() = default;
  virtual bool terminal() const = 0;
  virtual bool has_input() const = 0;  // and it had not ended
  // Readable when Read() has news, writable when Write() takes more.
  virtual int fd() = 0;
  // What came; empty: nothing more for now. OUT_OF_RANGE once the container has
  // exited and everything was read; RESOURCE_EXHAUSTED if we were too slow and
  // lost output.
  virtual absl::StatusOr<std::vector<AttachChunk>> Read() = 0;
  // How many bytes were taken; 0: none for now.
  virtual absl::StatusOr<size_t> Write(absl::string_view data) = 0;
  // Ends the container's input, for good. With a terminal: types ^D. False: not
  // now, try again.
  virtual absl::StatusOr<bool> CloseInput() = 0;
  virtual absl::Status Resize(int rows, int columns) = 0;
};

struct ContainerProcess {
  int pid = 0;            // on the host
  int container_pid = 0;  // in the container; 0: not known
  int parent_pid = 0;     // on the host
  uint32_t uid = 0;       // in the container
  std::string user;       // its name there, or empty
  char state = '?';       // as in proc(5)
  absl::Duration cpu;
  int64_t memory_bytes = 0;  // resident
  absl::Time start_time;
  std::vector<std::string> command;
};

// A container that stands still. Thread-compatible.
class Standstill {
 public:
  // End().
  virtual ~Standstill() = default;
  // Lets it go on, unless others hold it or it is paused; an error is a failure
  // of that. OK if it has ended meanwhile, or the second time.
  virtual absl::Status End() = 0;
};

// Thread-safe. Errors common to all: NOT_FOUND for an unknown id.
class ContainerAccess {
 public:
  virtual ~ContainerAccess() = default;

  // FAILED_PRECONDITION if it has exited, or if its shim is too old for this;
  // RESOURCE_EXHAUSTED if 128 are attached.
  virtual absl::StatusOr<std::unique_ptr<AttachSession>> Attach(
      absl::string_view id, const AttachOptions& options) = 0;

  // FAILED_PRECONDITION if it has exited. The first process comes first.
  virtual absl::StatusOr<std::vector<ContainerProcess>> Processes(
      absl::string_view id) = 0;

  // Freezes every process, or lets them go on; lasts longer than this object.
  // OK if it is so already. FAILED_PRECONDITION if it has exited. An end
  // (Engine::Kill, or a signal) ends the pause as well.
  virtual absl::Status SetPaused(absl::string_view id, bool paused) = 0;

  // Freezes every process for as long as the returned object lives, and not
  // longer: if we die, Recover() lets it go on. Does not count as a pause,
  // which can begin and end meanwhile and is what stays. FAILED_PRECONDITION if
  // it has exited. Outlived by this object.
  virtual absl::StatusOr<std::unique_ptr<Standstill>> HoldStill(
      absl::string_view id) = 0;
};

}  // namespace bulwark::engine

#endif  // ENGINE_CONTAINER_ACCESS_H_
