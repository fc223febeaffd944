// bulwark-keeper: holds every listening socket of the data plane, and keeps a
// proxy running. Libc only, one thread, no allocation in its steady state:
// there is little in it that could fail, since all else relies on it.
//
//   bulwark-keeper --runtime-dir DIR --state-dir DIR --proxy PATH
//                  [--netns PATH] [--host-netns PATH] [--workers N]
//                  [--engine NAME] [--log PATH]
//
// Goes into the background. Exits 0 once it is ready, 3 if another one serves
// DIR already, 1 with the reason on standard error.
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "dataplane/keeper/proxy_process.h"
#include "dataplane/keeper/sockets.h"
#include "lb/handover/keeper_wire.h"

namespace bulwark::dataplane {
namespace {

using lb::KeeperOp;
using lb::KeeperRequest;
using lb::KeeperResponse;

constexpr int kMaxClients = 32;
constexpr int kAlreadyRuns = 3;

struct Options {
  const char* runtime_dir = nullptr;
  const char* state_dir = nullptr;
  const char* proxy = nullptr;
  const char* netns = "";
  const char* host_netns = "/proc/self/ns/net";
  const char* workers = "0";
  const char* engine = "auto";
  const char* log = nullptr;
};

volatile sig_atomic_t g_stop = 0;

void OnStopSignal(int) { g_stop = 1; }

[[noreturn]] void Die(const char* what, const char* object) {
  dprintf(2, "keeper: %s %s: %s\n", what, object, strerror(errno));
  _exit(1);
}

struct Path {
  char text[sizeof(sockaddr_un::sun_path)];
};

Path InDir(const char* dir, const char* name) {
  Path path;
  const int n = snprintf(path.text, sizeof(path.text), "%s/%s", dir, name);
  if (n < 0 || n >= static_cast<int>(sizeof(path.text))) {
    errno = ENAMETOOLONG;
    Die("use", dir);
  }
  return path;
}

int ListenUnix(const char* path, int type, bool nonblock) {
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  strncpy(address.sun_path, path, sizeof(address.sun_path) - 1);
  const int fd =
      socket(AF_UNIX, type | SOCK_CLOEXEC | (nonblock ? SOCK_NONBLOCK : 0), 0);
  if (fd < 0) return -1;
  unlink(path);
  const mode_t mask = umask(0177);
  const int bound =
      bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address));
  umask(mask);
  if (bound != 0 || listen(fd, 128) != 0) {
    close(fd);
    return -1;
  }
  return fd;
}

class Keeper {
 public:
  Keeper(const Options& options, int host_netns, char* const* proxy_argv)
      : keeper_path_(InDir(options.runtime_dir, "keeper.sock")),
        control_path_(InDir(options.runtime_dir, "proxy.sock")),
        lock_path_(InDir(options.runtime_dir, "proxy.lock")),
        sockets_(host_netns, options.netns),
        proxy_(proxy_argv, options.netns) {
    for (int& client : clients_) client = -1;
  }

  void Prepare() {
    listener_ = ListenUnix(keeper_path_.text, SOCK_SEQPACKET, true);
    if (listener_ < 0) Die("listen on", keeper_path_.text);
    // A surviving proxy brings its own control socket.
    if (proxy_.FindSurvivor(lock_path_.text)) return;
    if (Control() < 0) Die("listen on", control_path_.text);
  }

  void Run() {
    while (!g_stop) {
      proxy_.StartIfDue();
      Wait();
    }
    Shutdown();
  }

 private:
  int Control() {
    if (control_ < 0) {
      control_ = ListenUnix(control_path_.text, SOCK_STREAM, true);
    }
    return control_;
  }

  void Wait() {
    pollfd fds[kMaxClients + 2];
    int n = 0;
    fds[n++] = {listener_, POLLIN, 0};
    fds[n++] = {proxy_.pidfd(), POLLIN, 0};  // ignored by poll if negative
    for (int client : clients_) fds[n++] = {client, POLLIN, 0};
    const int wait_ms = proxy_.WaitMs();
    const timespec wait = {wait_ms / 1000, wait_ms % 1000 * 1'000'000L};
    // The stop signals are open only here, so that none is missed.
    sigset_t none;
    sigemptyset(&none);
    if (ppoll(fds, n, wait_ms < 0 ? nullptr : &wait, &none) <= 0) return;
    if (fds[1].revents != 0) {
      proxy_.OnExit();
      proxy_.StartIfDue();
    }
    for (int i = 0; i < kMaxClients; ++i) {
      if (fds[i + 2].revents != 0 && !Serve(clients_[i])) {
        close(clients_[i]);
        clients_[i] = -1;
      }
    }
    if (fds[0].revents != 0) Accept();
  }

  void Accept() {
    const int fd =
        accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0) return;
    ucred peer = {};
    socklen_t size = sizeof(peer);
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 &&
        (peer.uid == 0 || peer.uid == geteuid())) {
      for (int& client : clients_) {
        if (client >= 0) continue;
        client = fd;
        return;
      }
    }
    close(fd);
  }

  // One request. False: the connection is to be closed.
  bool Serve(int client) {
    KeeperRequest request = {};
    int fds[lb::kKeeperMaxSockets];
    uint32_t count = 0;
    if (!Receive(client, request, fds, count)) return false;
    KeptSockets::Failure failure;
    KeeperResponse response = {};
    const int* out = nullptr;
    if (request.op == KeeperOp::kAdopt && count == request.count && count > 0) {
      sockets_.Adopt(request, fds, failure);
    } else if (request.op == KeeperOp::kAdoptControl && count == 1) {
      if (control_ >= 0) close(control_);
      control_ = fds[0];
    } else {
      for (uint32_t i = 0; i < count; ++i) close(fds[i]);
      out = Answer(request, response, failure);
    }
    response.version = lb::kKeeperVersion;
    response.error = failure.error;
    strncpy(response.step, failure.step, sizeof(response.step) - 1);
    const bool sent = Send(client, response, out);
    if (passing_ >= 0) close(passing_);
    passing_ = -1;
    return sent && request.op != KeeperOp::kShutdown;
  }

  // Requests without descriptors. Returns those to send, response.count many.
  const int* Answer(const KeeperRequest& request, KeeperResponse& response,
                    KeptSockets::Failure& failure) {
    switch (request.op) {
      case KeeperOp::kPing:
        response.count = static_cast<uint32_t>(proxy_.pid());
        return nullptr;
      case KeeperOp::kOpen: {
        const KeptSockets::Entry* entry = sockets_.Open(request, failure);
        if (entry == nullptr) return nullptr;
        response.count = entry->count;
        return entry->fds;
      }
      case KeeperOp::kBegin:
        sockets_.Begin();
        return nullptr;
      case KeeperOp::kKeep:
        sockets_.Keep(request);
        return nullptr;
      case KeeperOp::kCommit:
        sockets_.Commit();
        return nullptr;
      case KeeperOp::kControl:
        if (Control() < 0) {
          failure = {errno, "listen"};
          return nullptr;
        }
        response.count = 1;
        return &control_;
      case KeeperOp::kSocket:
        passing_ = sockets_.MakeSocket(request, failure);
        response.count = passing_ >= 0 ? 1 : 0;
        return passing_ >= 0 ? &passing_ : nullptr;
      case KeeperOp::kShutdown:
        g_stop = 1;
        StopAll();
        return nullptr;
      default:
        failure = {EINVAL, "understand"};
        return nullptr;
    }
  }

  bool Receive(int client, KeeperRequest& request, int* fds, uint32_t& count) {
    iovec part = {&request, sizeof(request)};
    alignas(
        cmsghdr) char control[CMSG_SPACE(sizeof(int) * lb::kKeeperMaxSockets)];
    msghdr message = {};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = control;
    message.msg_controllen = sizeof(control);
    const ssize_t n = recvmsg(client, &message, MSG_CMSG_CLOEXEC);
    if (n < 0) return errno == EAGAIN || errno == EINTR;
    for (cmsghdr* h = CMSG_FIRSTHDR(&message); h != nullptr;
         h = CMSG_NXTHDR(&message, h)) {
      if (h->cmsg_level != SOL_SOCKET || h->cmsg_type != SCM_RIGHTS) continue;
      count = static_cast<uint32_t>((h->cmsg_len - CMSG_LEN(0)) / sizeof(int));
      memcpy(fds, CMSG_DATA(h), count * sizeof(int));
    }
    if (n == sizeof(request) && request.version == lb::kKeeperVersion) {
      request.address[sizeof(request.address) - 1] = '\0';
      return true;
    }
    for (uint32_t i = 0; i < count; ++i) close(fds[i]);
    return false;
  }

  bool Send(int client, const KeeperResponse& response, const int* fds) {
    iovec part = {const_cast<KeeperResponse*>(&response), sizeof(response)};
    alignas(cmsghdr) char
        control[CMSG_SPACE(sizeof(int) * lb::kKeeperMaxSockets)] = {};
    msghdr message = {};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    if (fds != nullptr) {
      const size_t bytes = response.count * sizeof(int);
      message.msg_control = control;
      message.msg_controllen = CMSG_SPACE(bytes);
      cmsghdr* header = CMSG_FIRSTHDR(&message);
      header->cmsg_level = SOL_SOCKET;
      header->cmsg_type = SCM_RIGHTS;
      header->cmsg_len = CMSG_LEN(bytes);
      memcpy(CMSG_DATA(header), fds, bytes);
    }
    return sendmsg(client, &message, MSG_NOSIGNAL) >= 0;
  }

  void StopAll() {
    proxy_.Stop();
    sockets_.CloseAll();
    if (control_ >= 0) close(control_);
    control_ = -1;
    unlink(control_path_.text);
    unlink(keeper_path_.text);
  }

  [[noreturn]] void Shutdown() {
    StopAll();
    _exit(0);
  }

  const Path keeper_path_;
  const Path control_path_;
  const Path lock_path_;
  KeptSockets sockets_;
  ProxyProcess proxy_;
  int listener_ = -1;
  int control_ = -1;
  // On its way to a client; not kept.
  int passing_ = -1;
  int clients_[kMaxClients];
};

Options ParseOptions(int argc, char** argv) {
  Options options;
  const option known[] = {{"runtime-dir", required_argument, nullptr, 'r'},
                          {"state-dir", required_argument, nullptr, 's'},
                          {"proxy", required_argument, nullptr, 'p'},
                          {"netns", required_argument, nullptr, 'n'},
                          {"host-netns", required_argument, nullptr, 'h'},
                          {"workers", required_argument, nullptr, 'w'},
                          {"engine", required_argument, nullptr, 'e'},
                          {"log", required_argument, nullptr, 'l'},
                          {}};
  int c;
  while ((c = getopt_long(argc, argv, "", known, nullptr)) != -1) {
    switch (c) {
      case 'r':
        options.runtime_dir = optarg;
        break;
      case 's':
        options.state_dir = optarg;
        break;
      case 'p':
        options.proxy = optarg;
        break;
      case 'n':
        options.netns = optarg;
        break;
      case 'h':
        options.host_netns = optarg;
        break;
      case 'w':
        options.workers = optarg;
        break;
      case 'e':
        options.engine = optarg;
        break;
      case 'l':
        options.log = optarg;
        break;
      default:
        _exit(1);
    }
  }
  if (options.runtime_dir == nullptr || options.state_dir == nullptr ||
      options.proxy == nullptr || optind != argc) {
    dprintf(2, "keeper: --runtime-dir, --state-dir, --proxy are needed\n");
    _exit(1);
  }
  return options;
}

void LockRuntimeDir(const Options& options) {
  const Path path = InDir(options.runtime_dir, "keeper.lock");
  const int fd = open(path.text, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0) Die("open", path.text);
  if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
    if (errno == EWOULDBLOCK) _exit(kAlreadyRuns);
    Die("lock", path.text);
  }
  // Kept open, and so locked, for the life of the process.
}

void RedirectOutput(const Options& options) {
  const int null = open("/dev/null", O_RDWR | O_CLOEXEC);
  int log = -1;
  if (options.log != nullptr) {
    log = open(options.log, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0640);
  }
  if (null >= 0) {
    dup2(null, 0);
    dup2(log >= 0 ? log : null, 1);
    dup2(log >= 0 ? log : null, 2);
  }
}

void CatchSignals() {
  signal(SIGPIPE, SIG_IGN);
  signal(SIGHUP, SIG_IGN);
  struct sigaction stop = {};
  stop.sa_handler = OnStopSignal;
  sigaction(SIGTERM, &stop, nullptr);
  sigaction(SIGINT, &stop, nullptr);
  sigset_t blocked;
  sigemptyset(&blocked);
  sigaddset(&blocked, SIGTERM);
  sigaddset(&blocked, SIGINT);
  sigprocmask(SIG_SETMASK, &blocked, nullptr);
}

int Main(int argc, char** argv) {
  const Options options = ParseOptions(argc, argv);
  close_range(3, ~0U, 0);
  const int host = open(options.host_netns, O_RDONLY | O_CLOEXEC);
  if (host < 0) Die("open", options.host_netns);
  if (setns(host, CLONE_NEWNET) != 0 && options.netns[0] != '\0') {
    Die("enter", options.host_netns);
  }
  LockRuntimeDir(options);

  char* proxy_argv[] = {const_cast<char*>(options.proxy),
                        const_cast<char*>("--runtime-dir"),
                        const_cast<char*>(options.runtime_dir),
                        const_cast<char*>("--state-dir"),
                        const_cast<char*>(options.state_dir),
                        const_cast<char*>("--workers"),
                        const_cast<char*>(options.workers),
                        const_cast<char*>("--engine"),
                        const_cast<char*>(options.engine),
                        nullptr};
  static Keeper keeper(options, host, proxy_argv);
  keeper.Prepare();
  const pid_t pid = fork();
  if (pid < 0) Die("fork", "keeper");
  if (pid > 0) _exit(0);
  setsid();
  RedirectOutput(options);
  CatchSignals();
  if (chdir("/") != 0) Die("enter", "/");
  keeper.Run();
  return 0;
}

}  // namespace
}  // namespace bulwark::dataplane

int main(int argc, char** argv) { return bulwark::dataplane::Main(argc, argv); }
