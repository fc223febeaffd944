#include "dataplane/control_socket.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "base/rollback.h"
#include "base/status.h"

namespace bulwark::dataplane {
namespace {

constexpr int kBacklog = 128;

}  // namespace

bool IsGone(const std::string& path) {
  return access(path.c_str(), F_OK) != 0 && errno == ENOENT;
}

absl::StatusOr<UniqueFd> ListenAt(const std::string& path) {
  const std::string name = path + ".new";
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  if (name.size() >= sizeof(address.sun_path)) {
    return absl::InvalidArgumentError(
        absl::StrCat("listen on ", path, ": the path is too long"));
  }
  std::memcpy(address.sun_path, name.data(), name.size());
  UniqueFd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd.ok()) return ErrnoStatus("make socket for", path);
  unlink(name.c_str());
  if (bind(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)) !=
      0) {
    return ErrnoStatus("bind", name);
  }
  Rollback undo;
  undo.Add([&name] { unlink(name.c_str()); });
  // Nobody connects before listen().
  if (chmod(name.c_str(), 0600) != 0) return ErrnoStatus("chmod", name);
  if (listen(fd.get(), kBacklog) != 0) return ErrnoStatus("listen on", name);
  if (rename(name.c_str(), path.c_str()) != 0) {
    return ErrnoStatus("rename", name);
  }
  undo.Commit();
  return fd;
}

}  // namespace bulwark::dataplane
