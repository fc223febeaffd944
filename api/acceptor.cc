#include "api/acceptor.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include <cerrno>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/log.h"
#include "base/status.h"

namespace bulwark::api {
namespace {

constexpr absl::Duration kWarnEvery = absl::Seconds(10);
// After an error that will not go away at once, e.g. no descriptors left.
constexpr int kPauseMillis = 100;
// How often it is looked whether the socket's path is there.
constexpr absl::Duration kLookEvery = absl::Seconds(1);

}  // namespace

Acceptor::Acceptor(ListenSocket socket, IdentityTable& table, Clock& clock,
                   size_t max_connections, Sink sink)
    : socket_(std::move(socket)),
      table_(table),
      clock_(clock),
      max_connections_(max_connections),
      sink_(std::move(sink)),
      wake_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  CHECK(wake_.ok());
  thread_ = std::thread([this] { Run(); });
}

void Acceptor::Stop() {
  if (!thread_.joinable()) return;
  eventfd_write(wake_.get(), 1);
  thread_.join();
}

void Acceptor::Run() {
  const int timeout = static_cast<int>(absl::ToInt64Milliseconds(kLookEvery));
  while (true) {
    pollfd fds[2] = {{wake_.get(), POLLIN, 0}, {socket_.fd(), POLLIN, 0}};
    if (poll(fds, 2, timeout) < 0 && errno != EINTR) {
      Warn(ErrnoStatus("poll", "the API socket"));
      poll(fds, 1, kPauseMillis);
      continue;
    }
    if (fds[0].revents != 0) return;
    if (fds[1].revents != 0) AcceptAll();
    KeepInPlace();
  }
}

void Acceptor::KeepInPlace() {
  const absl::Duration now = clock_.Steady();
  if (now < next_look_) return;
  next_look_ = now + kLookEvery;
  if (!socket_.IsGone()) return;
  // Nobody comes to the old one any more; those in its queue are let in.
  AcceptAll();
  const absl::Status restored = socket_.Restore();
  if (restored.ok()) {
    LOG_WARN("the API socket was removed; it is there again", {});
  } else {
    Warn(restored);
  }
}

void Acceptor::AcceptAll() {
  while (true) {
    UniqueFd connection(
        accept4(socket_.fd(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (connection.ok()) {
      Take(std::move(connection));
      continue;
    }
    if (errno == EINTR || errno == ECONNABORTED) continue;
    if (errno == EAGAIN) return;
    // The queue keeps its place; looking again at once would only burn time.
    Warn(ErrnoStatus("accept on", "the API socket"));
    pollfd wake = {wake_.get(), POLLIN, 0};
    poll(&wake, 1, kPauseMillis);
    return;
  }
}

void Acceptor::Take(UniqueFd connection) {
  if (table_.Sweep() >= max_connections_) {
    Warn(absl::ResourceExhaustedError(
        absl::StrCat("accept a connection: ", max_connections_,
                     " are open, and more are not allowed")));
    return;
  }
  absl::StatusOr<Peer> peer = PeerOf(connection.get(), names_);
  if (!peer.ok()) {
    Warn(peer.status());
    return;
  }
  absl::StatusOr<int> fd = table_.Add(std::move(connection), *std::move(peer));
  if (!fd.ok()) {
    Warn(fd.status());
    return;
  }
  sink_(*fd);
}

void Acceptor::Warn(const absl::Status& status) {
  const absl::Duration now = clock_.Steady();
  if (now < next_warning_) return;
  next_warning_ = now + kWarnEvery;
  LOG_WARN("API connections are refused", {{"error", status}});
}

}  // namespace bulwark::api
