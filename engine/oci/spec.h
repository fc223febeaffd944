// The configuration of a container as the OCI runtime specification 1.2 writes
// it (config.json), as plain values. Names, and what an absent field means, are
// the specification's; what it calls a pointer is an optional here.
#ifndef ENGINE_OCI_SPEC_H_
#define ENGINE_OCI_SPEC_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace bulwark::engine::oci {

// One range of /proc/PID/uid_map.
struct IdMapping {
  uint32_t container_id = 0;
  uint32_t host_id = 0;
  uint32_t size = 0;
};

struct Mount {
  std::string destination;
  std::string type;
  std::string source;
  std::vector<std::string> options;
  std::vector<IdMapping> uid_mappings;
  std::vector<IdMapping> gid_mappings;
};

struct Hook {
  std::string path;
  std::vector<std::string> args;  // with args[0]
  std::vector<std::string> env;
  int timeout_seconds = 0;  // 0: none
};

struct Hooks {
  std::vector<Hook> prestart;
  std::vector<Hook> create_runtime;
  std::vector<Hook> create_container;
  std::vector<Hook> start_container;
  std::vector<Hook> poststart;
  std::vector<Hook> poststop;
};

// Masks of capabilities by number.
struct Capabilities {
  uint64_t bounding = 0;
  uint64_t effective = 0;
  uint64_t inheritable = 0;
  uint64_t permitted = 0;
  uint64_t ambient = 0;
};

struct Rlimit {
  int resource = 0;  // RLIMIT_*
  uint64_t soft = 0;
  uint64_t hard = 0;
};

struct Scheduler {
  uint32_t policy = 0;  // SCHED_*
  int32_t nice = 0;
  int32_t priority = 0;
  uint64_t flags = 0;  // SCHED_FLAG_*
  uint64_t runtime = 0;
  uint64_t deadline = 0;
  uint64_t period = 0;
};

struct Process {
  bool terminal = false;
  uint16_t console_rows = 0;
  uint16_t console_columns = 0;
  std::string cwd;
  std::vector<std::string> env;
  std::vector<std::string> args;
  uint32_t uid = 0;
  uint32_t gid = 0;
  std::optional<uint32_t> umask;
  std::vector<uint32_t> additional_gids;
  // Absent: none of any set is taken away but by the change of user.
  std::optional<Capabilities> capabilities;
  std::vector<Rlimit> rlimits;
  bool no_new_privileges = false;
  std::string apparmor_profile;
  std::string selinux_label;
  std::optional<int> oom_score_adj;
  std::optional<Scheduler> scheduler;
  std::optional<int> io_priority;  // as ioprio_set(2) takes it
};

struct Namespace {
  uint64_t type = 0;  // one CLONE_NEW* flag
  std::string path;   // empty: a new one
};

struct Device {
  std::string path;
  char type = 0;  // 'c', 'u' (as 'c'), 'b', 'p'
  int64_t major = 0;
  int64_t minor = 0;
  uint32_t file_mode = 0666;
  uint32_t uid = 0;
  uint32_t gid = 0;
};

// linux.resources.devices: later rules win. Absent numbers, and type 'a',
// stand for all.
struct DeviceRule {
  bool allow = false;
  char type = 'a';  // 'a', 'b', 'c'
  std::optional<int64_t> major;
  std::optional<int64_t> minor;
  std::string access;  // of "rwm"
};

struct ThrottleDevice {
  int64_t major = 0;
  int64_t minor = 0;
  uint64_t rate = 0;
};

struct WeightDevice {
  int64_t major = 0;
  int64_t minor = 0;
  std::optional<uint16_t> weight;
  std::optional<uint16_t> leaf_weight;
};

// linux.resources. -1 means "no limit" where the specification says so.
struct Resources {
  std::vector<DeviceRule> devices;
  struct {
    std::optional<int64_t> limit;  // bytes
    std::optional<int64_t> reservation;
    std::optional<int64_t> swap;  // memory and swap together
    std::optional<int64_t> kernel;
    std::optional<int64_t> kernel_tcp;
    std::optional<uint64_t> swappiness;
    std::optional<bool> disable_oom_killer;
    std::optional<bool> use_hierarchy;
    std::optional<bool> check_before_update;
  } memory;
  struct {
    std::optional<uint64_t> shares;
    std::optional<int64_t> quota;  // microseconds
    std::optional<uint64_t> burst;
    std::optional<uint64_t> period;
    std::optional<int64_t> realtime_runtime;
    std::optional<uint64_t> realtime_period;
    std::optional<int64_t> idle;
    std::string cpus;
    std::string mems;
  } cpu;
  std::optional<int64_t> pids_limit;
  struct {
    std::optional<uint16_t> weight;
    std::optional<uint16_t> leaf_weight;
    std::vector<WeightDevice> weight_devices;
    std::vector<ThrottleDevice> read_bps;
    std::vector<ThrottleDevice> write_bps;
    std::vector<ThrottleDevice> read_iops;
    std::vector<ThrottleDevice> write_iops;
  } block_io;
  std::vector<std::pair<std::string, uint64_t>> hugepages;  // "2MB", bytes
  struct {
    std::optional<uint32_t> class_id;
    std::vector<std::pair<std::string, uint32_t>> priorities;
  } network;
  struct Rdma {
    std::string device;
    std::optional<uint32_t> handles;
    std::optional<uint32_t> objects;
  };
  std::vector<Rdma> rdma;
  // Files of the version 2 group, verbatim.
  std::map<std::string, std::string> unified;
};

enum class SeccompOperator {
  kNotEqual,
  kLess,
  kLessOrEqual,
  kEqual,
  kGreaterOrEqual,
  kGreater,
  kMaskedEqual,  // (argument & value) == value_two
};

struct SeccompArgument {
  uint32_t index = 0;  // 0 to 5
  uint64_t value = 0;
  uint64_t value_two = 0;
  SeccompOperator op = SeccompOperator::kEqual;
};

struct SeccompSyscall {
  std::vector<std::string> names;
  std::string action;  // "SCMP_ACT_ALLOW", …
  std::optional<uint32_t> errno_ret;
  // All must hold. More than one with the same index: any of them, as
  // libseccomp has it.
  std::vector<SeccompArgument> args;
};

struct Seccomp {
  std::string default_action;
  std::optional<uint32_t> default_errno_ret;
  std::vector<std::string> architectures;  // "SCMP_ARCH_X86_64", …
  std::vector<std::string> flags;          // "SECCOMP_FILTER_FLAG_LOG", …
  std::string listener_path;
  std::string listener_metadata;
  std::vector<SeccompSyscall> syscalls;
};

struct TimeOffset {
  int64_t seconds = 0;
  uint32_t nanoseconds = 0;
};

struct Personality {
  uint64_t domain = 0;  // PER_*
};

struct Linux {
  std::vector<Namespace> namespaces;
  std::vector<IdMapping> uid_mappings;
  std::vector<IdMapping> gid_mappings;
  std::map<std::string, TimeOffset> time_offsets;  // "monotonic", "boottime"
  std::vector<Device> devices;
  std::string cgroups_path;
  Resources resources;
  std::string rootfs_propagation;  // "shared", "slave", "private", …
  std::map<std::string, std::string> sysctl;
  std::optional<Seccomp> seccomp;
  std::vector<std::string> masked_paths;
  std::vector<std::string> readonly_paths;
  std::string mount_label;
  std::optional<Personality> personality;
};

struct Spec {
  std::string version;  // ociVersion
  std::string root;     // path of the root file system, absolute
  bool root_read_only = false;
  // Absent: nothing can be started.
  std::optional<Process> process;
  std::string hostname;
  std::string domainname;
  std::vector<Mount> mounts;
  Hooks hooks;
  std::map<std::string, std::string> annotations;
  Linux linux_;
};

}  // namespace bulwark::engine::oci

#endif  // ENGINE_OCI_SPEC_H_
