#include "lb/local/spawn.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "base/unique_fd.h"

namespace bulwark::lb {
namespace {

constexpr size_t kMaxErrorText = 4096;

class SpawnAttributes {
 public:
  SpawnAttributes() {
    posix_spawnattr_init(&attributes_);
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    posix_spawnattr_setsigmask(&attributes_, &none);
    posix_spawnattr_setsigdefault(&attributes_, &all);
    posix_spawnattr_setflags(&attributes_, POSIX_SPAWN_SETSIGMASK |
                                               POSIX_SPAWN_SETSIGDEF |
                                               POSIX_SPAWN_SETSID);
    posix_spawn_file_actions_init(&actions_);
  }
  ~SpawnAttributes() {
    posix_spawn_file_actions_destroy(&actions_);
    posix_spawnattr_destroy(&attributes_);
  }
  SpawnAttributes(const SpawnAttributes&) = delete;
  SpawnAttributes& operator=(const SpawnAttributes&) = delete;

  posix_spawnattr_t attributes_;
  posix_spawn_file_actions_t actions_;
};

// Reads until the writers are gone. False: the deadline passed first.
bool ReadUntilEnd(int fd, std::string& text, Clock& clock,
                  absl::Duration deadline) {
  while (true) {
    const int64_t left = absl::ToInt64Milliseconds(deadline - clock.Steady());
    pollfd waiting = {fd, POLLIN, 0};
    const int n =
        poll(&waiting, 1, static_cast<int>(std::max<int64_t>(0, left)));
    if (n == 0) return false;
    char buffer[512];
    const ssize_t got = n < 0 ? -1 : read(fd, buffer, sizeof(buffer));
    if (got == 0) return true;
    if (got < 0) {
      if (errno == EINTR) continue;
      return true;
    }
    if (text.size() < kMaxErrorText) text.append(buffer, got);
  }
}

}  // namespace

absl::StatusOr<Launched> Launch(const std::vector<std::string>& argv,
                                absl::Duration timeout, Clock& clock) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0)
    return ErrnoStatus("create pipe for", argv[0]);
  UniqueFd read_end(ends[0]), write_end(ends[1]);
  SpawnAttributes spawn;
  posix_spawn_file_actions_addopen(&spawn.actions_, 0, "/dev/null", O_RDWR, 0);
  posix_spawn_file_actions_addopen(&spawn.actions_, 1, "/dev/null", O_RDWR, 0);
  posix_spawn_file_actions_adddup2(&spawn.actions_, write_end.get(), 2);
  posix_spawn_file_actions_addclosefrom_np(&spawn.actions_, 3);
  std::vector<char*> pointers;
  for (const std::string& a : argv) {
    pointers.push_back(const_cast<char*>(a.c_str()));
  }
  pointers.push_back(nullptr);
  pid_t pid;
  const int error = posix_spawn(&pid, argv[0].c_str(), &spawn.actions_,
                                &spawn.attributes_, pointers.data(), environ);
  if (error != 0) return ErrnoStatus(error, "start", argv[0]);
  write_end.Reset();
  Launched result;
  const bool ended = ReadUntilEnd(read_end.get(), result.error_text, clock,
                                  clock.Steady() + timeout);
  if (!ended) kill(pid, SIGKILL);
  int status = 0;
  while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  if (!ended) {
    return absl::DeadlineExceededError(
        absl::StrCat("start ", argv[0], ": it is not ready after ",
                     absl::FormatDuration(timeout)));
  }
  result.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : 128;
  return result;
}

}  // namespace bulwark::lb
