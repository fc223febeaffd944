// What a container is made of: plain values, complete, nothing left to look up
// but users and groups, which are resolved inside its root file system.
#ifndef ENGINE_CONTAINER_SPEC_H_
#define ENGINE_CONTAINER_SPEC_H_

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

namespace bulwark::engine {

struct Mount {
  enum class Kind { kBind, kTmpfs };
  Kind kind = Kind::kBind;
  std::string source;       // kBind: an absolute path of the host
  std::string destination;  // absolute, inside the container
  bool read_only = false;
  // kBind: the source is ours alone, and is given to the container's user, with
  // all that is in it (a few folders deep), before the first process runs.
  bool owned_by_user = false;
  int64_t size_bytes = 0;  // kTmpfs; 0: half of the memory limit, or 64 MiB
  uint32_t mode = 01777;   // kTmpfs
};

// 0 means no limit.
struct Resources {
  int64_t cpu_limit_millicores = 0;
  int64_t cpu_request_millicores = 0;  // becomes the weight
  int64_t memory_limit_bytes = 0;
  int64_t pids_limit = 0;

  bool operator==(const Resources&) const = default;
};

// What of the output is kept, and where.
enum class LogDriver {
  kLocal,     // our files: rotated, the older ones compressed
  kJsonFile,  // Docker's format of that name
  kJournald,  // the host's journal
  kNone,
};

struct LogConfig {
  int64_t max_file_bytes = 20 << 20;
  int max_files = 5;  // with the one being written
  LogDriver driver = LogDriver::kLocal;
  std::string name;  // the container's in the journal; empty: its id
};

inline bool HasLogFiles(const LogConfig& log) {
  return log.driver == LogDriver::kLocal || log.driver == LogDriver::kJsonFile;
}

// A device of the host, made known to the container.
struct DeviceMount {
  std::string host_path;  // character or block device, or a folder of such
  std::string path;       // in the container
  std::string access;     // of "r", "w", "m"
};

// As for setrlimit(2).
struct Ulimit {
  int resource = 0;  // RLIMIT_*
  uint64_t soft = 0;
  uint64_t hard = 0;
};

// The ids of the container's own user namespace: 0 to size - 1 inside are
// first to first + size - 1 on the host.
struct IdRange {
  uint32_t first = 0;
  uint32_t size = 0;  // 0: the host's user namespace

  bool operator==(const IdRange&) const = default;
};

// 0: as the kernel begins, which is 0 by 0. At most 65535.
struct TerminalSize {
  uint32_t rows = 0;
  uint32_t columns = 0;

  bool operator==(const TerminalSize&) const = default;
};

enum class SecurityProfile {
  kBaseline,    // 9 capabilities, default seccomp filter
  kRestricted,  // none, not as root, root file system read-only
  kBuild,       // Docker's 14 capabilities, for the steps of an image build
  kPrivileged,  // everything the daemon has
};

struct ContainerSpec {
  std::string id;  // [a-z0-9][a-z0-9._-]*, at most 64 characters; names all
                   // that the kernel holds for it
  std::map<std::string, std::string> labels;  // kept in its durable record

  // Root file system: directories of unpacked layers, lowest first, under a
  // writable layer that dies with the container.
  std::vector<std::string> layers;
  // If set, the writable layer is this directory and outlives the container
  // (image builds read it as the next layer).
  std::string upper_dir;
  bool read_only_root = false;

  std::vector<std::string> args;  // never empty; args[0] is looked up in PATH
  std::vector<std::string> env;   // KEY=VALUE
  std::string cwd;                // empty: /
  std::string user;               // "", "name", "uid", each with ":group"
  bool terminal = false;
  TerminalSize terminal_size;  // that its first process finds

  std::string hostname;
  // Path of a pinned network namespace; empty: a new one with loopback only.
  std::string network_namespace;
  // Start() calls it, once, from its own thread, unless the start has failed by
  // then: it blocks until the program may begin, which is all that is left to
  // do. Meanwhile the links and addresses of the namespace may be made, but for
  // one with `sysctls`, which are set before. An error ends the start, and
  // nothing is left of it. Should we die before, the container was never there.
  // Not with an `upper_dir`.
  std::function<absl::Status()> await_program;
  std::vector<std::string> nameservers;     // for /etc/resolv.conf
  std::vector<std::string> search_domains;  // likewise
  std::vector<std::pair<std::string, std::string>> hosts;  // name, address

  std::vector<Mount> mounts;
  Resources resources;
  LogConfig log;
  SecurityProfile profile = SecurityProfile::kBaseline;
  // Beside and without those of the profile: "NET_ADMIN", or "ALL".
  std::vector<std::string> add_capabilities;
  std::vector<std::string> drop_capabilities;

  // Keeps the standard input open for those who attach; else it is empty.
  bool open_stdin = false;
  std::vector<DeviceMount> devices;
  std::vector<Ulimit> ulimits;
  int64_t shm_bytes = 0;                       // of /dev/shm; 0: 64 MiB
  std::map<std::string, std::string> sysctls;  // "net.core.somaxconn"
  // A network namespace that is given has to belong to a user namespace of this
  // range, which the container then enters; without one both are made. Ids on
  // disk are those inside: layers, `upper_dir` and bind mounts are id-mapped,
  // and tell who reads them from outside what the container sees.
  IdRange ids;
};

}  // namespace bulwark::engine

#endif  // ENGINE_CONTAINER_SPEC_H_
