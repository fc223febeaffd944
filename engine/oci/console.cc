#include "engine/oci/console.h"

#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "engine/child/spin.h"
#include "os/files.h"
#include "os/passed_fds.h"
#include "os/process.h"

namespace bulwark::engine::oci {
namespace {

// As long as a short program takes.
constexpr uint64_t kSpin = 300'000;  // ns

constexpr int kPidfdType = 3;  // P_PIDFD

// Moves what is there from one to the other. False at the end.
bool Pump(int from, int to) {
  char buffer[16384];
  const ssize_t n = read(from, buffer, sizeof(buffer));
  if (n < 0) return errno == EAGAIN || errno == EINTR;
  if (n == 0) return false;
  return os::WriteAll(to, absl::string_view(buffer, static_cast<size_t>(n)),
                      "terminal")
      .ok();
}

void CopySize(int master) {
  winsize size;
  if (ioctl(0, TIOCGWINSZ, &size) == 0) ioctl(master, TIOCSWINSZ, &size);
}

absl::StatusOr<int> Reap(int pidfd) {
  siginfo_t info = {};
  if (waitid(static_cast<idtype_t>(kPidfdType), static_cast<id_t>(pidfd), &info,
             WEXITED) != 0) {
    return ErrnoStatus("wait for", "the container's process");
  }
  return info.si_code == CLD_EXITED ? info.si_status : 128 + info.si_status;
}

void PassOn(int signals, int pidfd, int master) {
  signalfd_siginfo info;
  if (read(signals, &info, sizeof(info)) != sizeof(info)) return;
  const int signal = static_cast<int>(info.ssi_signo);
  if (signal == SIGWINCH && master >= 0) return CopySize(master);
  // Ours alone: of the shim, of Go's scheduler, of a terminal gone.
  if (signal == SIGCHLD || signal == SIGPIPE || signal == SIGURG) return;
  os::SendSignal(pidfd, signal).IgnoreError();  // it may be gone
}

}  // namespace

absl::StatusOr<UniqueFd> ConnectUnix(const std::string& path) {
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof(address.sun_path)) {
    return absl::InvalidArgumentError(
        absl::StrCat("connect to ", path, ": the path is too long"));
  }
  std::memcpy(address.sun_path, path.data(), path.size());
  UniqueFd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd.ok()) return ErrnoStatus("make", "socket");
  if (connect(fd.get(), reinterpret_cast<sockaddr*>(&address),
              sizeof(address)) != 0) {
    return ErrnoStatus("connect to", path);
  }
  return fd;
}

absl::Status SendWithFd(int socket, absl::string_view text, int fd) {
  const ssize_t n = os::SendWithFds(socket, text, {fd}, 0);
  if (n == static_cast<ssize_t>(text.size())) return absl::OkStatus();
  return ErrnoStatus(n < 0 ? errno : EIO, "send a descriptor to", "a socket");
}

absl::Status SendConsole(int socket, int master) {
  // The name is what conmon and containerd log.
  return SendWithFd(socket, "/dev/ptmx", master);
}

void SetConsoleSize(int master, uint16_t rows, uint16_t columns) {
  if (rows == 0 && columns == 0) return;
  const winsize size = {rows, columns, 0, 0};
  ioctl(master, TIOCSWINSZ, &size);
}

absl::StatusOr<int> Attend(int pidfd, int master) {
  sigset_t all;
  sigfillset(&all);
  sigprocmask(SIG_BLOCK, &all, nullptr);
  const UniqueFd signals(signalfd(-1, &all, SFD_CLOEXEC));
  if (!signals.ok()) return ErrnoStatus("make", "signal descriptor");
  termios before = {};
  const bool raw = master >= 0 && tcgetattr(0, &before) == 0;
  if (raw) {
    termios mode = before;
    cfmakeraw(&mode);
    tcsetattr(0, TCSANOW, &mode);
    CopySize(master);
  }
  const absl::Cleanup restore = [&] {
    if (raw) tcsetattr(0, TCSANOW, &before);
  };
  pollfd polls[4] = {{pidfd, POLLIN, 0},
                     {signals.get(), POLLIN, 0},
                     {master, POLLIN, 0},
                     {master >= 0 ? 0 : -1, POLLIN, 0}};
  child::SpinForInput(pidfd, kSpin);
  for (;;) {
    if (poll(polls, 4, -1) < 0 && errno != EINTR) {
      return ErrnoStatus("wait for", "the container's process");
    }
    if (polls[1].revents != 0) PassOn(signals.get(), pidfd, master);
    if (polls[2].revents != 0 && !Pump(master, 1)) polls[2].fd = -1;
    if (polls[3].revents != 0 && !Pump(0, master)) polls[3].fd = -1;
    if (polls[0].revents != 0) {
      // What it said last.
      while (polls[2].fd >= 0 && poll(&polls[2], 1, 0) == 1 &&
             Pump(master, 1)) {
      }
      return Reap(pidfd);
    }
  }
}

}  // namespace bulwark::engine::oci
