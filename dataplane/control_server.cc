#include "dataplane/control_server.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "base/check.h"
#include "base/log.h"
#include "base/status.h"
#include "lb/control/frame.h"

namespace bulwark::dataplane {
namespace {

// A frame whose first byte is here must be complete after this long; the same
// for the writing of an answer.
constexpr absl::Duration kFrameTimeout = absl::Seconds(30);

bool Trusted(int fd) {
  ucred peer = {};
  socklen_t size = sizeof(peer);
  return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 &&
         (peer.uid == 0 || peer.uid == geteuid());
}

}  // namespace

ControlServer::ControlServer(int listening_fd, Clock& clock, Handler handler)
    : next_fd_(listening_fd),
      clock_(clock),
      handler_(std::move(handler)),
      wake_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  CHECK(wake_.ok());
  thread_ = std::thread([this] { AcceptLoop(); });
}

ControlServer::~ControlServer() {
  {
    absl::MutexLock lock(&mu_);
    stopping_ = true;
  }
  Wake();
  thread_.join();
  absl::MutexLock lock(&mu_);
  for (int fd : connections_) shutdown(fd, SHUT_RDWR);
  mu_.Await(absl::Condition(
      +[](std::set<int>* connections) { return connections->empty(); },
      &connections_));
}

void ControlServer::Wake() { eventfd_write(wake_.get(), 1); }

void ControlServer::ListenOn(int listening_fd) {
  absl::MutexLock lock(&mu_);
  next_fd_ = listening_fd;
  Wake();
  const auto used = [&]() ABSL_NO_THREAD_SAFETY_ANALYSIS {
    return used_fd_ == listening_fd;
  };
  mu_.Await(absl::Condition(&used));
}

void ControlServer::AcceptLoop() {
  while (true) {
    int listening_fd;
    {
      absl::MutexLock lock(&mu_);
      if (stopping_) return;
      listening_fd = used_fd_ = next_fd_;
    }
    pollfd fds[] = {{listening_fd, POLLIN, 0}, {wake_.get(), POLLIN, 0}};
    if (poll(fds, 2, -1) < 0 && errno != EINTR) return;
    if (fds[1].revents != 0) {
      eventfd_t ignored;
      eventfd_read(wake_.get(), &ignored);
      continue;
    }
    const int fd =
        accept4(listening_fd, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0) {
      // Out of descriptors: the caller keeps waiting, and we do not spin.
      if (errno == EMFILE || errno == ENFILE) {
        clock_.Sleep(absl::Milliseconds(50));
      }
      continue;
    }
    bool admitted = false;
    if (Trusted(fd)) {
      absl::MutexLock lock(&mu_);
      admitted = connections_.size() < kMaxConnections;
      if (admitted) connections_.insert(fd);
    }
    if (!admitted) {
      LOG_WARN("control connection refused", {});
      close(fd);
      continue;
    }
    std::thread([this, fd] { Serve(fd); }).detach();
  }
}

void ControlServer::Serve(int fd) {
  while (true) {
    pollfd waiting = {fd, POLLIN, 0};
    if (poll(&waiting, 1, -1) < 0 && errno != EINTR) break;
    v1::Request request;
    absl::Status status =
        lb::ReadFrame(fd, request, clock_, clock_.Steady() + kFrameTimeout);
    if (absl::IsNotFound(status)) break;
    if (status.ok()) {
      status = lb::WriteFrame(fd, handler_(request), clock_,
                              clock_.Steady() + kFrameTimeout);
    }
    if (!status.ok()) {
      LOG_WARN("control connection ended", {{"error", status}});
      break;
    }
  }
  absl::MutexLock lock(&mu_);
  close(fd);
  // The last access to this object: the destructor waits for it.
  connections_.erase(fd);
}

}  // namespace bulwark::dataplane
