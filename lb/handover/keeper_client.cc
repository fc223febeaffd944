#include "lb/handover/keeper_client.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "os/passed_fds.h"

namespace bulwark::lb {
namespace {

// The keeper does no work that takes long.
constexpr absl::Duration kTimeout = absl::Seconds(5);

absl::Status Lost(absl::string_view cause) {
  return absl::UnavailableError(absl::StrCat("call keeper: ", cause));
}

KeeperRequest Request(KeeperOp op) {
  KeeperRequest request = {};
  request.version = kKeeperVersion;
  request.op = op;
  return request;
}

absl::StatusOr<KeeperRequest> Request(KeeperOp op, const SocketKey& key,
                                      int count) {
  KeeperRequest request = Request(op);
  request.place = static_cast<uint32_t>(key.place);
  request.protocol = static_cast<uint32_t>(key.protocol);
  request.port = key.port;
  request.count = static_cast<uint32_t>(count);
  if (key.address.size() >= sizeof(request.address)) {
    return absl::InvalidArgumentError(
        absl::StrCat("open ", key.address, ": not an address"));
  }
  std::memcpy(request.address, key.address.data(), key.address.size());
  return request;
}

absl::Status SendRequest(int fd, const KeeperRequest& request,
                         const std::vector<int>& sent) {
  const absl::string_view bytes(reinterpret_cast<const char*>(&request),
                                sizeof(request));
  if (os::SendWithFds(fd, bytes, sent, 0) < 0) return Lost(strerror(errno));
  return absl::OkStatus();
}

absl::Status ReceiveResponse(int fd, KeeperResponse& response,
                             std::vector<UniqueFd>& received) {
  bool lost = false;
  const ssize_t n =
      os::ReceiveWithFds(fd, &response, sizeof(response), received, &lost);
  if (n < 0) return Lost(strerror(errno));
  if (n == 0) return Lost("it closed the connection");
  if (n != sizeof(response) || response.version != kKeeperVersion) {
    return absl::FailedPreconditionError(
        "call keeper: it speaks another version");
  }
  if (lost) {
    return absl::ResourceExhaustedError(
        "call keeper: no room for its descriptors");
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status CallKeeper(int fd, const KeeperRequest& request,
                        const std::vector<int>& sent, absl::Duration timeout,
                        KeeperResponse& response,
                        std::vector<UniqueFd>& received) {
  RETURN_IF_ERROR(SendRequest(fd, request, sent));
  pollfd waiting = {fd, POLLIN, 0};
  int n;
  do {
    n = poll(&waiting, 1, static_cast<int>(absl::ToInt64Milliseconds(timeout)));
  } while (n < 0 && errno == EINTR);
  if (n <= 0) return Lost("it does not answer");
  RETURN_IF_ERROR(ReceiveResponse(fd, response, received));
  if (response.error == 0) return absl::OkStatus();
  response.step[sizeof(response.step) - 1] = '\0';
  return WithSocketErrno(
      ErrnoStatus(response.error, response.step,
                  request.address[0] == '\0'
                      ? "keeper"
                      : absl::StrCat(request.address, ":", request.port)),
      response.error);
}

absl::StatusOr<UniqueFd> ConnectKeeper(const std::string& path) {
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof(address.sun_path)) {
    return absl::InvalidArgumentError(
        absl::StrCat("connect ", path, ": the path is too long for a socket"));
  }
  std::memcpy(address.sun_path, path.data(), path.size());
  UniqueFd fd(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
  if (!fd.ok()) return ErrnoStatus("create socket for", path);
  if (connect(fd.get(), reinterpret_cast<sockaddr*>(&address),
              sizeof(address)) != 0) {
    return absl::UnavailableError(
        absl::StrCat("connect ", path, ": ", strerror(errno)));
  }
  ucred peer = {};
  socklen_t size = sizeof(peer);
  if (getsockopt(fd.get(), SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) {
    return ErrnoStatus("identify", path);
  }
  if (peer.uid != 0 && peer.uid != geteuid()) {
    return absl::PermissionDeniedError(
        absl::StrCat("connect ", path, ": it belongs to user ", peer.uid));
  }
  return fd;
}

absl::Status KeeperClient::Connect() {
  if (connection_.ok()) return absl::OkStatus();
  ASSIGN_OR_RETURN(connection_, ConnectKeeper(path_));
  absl::Status status = HandOver();
  if (!status.ok()) connection_.Reset();
  return status;
}

absl::Status KeeperClient::Call(const KeeperRequest& request,
                                const std::vector<int>& sent,
                                std::vector<UniqueFd>& received) {
  KeeperResponse response = {};
  absl::Status status = CallKeeper(connection_.get(), request, sent, kTimeout,
                                   response, received);
  // Answers come in order: after one is missing, the rest would be misread.
  if (!status.ok() && response.error == 0) connection_.Reset();
  return status;
}

absl::Status KeeperClient::HandOver() {
  std::vector<UniqueFd> none;
  if (control_.ok()) {
    RETURN_IF_ERROR(
        Call(Request(KeeperOp::kAdoptControl), {control_.get()}, none));
  }
  for (const auto& [key, group] : groups_) {
    std::vector<int> fds;
    for (const UniqueFd& fd : *group) fds.push_back(fd.get());
    ASSIGN_OR_RETURN(
        KeeperRequest request,
        Request(KeeperOp::kAdopt, key, static_cast<int>(fds.size())));
    RETURN_IF_ERROR(Call(request, fds, none));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::shared_ptr<const SocketGroup>> KeeperClient::Open(
    const SocketKey& key, int count) {
  if (count < 1 || count > static_cast<int>(kKeeperMaxSockets)) {
    return absl::InvalidArgumentError(
        absl::StrCat("open ", key.address, ": ", count, " sockets"));
  }
  absl::MutexLock lock(&mu_);
  auto known = groups_.find(key);
  if (known != groups_.end()) return known->second;
  ASSIGN_OR_RETURN(KeeperRequest request, Request(KeeperOp::kOpen, key, count));
  auto group = std::make_shared<SocketGroup>();
  RETURN_IF_ERROR(WithKeeper([&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    return Call(request, {}, *group);
  }));
  if (group->size() != static_cast<size_t>(count)) {
    return absl::InternalError(absl::StrCat(
        "open ", key.address, ": got ", group->size(), " sockets of ", count));
  }
  groups_[key] = group;
  return group;
}

absl::Status KeeperClient::Retain(const std::vector<SocketKey>& keys) {
  absl::MutexLock lock(&mu_);
  std::map<SocketKey, std::shared_ptr<const SocketGroup>> kept;
  for (const SocketKey& key : keys) {
    auto it = groups_.find(key);
    if (it != groups_.end()) kept.insert(*it);
  }
  groups_ = std::move(kept);
  return WithKeeper(
      [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) { return RetainGroups(); });
}

absl::Status KeeperClient::RetainGroups() {
  std::vector<UniqueFd> none;
  RETURN_IF_ERROR(Call(Request(KeeperOp::kBegin), {}, none));
  for (const auto& [key, group] : groups_) {
    ASSIGN_OR_RETURN(
        KeeperRequest request,
        Request(KeeperOp::kKeep, key, static_cast<int>(group->size())));
    RETURN_IF_ERROR(Call(request, {}, none));
  }
  return Call(Request(KeeperOp::kCommit), {}, none);
}

absl::StatusOr<int> KeeperClient::Control() {
  absl::MutexLock lock(&mu_);
  if (control_.ok()) return control_.get();
  RETURN_IF_ERROR(Connect());
  std::vector<UniqueFd> received;
  RETURN_IF_ERROR(Call(Request(KeeperOp::kControl), {}, received));
  if (received.size() != 1) {
    return absl::InternalError("call keeper: it has no control socket");
  }
  control_ = std::move(received[0]);
  return control_.get();
}

void KeeperClient::ReplaceControl(UniqueFd control) {
  absl::MutexLock lock(&mu_);
  control_ = std::move(control);
  // Whoever is new to the keeper hands it everything.
  connection_.Reset();
  Connect().IgnoreError();
}

absl::StatusOr<UniqueFd> KeeperClient::NewSocket(SocketKey::Place place,
                                                 SocketKey::Protocol protocol,
                                                 bool ipv6) {
  ASSIGN_OR_RETURN(
      KeeperRequest request,
      Request(KeeperOp::kSocket,
              SocketKey{place, protocol, ipv6 ? "::" : "0.0.0.0", 0}, 1));
  absl::MutexLock lock(&mu_);
  std::vector<UniqueFd> received;
  RETURN_IF_ERROR(WithKeeper([&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    return Call(request, {}, received);
  }));
  if (received.size() != 1) {
    return absl::InternalError("call keeper: it made no socket");
  }
  return std::move(received[0]);
}

absl::Status KeeperClient::Check() {
  absl::MutexLock lock(&mu_);
  if (connection_.ok()) {
    std::vector<UniqueFd> none;
    if (Call(Request(KeeperOp::kPing), {}, none).ok()) return absl::OkStatus();
    connection_.Reset();
  }
  return Connect();
}

bool KeeperClient::AwaitLoss(absl::Duration most) {
  UniqueFd connection;  // one of our own: another call may close the other
  {
    absl::MutexLock lock(&mu_);
    if (!connection_.ok()) return false;
    connection.Reset(fcntl(connection_.get(), F_DUPFD_CLOEXEC, 0));
  }
  if (!connection.ok()) return false;
  pollfd waiting = {connection.get(), 0, 0};  // POLLHUP comes unasked
  return poll(&waiting, 1, static_cast<int>(absl::ToInt64Milliseconds(most))) >
         0;
}

}  // namespace bulwark::lb
