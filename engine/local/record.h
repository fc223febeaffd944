// What is kept about a container outside of our memory: its record (ours), its
// state and exit records (the shim's). Formats: docs/formats/.
#ifndef ENGINE_LOCAL_RECORD_H_
#define ENGINE_LOCAL_RECORD_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "engine/container_spec.h"
#include "engine/engine.h"
#include "os/process.h"

namespace bulwark::engine {

// Where a container's files are.
struct ContainerDirs {
  std::string runtime;  // of this boot: lock, state, control socket, secrets
  std::string state;    // durable: record, exit, log, writable layer

  std::string Record() const { return state + "/record"; }
  std::string Exit() const { return state + "/exit"; }
  std::string Process() const { return runtime + "/process"; }
  std::string State() const { return runtime + "/state"; }
  std::string Lock() const { return runtime + "/lock"; }
  // There while we hold the container still; "paused" if it is to stay so.
  std::string Still() const { return runtime + "/still"; }
};

// Durable, so without environment variables, which may hold secrets.
struct ContainerRecord {
  std::string id;
  std::map<std::string, std::string> labels;
  std::string boot_id;
  std::string upper_dir;  // if the spec gave one
  Resources resources;    // as last set
  IdRange ids;            // of its user namespace
  LogDriver log_driver = LogDriver::kLocal;
  std::vector<std::string> layers;  // lowest first
};

// What an exec inherits; in the runtime directory only.
struct ProcessRecord {
  std::vector<std::string> env;
  std::string user;
  std::string cwd;
  SecurityProfile profile = SecurityProfile::kBaseline;
  uint64_t add_capabilities = 0;  // masks
  uint64_t drop_capabilities = 0;
  IdRange ids;
  std::vector<Ulimit> ulimits;
};

struct StateRecord {
  bool running = false;  // else still launching
  os::ProcessRef shim;
  os::ProcessRef init;
  std::string boot_id;
  absl::Time start_time;
};

struct ExitRecord {
  ExitInfo exit;
  absl::Time start_time;
  int pid = 0;
};

// Encoded and sealed with a checksum. Decoding: DATA_LOSS for anything else
// than a whole record of the right type, UNIMPLEMENTED for one of a later
// version of the protocol; unknown fields are skipped.
std::string Encode(const ContainerRecord& record);
std::string Encode(const ProcessRecord& record);
std::string Encode(const ExitRecord& record);
absl::StatusOr<ContainerRecord> DecodeContainer(absl::string_view bytes);
absl::StatusOr<ProcessRecord> DecodeProcess(absl::string_view bytes);
absl::StatusOr<StateRecord> DecodeState(absl::string_view bytes);
absl::StatusOr<ExitRecord> DecodeExit(absl::string_view bytes);

// Reads and decodes; NOT_FOUND if there is no file. An exit file that was only
// preallocated is DATA_LOSS too.
absl::StatusOr<ContainerRecord> ReadContainer(const ContainerDirs& dirs);
absl::StatusOr<ProcessRecord> ReadProcess(const ContainerDirs& dirs);
absl::StatusOr<StateRecord> ReadState(const ContainerDirs& dirs);
absl::StatusOr<ExitRecord> ReadExit(const ContainerDirs& dirs);

}  // namespace bulwark::engine

#endif  // ENGINE_LOCAL_RECORD_H_
