// What bulwark-oci remembers of a container, in ROOT/ID (mode 0700):
//
//   state.json   the record below; replaced by rename
//   config.json  the configuration as it was at `create`
//   start        FIFO, until `start` takes it away
//   error        what went wrong after `start`
//   lock         held by whoever changes the container
//
// ROOT lies on a file system that a reboot empties, so nothing is flushed; a
// record of another boot counts as stopped.
#ifndef ENGINE_OCI_STATE_H_
#define ENGINE_OCI_STATE_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/unique_fd.h"
#include "engine/oci/cgroup/cgroup.h"
#include "os/process.h"

namespace bulwark::engine::oci {

enum class Status { kCreating, kCreated, kRunning, kPaused, kStopped };
const char* StatusName(Status status);

struct State {
  std::string id;
  std::string version;  // ociVersion of the configuration
  std::string bundle;
  std::string rootfs;
  std::string boot_id;
  std::string created;      // RFC 3339
  os::ProcessRef init;      // pid 0: there is none yet
  uint64_t namespaces = 0;  // CLONE_NEW* that are the container's own
  bool terminal = false;
  bool systemd_cgroup = false;
  uint64_t listener_address = 0;  // see HandOverListener()
  CgroupRecord cgroup;
  // Instead of `cgroup`, if the maker died before it knew that they are its
  // own: they may not be there, or be somebody else's.
  CgroupRecord intended;
  std::map<std::string, std::string> annotations;
};

// The specification's state as JSON, as `state` prints it and hooks read it.
std::string StateJson(const State& state, Status status);

// One container's directory. Thread-compatible.
class Store {
 public:
  // `root`: --root, absolute.
  Store(std::string root, std::string id);

  // INVALID_ARGUMENT: letters, digits, and "+_.-", at most 1024 of them, and
  // neither "." nor "..".
  static absl::Status CheckId(absl::string_view id);

  // Makes the directory and takes its lock: ALREADY_EXISTS if it is there.
  absl::Status Create();
  // Takes the lock: NOT_FOUND "container does not exist". Waits for who has it.
  absl::Status Lock();
  void Unlock() { lock_.Reset(); }
  // NOT_FOUND, or DATA_LOSS.
  absl::StatusOr<State> Read() const;
  // Writes, once, what is about to be made before there is a process: the state
  // until one is published. Until WriteConfig() its groups are only intended.
  // On a disk, a file that replaces another is written at once, and its removal
  // waits for that: hence another file.
  absl::Status Begin(const State& state) const;
  // Stage() and Publish().
  absl::Status Write(const State& state) const;
  // Writes what nobody reads before Publish() makes it the container's state.
  absl::Status Stage(const State& state) const;
  absl::Status Publish() const;
  absl::Status WriteConfig(absl::string_view config) const;
  absl::StatusOr<std::string> ReadConfig() const;
  // Makes the FIFO and the error file.
  absl::Status MakeStart() const;
  // Everything. OK if there is nothing.
  absl::Status Remove();

  // Of a container in this record, now. Looks at processes and groups.
  Status StatusOf(const State& state) const;

  std::string Path(absl::string_view name) const;
  std::string directory() const { return directory_; }
  const std::string& id() const { return id_; }

 private:
  std::string root_;
  std::string id_;
  std::string directory_;
  UniqueFd lock_;
};

// The ids below `root`, sorted; none if it does not exist.
absl::StatusOr<std::vector<std::string>> ListContainers(
    const std::string& root);

}  // namespace bulwark::engine::oci

#endif  // ENGINE_OCI_STATE_H_
