#include "ctl/client.h"

#include <grp.h>
#include <grpc/grpc.h>
#include <grpcpp/grpcpp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <cerrno>
#include <cstring>
#include <set>
#include <thread>

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

namespace {

template <typename Impl>
class ExecStreamImpl final : public ExecStream {
 public:
  explicit ExecStreamImpl(Impl& impl)
      : impl_(impl),
        stream_(impl),
        call_(impl.containers->Exec(&stream_.context)) {}

  bool Send(const v1::ExecRequest& request) override {
    return call_->Write(request);
  }
  bool Read(v1::ExecResponse& response) override {
    return call_->Read(&response);
  }
  absl::Status Finish() override { return impl_.ToStatus(call_->Finish()); }

 private:
  Impl& impl_;
  Stream<Impl> stream_;
  std::unique_ptr<grpc::ClientReaderWriter<v1::ExecRequest, v1::ExecResponse>>
      call_;
};

// Sends `first` and then what `source` gives, while progress comes back.
template <typename Call, typename Request, typename Wrap>
absl::Status Upload(Call& call, grpc::ClientContext& context,
                    const Request& first, const Wrap& wrap,
                    const Client::Source& source,
                    const Client::OnProgress& on_progress,
                    grpc::Status& result) {
  absl::Status source_status;
  std::thread writer([&] {
    bool open = call.Write(first);
    while (open) {
      absl::StatusOr<std::string> piece = source();
      if (!piece.ok()) {
        source_status = piece.status();
        context.TryCancel();
        return;
      }
      if (piece->empty()) break;
      open = call.Write(wrap(*std::move(piece)));
    }
    call.WritesDone();
  });
  v1::ImageProgress progress;
  while (call.Read(&progress)) on_progress(progress);
  writer.join();
  result = call.Finish();
  return source_status;
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
  impl_->secrets = v1::Secrets::NewStub(channel);
  impl_->system = v1::System::NewStub(channel);
  impl_->volumes = v1::Volumes::NewStub(channel);
}

Client::~Client() = default;

const std::string& Client::path() const { return impl_->path; }

absl::StatusOr<v1::ApplyResponse> Client::Apply(
    const v1::ApplyRequest& request) {
  return impl_->Call(*impl_->resources, &v1::Resources::Stub::Apply, request);
}

absl::StatusOr<v1::Object> Client::Get(const v1::GetRequest& request) {
  return impl_->Call(*impl_->resources, &v1::Resources::Stub::Get, request);
}

absl::StatusOr<v1::ListResponse> Client::List(const v1::ListRequest& request) {
  return impl_->Call(*impl_->resources, &v1::Resources::Stub::List, request);
}

absl::StatusOr<v1::DeleteResponse> Client::Delete(
    const v1::DeleteRequest& request) {
  return impl_->Call(*impl_->resources, &v1::Resources::Stub::Delete, request);
}

absl::StatusOr<v1::ScaleResponse> Client::Scale(
    const v1::ScaleRequest& request) {
  return impl_->Call(*impl_->services, &v1::Services::Stub::Scale, request);
}

absl::StatusOr<v1::StopResponse> Client::Stop(const v1::StopRequest& request) {
  return impl_->Call(*impl_->services, &v1::Services::Stub::Stop, request);
}

absl::StatusOr<v1::StartResponse> Client::Start(
    const v1::StartRequest& request) {
  return impl_->Call(*impl_->services, &v1::Services::Stub::Start, request);
}

absl::StatusOr<v1::UndoResponse> Client::Undo(const v1::UndoRequest& request) {
  return impl_->Call(*impl_->services, &v1::Services::Stub::Undo, request);
}

absl::StatusOr<v1::TriggerResponse> Client::Trigger(
    const v1::TriggerRequest& request) {
  return impl_->Call(*impl_->jobs, &v1::Jobs::Stub::Trigger, request);
}

absl::StatusOr<v1::ListImagesResponse> Client::ListImages() {
  return impl_->Call(*impl_->images, &v1::Images::Stub::List,
                     v1::ListImagesRequest());
}

absl::StatusOr<v1::RemoveImageResponse> Client::RemoveImage(
    const v1::RemoveImageRequest& request) {
  return impl_->Call(*impl_->images, &v1::Images::Stub::Remove, request);
}

absl::StatusOr<v1::TagImageResponse> Client::TagImage(
    const v1::TagImageRequest& request) {
  return impl_->Call(*impl_->images, &v1::Images::Stub::Tag, request);
}

absl::StatusOr<v1::VersionResponse> Client::Version() {
  return impl_->Call(*impl_->system, &v1::System::Stub::Version,
                     v1::VersionRequest());
}

absl::StatusOr<v1::DoctorResponse> Client::Doctor() {
  return impl_->Call(*impl_->system, &v1::System::Stub::Doctor,
                     v1::DoctorRequest());
}

absl::StatusOr<v1::DiskUsageResponse> Client::DiskUsage() {
  return impl_->Call(*impl_->system, &v1::System::Stub::DiskUsage,
                     v1::DiskUsageRequest());
}

absl::StatusOr<v1::PruneResponse> Client::Prune(const v1::PruneRequest& request,
                                                absl::Time deadline) {
  return impl_->Call(*impl_->system, &v1::System::Stub::Prune, request,
                     deadline);
}

absl::StatusOr<v1::VerifyAuditResponse> Client::VerifyAudit(
    absl::Time deadline) {
  return impl_->Call(*impl_->system, &v1::System::Stub::VerifyAudit,
                     v1::VerifyAuditRequest(), deadline);
}

absl::StatusOr<v1::ShutdownResponse> Client::Shutdown(
    const v1::ShutdownRequest& request, absl::Time deadline) {
  return impl_->Call(*impl_->system, &v1::System::Stub::Shutdown, request,
                     deadline);
}

absl::Status Client::Watch(
    const v1::WatchRequest& request, absl::Time deadline,
    const std::function<bool(const v1::WatchEvent&)>& on_event) {
  Stream stream(*impl_);
  if (deadline != absl::InfiniteFuture()) {
    stream.context.set_deadline(absl::ToChronoTime(deadline));
  }
  auto reader = impl_->resources->Watch(&stream.context, request);
  v1::WatchEvent event;
  while (reader->Read(&event)) {
    impl_->TellWarnings(stream.context);
    if (on_event(event)) continue;
    stream.context.TryCancel();
    reader->Finish();
    return absl::OkStatus();
  }
  const grpc::Status status = reader->Finish();
  if (status.ok()) {
    return absl::UnavailableError("watch: bulwarkd closed the stream");
  }
  return impl_->ToStatus(status);
}

absl::Status Client::Logs(
    const v1::LogsRequest& request,
    const std::function<void(const v1::LogLine&)>& on_line) {
  Stream stream(*impl_);
  auto reader = impl_->containers->Logs(&stream.context, request);
  v1::LogLine line;
  while (reader->Read(&line)) on_line(line);
  return impl_->ToStatus(reader->Finish());
}

absl::Status Client::Stats(
    const v1::StatsRequest& request,
    const std::function<bool(const v1::StatsResponse&)>& on_stats) {
  Stream stream(*impl_);
  auto reader = impl_->containers->Stats(&stream.context, request);
  v1::StatsResponse stats;
  while (reader->Read(&stats)) {
    if (on_stats(stats)) continue;
    stream.context.TryCancel();
    reader->Finish();
    return absl::OkStatus();
  }
  return impl_->ToStatus(reader->Finish());
}

absl::Status Client::Audit(
    const v1::AuditRequest& request,
    const std::function<void(const v1::AuditRecord&)>& on_record) {
  Stream stream(*impl_);
  auto reader = impl_->system->Audit(&stream.context, request);
  v1::AuditRecord record;
  while (reader->Read(&record)) on_record(record);
  return impl_->ToStatus(reader->Finish());
}

absl::Status Client::Pull(const v1::PullImageRequest& request,
                          const OnProgress& on_progress) {
  Stream stream(*impl_);
  auto reader = impl_->images->Pull(&stream.context, request);
  v1::ImageProgress progress;
  while (reader->Read(&progress)) on_progress(progress);
  return impl_->ToStatus(reader->Finish());
}

absl::Status Client::Load(const Source& source, const OnProgress& on_progress) {
  Stream stream(*impl_);
  auto call = impl_->images->Load(&stream.context);
  auto wrap = [](std::string data) {
    v1::LoadImageRequest request;
    request.set_data(std::move(data));
    return request;
  };
  grpc::Status result;
  absl::Status status = Upload(*call, stream.context, v1::LoadImageRequest(),
                               wrap, source, on_progress, result);
  return status.ok() ? impl_->ToStatus(result) : status;
}

absl::Status Client::Build(const v1::BuildOptions& options,
                           const Source& source,
                           const OnProgress& on_progress) {
  Stream stream(*impl_);
  auto call = impl_->images->Build(&stream.context);
  auto wrap = [](std::string data) {
    v1::BuildImageRequest request;
    request.set_context(std::move(data));
    return request;
  };
  v1::BuildImageRequest first;
  *first.mutable_options() = options;
  grpc::Status result;
  absl::Status status =
      Upload(*call, stream.context, first, wrap, source, on_progress, result);
  return status.ok() ? impl_->ToStatus(result) : status;
}

std::unique_ptr<ExecStream> Client::Exec() {
  return std::make_unique<ExecStreamImpl<Impl>>(*impl_);
}

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
