#include "lb/local/local_proxy.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "base/log.h"
#include "base/status.h"
#include "lb/control/frame.h"
#include "lb/handover/keeper_client.h"
#include "lb/local/spawn.h"
#include "os/files.h"

namespace bulwark::lb {
namespace {

namespace v1 = dataplane::v1;

constexpr absl::Duration kStartTimeout = absl::Seconds(10);
constexpr absl::Duration kShutdownTimeout = absl::Seconds(15);
// How often a call looks after the keeper.
constexpr absl::Duration kCheckInterval = absl::Seconds(1);
constexpr absl::Duration kRetryPause = absl::Milliseconds(10);
// Of the keeper: another one serves the directory.
constexpr int kAlreadyRuns = 3;
constexpr off_t kMaxLogBytes = 16 << 20;

std::string KeeperSocket(const LocalProxyConfig& config) {
  return config.runtime_dir + "/keeper.sock";
}

absl::Status PingKeeper(const LocalProxyConfig& config) {
  ASSIGN_OR_RETURN(UniqueFd keeper, ConnectKeeper(KeeperSocket(config)));
  KeeperRequest request = {};
  request.version = kKeeperVersion;
  request.op = KeeperOp::kPing;
  KeeperResponse response = {};
  std::vector<UniqueFd> none;
  return CallKeeper(keeper.get(), request, {}, kStartTimeout, response, none);
}

// Where the proxy keeps what it serves.
std::string KeptSnapshot(const LocalProxyConfig& config) {
  return config.runtime_dir + "/proxy.snapshot";
}

void RotateLog(const std::string& path) {
  struct stat info;
  if (stat(path.c_str(), &info) == 0 && info.st_size > kMaxLogBytes) {
    // A log that cannot be renamed grows on; nothing else suffers.
    rename(path.c_str(), (path + ".1").c_str());
  }
}

}  // namespace

LocalProxy::LocalProxy(LocalProxyConfig config, Clock& clock)
    : config_(std::move(config)), clock_(clock) {}

LocalProxy::~LocalProxy() = default;

absl::Status LocalProxy::Start() {
  for (const std::string* path : {&config_.runtime_dir, &config_.state_dir,
                                  &config_.keeper_path, &config_.proxy_path}) {
    if (path->empty() || path->front() != '/') {
      return absl::InvalidArgumentError(
          absl::StrCat("start proxy: \"", *path, "\" is not absolute"));
    }
  }
  if (config_.runtime_dir.size() > 90) {
    return absl::InvalidArgumentError(absl::StrCat(
        "start proxy: ", config_.runtime_dir, " is too long for sockets"));
  }
  RETURN_IF_ERROR(os::MakeDirs(config_.runtime_dir, 0700));
  RETURN_IF_ERROR(os::MakeDirs(config_.state_dir, 0700));
  const absl::Duration deadline = clock_.Steady() + kStartTimeout;
  // A keeper that has the lock but does not listen yet, or is about to end, is
  // waited for.
  absl::Status status = PingKeeper(config_);
  while (absl::IsUnavailable(status) && clock_.Steady() < deadline) {
    RETURN_IF_ERROR(Spawn());
    status = PingKeeper(config_);
    if (!status.ok()) clock_.Sleep(kRetryPause);
  }
  if (status.ok()) {
    absl::MutexLock lock(&mu_);
    started_ = true;
    last_check_ = clock_.Steady();
  } else if (absl::IsUnavailable(status) &&
             access(KeeperSocket(config_).c_str(), F_OK) != 0) {
    // Somebody cleaned the directory under a keeper that runs, and it cannot
    // listen there anew.
    return absl::FailedPreconditionError(absl::StrCat(
        "start proxy: a keeper runs, but its socket ", KeeperSocket(config_),
        " is gone; end it and its proxy (pkill -KILL -f 'bulwark-(keeper|proxy)"
        " --runtime-dir ",
        config_.runtime_dir,
        " '), then start again: open connections break, containers run on"));
  }
  return status;
}

void LocalProxy::Revive() {
  {
    absl::MutexLock lock(&mu_);
    const absl::Duration now = clock_.Steady();
    if (!started_ || now - last_check_ < kCheckInterval) return;
    last_check_ = now;
  }
  if (absl::Status s = Start(); !s.ok()) {
    LOG_ERROR("data plane not revived", {{"error", s}});
  }
}

absl::Status LocalProxy::Spawn() {
  const std::string log = config_.state_dir + "/dataplane.log";
  RotateLog(log);
  std::vector<std::string> argv = {config_.keeper_path,
                                   "--runtime-dir",
                                   config_.runtime_dir,
                                   "--state-dir",
                                   config_.state_dir,
                                   "--proxy",
                                   config_.proxy_path,
                                   "--workers",
                                   absl::StrCat(config_.workers),
                                   "--engine",
                                   config_.engine,
                                   "--log",
                                   log};
  if (!config_.dataplane_netns.empty()) {
    argv.push_back("--netns");
    argv.push_back(config_.dataplane_netns);
  }
  ASSIGN_OR_RETURN(Launched launched, Launch(argv, kStartTimeout, clock_));
  if (launched.exit_code == 0 || launched.exit_code == kAlreadyRuns) {
    return absl::OkStatus();
  }
  return absl::FailedPreconditionError(absl::StrCat(
      "start ", config_.keeper_path, ": ",
      launched.error_text.empty()
          ? absl::StrCat("exit code ", launched.exit_code)
          : std::string(absl::StripSuffix(launched.error_text, "\n"))));
}

absl::Status LocalProxy::Connect(Channel& channel) {
  if (channel.fd.ok()) return absl::OkStatus();
  const std::string path = config_.runtime_dir + "/proxy.sock";
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof(address.sun_path)) {
    return absl::InvalidArgumentError(
        absl::StrCat("connect ", path, ": the path is too long"));
  }
  std::memcpy(address.sun_path, path.data(), path.size());
  UniqueFd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd.ok()) return ErrnoStatus("create socket for", path);
  if (connect(fd.get(), reinterpret_cast<sockaddr*>(&address),
              sizeof(address)) != 0) {
    return absl::UnavailableError(
        absl::StrCat("connect ", path, ": ", strerror(errno)));
  }
  channel.fd = std::move(fd);
  return absl::OkStatus();
}

absl::StatusOr<v1::Response> LocalProxy::TryOnce(Channel& channel,
                                                 const v1::Request& request,
                                                 absl::Duration deadline) {
  RETURN_IF_ERROR(Connect(channel));
  absl::Status status = WriteFrame(channel.fd.get(), request, clock_, deadline);
  v1::Response response;
  if (status.ok()) {
    status = ReadFrame(channel.fd.get(), response, clock_, deadline);
  }
  if (status.ok()) return response;
  // An answer that comes later must not be taken for the next one.
  channel.fd.Reset();
  if (absl::IsNotFound(status)) {
    return absl::UnavailableError("call proxy: it closed the connection");
  }
  if (absl::IsDeadlineExceeded(status)) {
    return absl::UnavailableError("call proxy: it does not answer");
  }
  return status;
}

absl::StatusOr<v1::Response> LocalProxy::Call(Channel& channel,
                                              const v1::Request& request,
                                              absl::Duration timeout) {
  const absl::Duration deadline = clock_.Steady() + timeout;
  absl::StatusOr<v1::Response> response;
  while (true) {
    Revive();
    {
      absl::MutexLock lock(&channel.mu);
      response = TryOnce(channel, request, deadline);
    }
    if (response.ok() || !absl::IsUnavailable(response.status())) break;
    if (clock_.Steady() + kRetryPause >= deadline) return response.status();
    clock_.Sleep(kRetryPause);
  }
  RETURN_IF_ERROR(response.status());
  if (response->error().empty()) return response;
  return absl::Status(static_cast<absl::StatusCode>(response->error_code()),
                      response->error());
}

absl::StatusOr<v1::Applied> LocalProxy::Apply(const v1::Snapshot& snapshot,
                                              absl::Duration timeout) {
  {
    absl::MutexLock lock(&mu_);
    if (snapshot.version() <= applied_version_) {
      return absl::FailedPreconditionError(
          absl::StrCat("apply snapshot ", snapshot.version(),
                       ": the current version is ", applied_version_));
    }
  }
  v1::Request request;
  *request.mutable_apply() = snapshot;
  ASSIGN_OR_RETURN(v1::Response response, Call(apply_, request, timeout));
  if (!response.has_applied()) {
    return absl::InternalError("apply snapshot: the answer is of another kind");
  }
  absl::MutexLock lock(&mu_);
  applied_version_ = std::max(applied_version_, response.applied().version());
  return std::move(*response.mutable_applied());
}

absl::StatusOr<v1::Stats> LocalProxy::Stats(absl::Duration timeout) {
  v1::Request request;
  request.mutable_stats();
  ASSIGN_OR_RETURN(v1::Response response, Call(stats_, request, timeout));
  if (!response.has_stats()) {
    return absl::InternalError("read stats: the answer is of another kind");
  }
  return std::move(*response.mutable_stats());
}

absl::StatusOr<v1::Snapshot> LocalProxy::LastApplied() {
  const std::string path = KeptSnapshot(config_);
  const absl::StatusOr<std::string> bytes = os::ReadFile(path, kMaxFrameBytes);
  v1::Snapshot snapshot;
  if (absl::IsNotFound(bytes.status())) return snapshot;
  RETURN_IF_ERROR(bytes.status());
  if (!snapshot.ParseFromString(*bytes)) {
    return absl::DataLossError(absl::StrCat("read ", path, ": not a snapshot"));
  }
  return snapshot;
}

absl::Status LocalProxy::Shutdown() {
  {
    // Nobody shall revive what ends now.
    absl::MutexLock lock(&mu_);
    started_ = false;
  }
  absl::StatusOr<UniqueFd> keeper = ConnectKeeper(KeeperSocket(config_));
  // No keeper but a proxy: only a keeper can end it.
  if (absl::IsUnavailable(keeper.status())) {
    if (access((config_.runtime_dir + "/keeper.lock").c_str(), F_OK) != 0) {
      return absl::OkStatus();
    }
    RETURN_IF_ERROR(Start());
    keeper = ConnectKeeper(KeeperSocket(config_));
  }
  RETURN_IF_ERROR(keeper.status());
  KeeperRequest request = {};
  request.version = kKeeperVersion;
  request.op = KeeperOp::kShutdown;
  KeeperResponse response = {};
  std::vector<UniqueFd> none;
  RETURN_IF_ERROR(
      CallKeeper(keeper->get(), request, {}, kShutdownTimeout, response, none));
  // The connection ends with the process, and with it the lock.
  pollfd ended = {keeper->get(), POLLIN, 0};
  poll(&ended, 1, static_cast<int>(absl::ToInt64Milliseconds(kStartTimeout)));
  for (Channel* channel : {&apply_, &stats_}) {
    absl::MutexLock lock(&channel->mu);
    channel->fd.Reset();
  }
  absl::MutexLock lock(&mu_);
  started_ = false;
  applied_version_ = 0;
  // The next installation starts from nothing.
  const std::string snapshot = KeptSnapshot(config_);
  if (unlink(snapshot.c_str()) != 0 && errno != ENOENT) {
    return ErrnoStatus("remove", snapshot);
  }
  return absl::OkStatus();
}

}  // namespace bulwark::lb
