// What `ctl doctor` judges: the host as it was found.
#ifndef DAEMON_DOCTOR_FACTS_H_
#define DAEMON_DOCTOR_FACTS_H_

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/time/time.h"

namespace bulwark::daemon {

struct DiskFacts {
  std::string path;
  int64_t total_bytes = 0;
  int64_t available_bytes = 0;
  int64_t inodes = 0;  // 0: the file system has no fixed number
  int64_t free_inodes = 0;
  bool read_only = false;
  std::string error;  // not empty: nothing else is known
};

// A chain that sees what the host forwards, and that of another owner.
struct ForwardChain {
  std::string table;  // "ip filter"; "iptables (legacy)"
  std::string name;
  // What no rule of it accepts is dropped.
  bool drops = false;
  // A rule of its table names our uplink.
  bool knows_uplink = false;
};

// A published port that its service could not open.
struct ClosedPort {
  std::string service;  // "default/web"
  std::string message;  // of the condition PortsOpen
  // The listener that is in the way, "nginx (pid 12)"; empty if unknown.
  std::vector<std::string> holders;
};

struct HostFacts {
  std::string kernel;      // "6.1.0-18-amd64"
  std::string max_kernel;  // the flag
  bool overlay_layer_fds = false;
  bool overlay = false;
  std::set<std::string> missing_namespaces;  // "net", "pid", …
  int64_t max_user_namespaces = 0;
  // Why containers have the host's users; empty: they have their own.
  std::string host_users;
  // Whom /etc/subuid and /etc/subgid give ids of ours, too.
  std::vector<std::string> shared_ids;

  std::string cgroup_error;
  std::set<std::string> v1_controllers;
  std::set<std::string> v2_controllers;  // of the instance's groups
  std::string own_cgroup;                // of bulwarkd, unified
  bool pressure = false;

  std::string nft_error;
  bool ip_forward = false;
  std::string uplink;  // name of the host's end
  std::vector<ForwardChain> forward_chains;
  bool ipv6 = false;
  std::vector<std::string> dns_upstreams;
  std::vector<ClosedPort> closed_ports;
  // 0 of both: connections are not tracked.
  int64_t tracked_connections = 0;
  int64_t max_tracked_connections = 0;

  DiskFacts state_disk;
  DiskFacts runtime_disk;
  bool runtime_in_memory = false;

  absl::Time now;
  bool clock_synchronized = false;
  // The newest time that the store knows.
  absl::Time newest_record = absl::InfinitePast();

  int oom_score = 0;
  std::set<std::string> missing_capabilities;
  int64_t max_open_files = 0;
  bool under_systemd = false;

  // errno of an attempt; 0: it works.
  int io_uring_error = 0;
  int loop_error = 0;
  bool has_restic = false;

  // Keys of records that cannot be read.
  std::vector<std::string> unreadable_records;

  int64_t secrets = 0;
  std::string key_file;
  std::string key_file_error;   // not empty: mode and owner are not known
  std::string key_file_folder;  // state or runtime directory that it is in
  int key_file_mode = 0;
  int key_file_owner = 0;

  std::string socket;
  std::string socket_group;
  std::vector<std::string> socket_group_members;
  int socket_mode = 0;
};

}  // namespace bulwark::daemon

#endif  // DAEMON_DOCTOR_FACTS_H_
