#include "daemon/node/protect.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <string>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "base/unique_fd.h"
#include "os/files.h"

namespace bulwark::daemon {
namespace {

constexpr char kScoreFile[] = "/proc/self/oom_score_adj";
// -1000 would exempt it altogether, also when it is what eats the memory.
constexpr int kScore = -999;

}  // namespace

absl::Status ProtectFromOom() {
  ASSIGN_OR_RETURN(const std::string text, os::ReadFile(kScoreFile, 100));
  int score = 0;
  if (absl::SimpleAtoi(text, &score) && score <= kScore) {
    return absl::OkStatus();
  }
  UniqueFd file(open(kScoreFile, O_WRONLY | O_CLOEXEC));
  if (!file.ok()) return ErrnoStatus("open", kScoreFile);
  return os::WriteAll(file.get(), absl::StrCat(kScore), kScoreFile);
}

absl::Status NotifyManager(absl::string_view state) {
  const char* path = std::getenv("NOTIFY_SOCKET");
  if (path == nullptr || *path == '\0') return absl::OkStatus();
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const size_t length = std::strlen(path);
  if (length >= sizeof(address.sun_path) || (*path != '/' && *path != '@')) {
    return absl::InvalidArgumentError(
        absl::StrCat("tell the service manager at ", path,
                     ": neither a path nor an abstract name"));
  }
  std::memcpy(address.sun_path, path, length);
  if (*path == '@') address.sun_path[0] = '\0';
  UniqueFd fd(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!fd.ok()) return ErrnoStatus("open", "a socket");
  const auto size =
      static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + length);
  if (sendto(fd.get(), state.data(), state.size(), MSG_NOSIGNAL,
             reinterpret_cast<sockaddr*>(&address), size) < 0) {
    return ErrnoStatus("tell the service manager at", path);
  }
  return absl::OkStatus();
}

}  // namespace bulwark::daemon
