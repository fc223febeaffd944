#include "netmesh/linux/net_sysctl.h"

#include <fcntl.h>
#include <unistd.h>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "base/status.h"

namespace bulwark::netmesh {

absl::StatusOr<NetSysctl> NetSysctl::Open(absl::string_view name) {
  std::string path = absl::StrCat("/proc/sys/net/", name);
  UniqueFd fd(open(path.c_str(), O_RDWR | O_CLOEXEC));
  if (!fd.ok()) return ErrnoStatus("open", path);
  return NetSysctl(std::move(path), std::move(fd));
}

absl::StatusOr<bool> NetSysctl::Keep(absl::string_view value) {
  char buffer[64];
  const ssize_t n = pread(fd_.get(), buffer, sizeof(buffer), 0);
  if (n < 0) return ErrnoStatus("read", path_);
  std::string now(buffer, static_cast<size_t>(n));
  absl::StripAsciiWhitespace(&now);
  if (absl::StrReplaceAll(now, {{"\t", " "}}) == value) return false;
  if (pwrite(fd_.get(), value.data(), value.size(), 0) < 0) {
    return ErrnoStatus(absl::StrCat("write \"", value, "\" to"), path_);
  }
  return true;
}

}  // namespace bulwark::netmesh
