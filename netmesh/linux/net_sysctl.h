// One file below /proc/sys/net, kept open.
#ifndef NETMESH_LINUX_NET_SYSCTL_H_
#define NETMESH_LINUX_NET_SYSCTL_H_

#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/unique_fd.h"

namespace bulwark::netmesh {

// A setting of the network namespace that the thread was in at Open(), from
// whichever thread it is used. Looking at it costs one read: with many
// namespaces on a host, finding the file costs more than all else, and writing
// some of them walks over every link. Move-only, thread-compatible.
class NetSysctl {
 public:
  // "ipv4/ip_forward". NOT_FOUND if the kernel has no such file.
  static absl::StatusOr<NetSysctl> Open(absl::string_view name);

  // Writes `value` unless it is there; several numbers are separated by single
  // blanks. Whether it had to. NOT_FOUND if the kernel has taken the file back
  // (a module was unloaded).
  absl::StatusOr<bool> Keep(absl::string_view value);

 private:
  NetSysctl(std::string path, UniqueFd fd)
      : path_(std::move(path)), fd_(std::move(fd)) {}

  std::string path_;
  UniqueFd fd_;
};

}  // namespace bulwark::netmesh

#endif  // NETMESH_LINUX_NET_SYSCTL_H_
