#include "ctl/client.h"

#include <grp.h>
#include <grpc/grpc.h>
#include <grpcpp/grpcpp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <cerrno>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "absl/synchronization/mutex.h"
#include "base/unique_fd.h"
#include "ctl/client_impl.h"
#include "ctl/errors.h"

namespace bulwark::ctl {
namespace {

constexpr absl::Duration kPause = absl::Milliseconds(20);
constexpr absl::Duration kBetweenTries = absl::Milliseconds(200);
// Where the API puts a warning beside its answer.
constexpr char kWarningMetadata[] = "bulwark-warning-bin";

std::string SocketPath(absl::string_view socket) {
  if (!absl::ConsumePrefix(&socket, "unix://")) {
    absl::ConsumePrefix(&socket, "unix:");
  }
  return std::string(socket);
}

// errno of connecting to the socket; 0 if somebody listens.
int TryConnect(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof(address.sun_path)) return ENAMETOOLONG;
  std::memcpy(address.sun_path, path.data(), path.size());
  UniqueFd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd.ok()) return errno;
  if (connect(fd.get(), reinterpret_cast<sockaddr*>(&address),
              sizeof(address)) != 0) {
    return errno;
  }
  return 0;
}

bool IsSocket(const std::string& path) {
  struct stat info;
  return stat(path.c_str(), &info) == 0 && S_ISSOCK(info.st_mode);
}

// How a user gets the right to use the socket.
std::string WayIn(const std::string& path) {
  struct stat info;
  if (stat(path.c_str(), &info) != 0) {
    return "its folder is closed to you: use sudo";
  }
  if (info.st_gid == 0) {
    return "use sudo, or let its administrator start bulwarkd with "
           "--socket-group GROUP for a group that you are in";
  }
  const group* entry = getgrgid(info.st_gid);
  if (entry == nullptr) {
    return absl::StrCat("it belongs to the group ", info.st_gid,
                        ", which has no name on this host: use sudo");
  }
  return absl::StrCat("join the group ", entry->gr_name, " (sudo usermod -aG ",
                      entry->gr_name,
                      " $USER, then log in again), or use sudo");
}

}  // namespace

void Client::Impl::TellWarnings(const grpc::ClientContext& context) {
  if (on_warning == nullptr) return;
  const auto& metadata = context.GetServerInitialMetadata();
  const auto [begin, end] = metadata.equal_range(kWarningMetadata);
  for (auto it = begin; it != end; ++it) {
    const std::string text(it->second.data(), it->second.size());
    {
      absl::MutexLock lock(&mu);
      if (!told.insert(text).second) continue;
    }
    on_warning(text);
  }
}

Client::Client(const std::string& socket, absl::Duration timeout, Clock& clock,
               OnWarning on_warning)
    : impl_(std::make_unique<Impl>()) {
  // gRPC is kept up for good: its shut-down after a large upload can wait 10 s
  // for a poller of its own (tcp_posix.cc, backup poller).
  [[maybe_unused]] static const bool kept = (grpc_init(), true);
  impl_->path = SocketPath(socket);
  impl_->timeout = timeout;
  impl_->clock = &clock;
  impl_->on_warning = std::move(on_warning);
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(-1);
  // A unix socket needs no proxy, no name service and no retries.
  arguments.SetInt("grpc.enable_http_proxy", 0);
  arguments.SetInt("grpc.enable_retries", 0);
  // A daemon that restarts is found again at once.
  arguments.SetInt("grpc.initial_reconnect_backoff_ms", 100);
  arguments.SetInt("grpc.max_reconnect_backoff_ms", 500);
  std::shared_ptr<grpc::Channel> channel =
      grpc::CreateCustomChannel(absl::StrCat("unix:", impl_->path),
                                grpc::InsecureChannelCredentials(), arguments);
  impl_->channel = channel;
  impl_->resources = v1::Resources::NewStub(channel);
  impl_->services = v1::Services::NewStub(channel);
  impl_->jobs = v1::Jobs::NewStub(channel);
  impl_->containers = v1::Containers::NewStub(channel);
  impl_->images = v1::Images::NewStub(channel);
  impl_->contexts = v1::Contexts::NewStub(channel);
  impl_->secrets = v1::Secrets::NewStub(channel);
  impl_->system = v1::System::NewStub(channel);
  impl_->volumes = v1::Volumes::NewStub(channel);
}

Client::~Client() = default;

const std::string& Client::path() const { return impl_->path; }

void Client::AwaitConnection() {
  // A stream that was closed leaves the connection as it is.
  impl_->clock->Sleep(kPause);
  impl_->channel->WaitForConnected(
      absl::ToChronoTime(impl_->clock->Now() + kBetweenTries));
}

void Client::CancelStreams() {
  absl::MutexLock lock(&impl_->mu);
  for (grpc::ClientContext* context : impl_->streams) context->TryCancel();
}

absl::Status Client::Impl::ToStatus(const grpc::Status& status) const {
  if (status.ok()) return absl::OkStatus();
  const bool unreachable =
      status.error_code() == grpc::StatusCode::UNAVAILABLE ||
      path.size() >= sizeof(sockaddr_un::sun_path);
  if (unreachable && status.error_details().empty()) {
    return ExplainUnavailable(status);
  }
  absl::Status out(static_cast<absl::StatusCode>(status.error_code()),
                   status.error_message());
  if (status.error_code() == grpc::StatusCode::UNIMPLEMENTED) {
    return WithRemedy(out, "this bulwarkd is older than ctl: upgrade it");
  }
  if (status.error_code() == grpc::StatusCode::DEADLINE_EXCEEDED) {
    return WithRemedy(
        absl::DeadlineExceededError(absl::StrCat(
            "no answer from bulwarkd in ", absl::FormatDuration(timeout))),
        "give it more time with --timeout, or look at its log");
  }
  v1::ErrorDetail detail;
  if (!status.error_details().empty() &&
      detail.ParseFromString(status.error_details())) {
    out = WithDetail(out, detail);
  }
  return out;
}

absl::Status Client::Impl::ExplainUnavailable(
    const grpc::Status& status) const {
  const int error = TryConnect(path);
  auto fail = [&](absl::string_view cause, absl::string_view remedy) {
    return WithRemedy(absl::UnavailableError(absl::StrCat(
                          "connect to bulwarkd at ", path, ": ", cause)),
                      remedy);
  };
  switch (error) {
    case 0:
      if (absl::StrContains(status.error_message(), "SETTINGS")) {
        return fail("who listens there does not answer",
                    absl::StrCat("if it is bulwarkd, it is stopped or has too "
                                 "much to do (ps -C bulwarkd -o pid,stat,pcpu "
                                 "shows it); if not, another program serves ",
                                 path,
                                 " (ss -lxp says which): look at "
                                 "--socket"));
      }
      // Somebody listens now.
      return WithRemedy(
          absl::UnavailableError(status.error_message()),
          absl::StrCat("if bulwarkd has just started again, try again; if not, "
                       "another program serves ",
                       path, " (ss -lxp says which): look at --socket"));
    case ENOENT:
      return fail("there is no such socket",
                  "start the daemon (systemctl start bulwarkd), or name its "
                  "socket with --socket or BULWARK_SOCKET");
    case ECONNREFUSED:
      if (!IsSocket(path)) {
        return fail("it is no socket",
                    "name bulwarkd's with --socket or BULWARK_SOCKET");
      }
      return fail("nobody listens there",
                  "the daemon is not running: systemctl start bulwarkd, and "
                  "journalctl -u bulwarkd says why it ended");
    case EACCES:
    case EPERM:
      return fail("permission denied", WayIn(path));
    default:
      return fail(std::strerror(error), "look at --socket");
  }
}

}  // namespace bulwark::ctl
