#include "dataplane/keeper/keeper.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

namespace bulwark::dataplane {
namespace {

using lb::KeeperOp;
using lb::KeeperRequest;
using lb::KeeperResponse;

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

}  // namespace

void Die(const char* what, const char* object) {
  dprintf(2, "keeper: %s %s: %s\n", what, object, strerror(errno));
  _exit(1);
}

SocketPath InDir(const char* dir, const char* name) {
  SocketPath path;
  const int n = snprintf(path.text, sizeof(path.text), "%s/%s", dir, name);
  if (n < 0 || n >= static_cast<int>(sizeof(path.text))) {
    errno = ENAMETOOLONG;
    Die("use", dir);
  }
  return path;
}

Keeper::Keeper(const char* runtime_dir, const char* netns, int host_netns,
               char* const* proxy_argv)
    : keeper_path_(InDir(runtime_dir, "keeper.sock")),
      control_path_(InDir(runtime_dir, "proxy.sock")),
      lock_path_(InDir(runtime_dir, "proxy.lock")),
      sockets_(host_netns, netns),
      proxy_(proxy_argv, netns) {
  for (int& client : clients_) client = -1;
}

void Keeper::Prepare() {
  listener_ = ListenUnix(keeper_path_.text, SOCK_SEQPACKET, true);
  if (listener_ < 0) Die("listen on", keeper_path_.text);
  // A surviving proxy brings its own control socket.
  if (proxy_.FindSurvivor(lock_path_.text)) return;
  if (Control() < 0) Die("listen on", control_path_.text);
}

void Keeper::Run(volatile sig_atomic_t& stop) {
  while (!stop && !stopping_) {
    proxy_.StartIfDue();
    Wait();
  }
  StopAll();
  _exit(0);
}

int Keeper::Control() {
  if (control_ < 0) {
    control_ = ListenUnix(control_path_.text, SOCK_STREAM, true);
  }
  return control_;
}

void Keeper::KeepInPlace() {
  if (access(keeper_path_.text, F_OK) == 0 || errno != ENOENT) return;
  const int fd = ListenUnix(keeper_path_.text, SOCK_SEQPACKET, true);
  if (fd < 0) return;  // the next look tries again
  close(listener_);
  listener_ = fd;
  dprintf(2, "keeper: %s was removed; it is there again\n", keeper_path_.text);
}

void Keeper::Wait() {
  KeepInPlace();
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

void Keeper::Accept() {
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

bool Keeper::Serve(int client) {
  KeeperPacket packet;
  switch (ReceivePacket(client, packet)) {
    case PacketState::kReceived:
      break;
    case PacketState::kNone:
      return true;
    case PacketState::kBroken:
      return false;
  }
  const KeeperRequest& request = packet.request;
  KeptSockets::Failure failure;
  KeeperResponse response = {};
  const int* out = nullptr;
  if (request.op == KeeperOp::kAdopt && packet.count == request.count &&
      packet.count > 0) {
    sockets_.Adopt(request, packet.fds, failure);
  } else if (request.op == KeeperOp::kAdoptControl && packet.count == 1) {
    if (control_ >= 0) close(control_);
    control_ = packet.fds[0];
  } else {
    for (uint32_t i = 0; i < packet.count; ++i) close(packet.fds[i]);
    out = Answer(request, response, failure);
  }
  response.version = lb::kKeeperVersion;
  response.error = failure.error;
  strncpy(response.step, failure.step, sizeof(response.step) - 1);
  const bool sent = SendPacket(client, response, out);
  if (passing_ >= 0) close(passing_);
  passing_ = -1;
  return sent && request.op != KeeperOp::kShutdown;
}

const int* Keeper::Answer(const KeeperRequest& request,
                          KeeperResponse& response,
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
      stopping_ = true;
      StopAll();
      return nullptr;
    default:
      failure = {EINVAL, "understand"};
      return nullptr;
  }
}

void Keeper::StopAll() {
  proxy_.Stop();
  sockets_.CloseAll();
  if (control_ >= 0) close(control_);
  control_ = -1;
  unlink(control_path_.text);
  unlink(keeper_path_.text);
}

}  // namespace bulwark::dataplane
