#include "engine/oci/id_map.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "base/status.h"

namespace bulwark::engine::oci {
namespace {

absl::Status WriteMap(int pid, const char* file, const char* field,
                      const std::vector<IdMapping>& mappings) {
  std::string text;
  for (const IdMapping& m : mappings) {
    absl::StrAppend(&text, m.container_id, " ", m.host_id, " ", m.size, "\n");
  }
  const std::string path = absl::StrCat("/proc/", pid, "/", file);
  const UniqueFd fd(open(path.c_str(), O_WRONLY | O_CLOEXEC));
  if (!fd.ok()) return ErrnoStatus("open", path);
  // The kernel takes it in one write or not at all.
  if (write(fd.get(), text.data(), text.size()) !=
      static_cast<ssize_t>(text.size())) {
    return absl::InvalidArgumentError(absl::StrCat(
        field, ": the kernel refuses the map: ", std::strerror(errno)));
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status WriteIdMaps(int pid, const std::vector<IdMapping>& uids,
                         const std::vector<IdMapping>& gids) {
  RETURN_IF_ERROR(WriteMap(pid, "uid_map", "uidMappings", uids));
  return WriteMap(pid, "gid_map", "gidMappings", gids);
}

absl::StatusOr<UniqueFd> MakeUserNamespace(const std::vector<IdMapping>& uids,
                                           const std::vector<IdMapping>& gids) {
  int ready[2];
  if (pipe2(ready, O_CLOEXEC) != 0) return ErrnoStatus("make", "pipe");
  const UniqueFd ready_read(ready[0]);
  UniqueFd ready_write(ready[1]);
  const pid_t pid = fork();
  if (pid < 0) return ErrnoStatus("start", "user namespace's process");
  if (pid == 0) {
    const int error = unshare(CLONE_NEWUSER) == 0 ? 0 : errno;
    if (write(ready_write.get(), &error, sizeof(error)) < 0) _exit(1);
    pause();
    _exit(0);
  }
  const absl::Cleanup reap = [&] {
    kill(pid, SIGKILL);
    waitpid(pid, nullptr, 0);
  };
  ready_write.Reset();
  int error = EIO;
  if (read(ready_read.get(), &error, sizeof(error)) != sizeof(error) ||
      error != 0) {
    return ErrnoStatus(error, "create", "user namespace");
  }
  RETURN_IF_ERROR(WriteIdMaps(pid, uids, gids));
  const std::string path = absl::StrCat("/proc/", pid, "/ns/user");
  UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd.ok()) return ErrnoStatus("open", path);
  return fd;
}

}  // namespace bulwark::engine::oci
