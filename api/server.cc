#include "api/server.h"

#include <grpc/grpc.h>
#include <grpcpp/ext/proto_server_reflection_plugin.h>
#include <grpcpp/health_check_service_interface.h>
#include <grpcpp/resource_quota.h>
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>
#include <grpcpp/server_posix.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "api/acceptor.h"
#include "api/containers_service.h"
#include "api/contexts_service.h"
#include "api/jobs_service.h"
#include "api/kept_contexts.h"
#include "api/members.h"
#include "api/resources_service.h"
#include "api/secrets_service.h"
#include "api/services_service.h"
#include "api/spec_writer.h"
#include "api/uploads.h"
#include "base/log.h"
#include "base/status.h"

namespace bulwark::api {
namespace {

constexpr int kMaxMessage = 16 << 20;
constexpr int kMaxMetadata = 16 << 10;
constexpr int kMaxStreams = 100;  // of one connection
constexpr size_t kMaxMemory = size_t{128} << 20;
// A connection without calls goes; clients connect again by themselves.
constexpr absl::Duration kIdle = absl::Minutes(10);
constexpr absl::Duration kDestructorGrace = absl::Seconds(5);
// Threads that stay when they have nothing to do: a call that finds one does not
// wait until one is made.
constexpr int kMostIdle = 6;

// gRPC 1.51 has known ways to be kept busy by a hostile client; whoever may
// open the socket is trusted with the host, so that these bounds are for
// clients gone wrong. Compressed messages are refused: they are inflated before
// their size is checked.
void SetBounds(grpc::ServerBuilder& builder, const ServerOptions& options) {
  builder.SetMaxReceiveMessageSize(kMaxMessage);
  builder.SetMaxSendMessageSize(-1);
  builder.AddChannelArgument(GRPC_ARG_MAX_METADATA_SIZE, kMaxMetadata);
  builder.AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS, kMaxStreams);
  builder.AddChannelArgument(GRPC_ARG_ENABLE_PER_MESSAGE_COMPRESSION, 0);
  builder.AddChannelArgument(GRPC_ARG_ENABLE_PER_MESSAGE_DECOMPRESSION, 0);
  builder.AddChannelArgument(
      GRPC_ARG_MAX_CONNECTION_IDLE_MS,
      static_cast<int>(absl::ToInt64Milliseconds(kIdle)));
  grpc::ResourceQuota quota("api");
  quota.Resize(kMaxMemory).SetMaxThreads(options.max_threads);
  builder.SetResourceQuota(quota);
  builder.SetSyncServerOption(grpc::ServerBuilder::MAX_POLLERS, kMostIdle);
}

// Keeps gRPC's threads until the process ends: when its last object goes, gRPC
// 1.51 joins a helper that may sit in a poll of 10 s (after large writes), and
// a stop of the daemon would wait for that.
void KeepLibrary() {
  static const bool kept = [] {
    grpc_init();
    return true;
  }();
  (void)kept;
}

Authorizer ByMembership(Members& members) {
  return [&members](const Peer& peer, const std::string& project) {
    return members.RightsOf(peer, project);
  };
}

// What is kept of contexts goes with the build cache.
HostFunctions WithContexts(HostFunctions host, KeptContexts& kept) {
  if (host.prune == nullptr) return host;
  host.prune = [prune = std::move(host.prune),
                &kept](const v1::PruneRequest& request) {
    const auto& types = request.types();
    if (!request.validate_only() &&
        std::find(types.begin(), types.end(), "build-cache") != types.end()) {
      kept.Clear();
    }
    return prune(request);
  };
  return host;
}

class ServerImpl final : public Server {
 public:
  ServerImpl(const ServerOptions& options, const ServerDependencies& d)
      : options_(options),
        clock_(d.clock),
        calls_(d.clock),
        members_(d.store, getuid()),
        own_audit_(d.audit != nullptr
                       ? nullptr
                       : std::make_unique<AuditLog>(d.store, d.clock)),
        audit_(d.audit != nullptr ? *d.audit : *own_audit_),
        gate_(identities_,
              d.authorizer != nullptr ? d.authorizer : ByMembership(members_),
              &audit_, d.clock),
        writer_(d.store, d.clock, d.entropy, d.normalize, d.vault),
        backup_({d.store, writer_, d.vault, d.clock, d.entropy},
                options.version.version),
        kept_(d.clock, d.entropy),
        resources_(gate_, d.store, writer_, stopper_),
        services_(gate_, d.store, writer_),
        jobs_(gate_, writer_),
        system_(gate_, d.store, audit_, backup_, stopper_, options.version,
                d.shutdown, WithContexts(d.host, kept_)),
        containers_(gate_, d.store, d.engine, d.access, d.files, d.commits,
                    d.stats, d.clock, stopper_),
        uploads_(options.state_dir, d.entropy),
        contexts_(gate_, kept_),
        images_({gate_, d.store, d.images, d.clock, uploads_, kept_, stopper_,
                 writer_, d.vault, d.registries, d.content, d.exchange},
                d.unpack,
                {options.max_archive_bytes, options.max_context_bytes}),
        volumes_(gate_, d.volumes, stopper_) {
    if (d.vault == nullptr) return;
    secrets_ = std::make_unique<SecretsService>(
        SecretsService::Environment{gate_, d.store, writer_, *d.vault},
        d.unsealed);
  }

  ~ServerImpl() override { Stop(kDestructorGrace); }

  absl::Status Serve() {
    ASSIGN_OR_RETURN(ListenSocket socket,
                     ListenSocket::Open(options_.socket_path, options_.group));
    // Under the socket's lock: no other daemon has uploads here now.
    RETURN_IF_ERROR(uploads_.Prepare());
    KeepLibrary();
    grpc::EnableDefaultHealthCheckService(true);
    grpc::reflection::InitProtoReflectionServerBuilderPlugin();
    grpc::ServerBuilder builder;
    SetBounds(builder, options_);
    for (grpc::Service* service : std::initializer_list<grpc::Service*>{
             &resources_, &services_, &jobs_, &system_, &containers_,
             &contexts_, &images_, &volumes_}) {
      builder.RegisterService(service);
    }
    if (secrets_ != nullptr) builder.RegisterService(secrets_.get());
    std::vector<
        std::unique_ptr<grpc::experimental::ServerInterceptorFactoryInterface>>
        interceptors;
    interceptors.push_back(calls_.NewInterceptors());
    builder.experimental().SetInterceptorCreators(std::move(interceptors));
    server_ = builder.BuildAndStart();
    if (server_ == nullptr) {
      return absl::InternalError("start the API server: gRPC refused");
    }
    acceptor_ = std::make_unique<Acceptor>(
        std::move(socket), identities_, clock_, options_.max_connections,
        [this](int fd) { grpc::AddInsecureChannelFromFd(server_.get(), fd); });
    LOG_INFO("API is served", {{"socket", options_.socket_path}});
    return absl::OkStatus();
  }

  void Stop(absl::Duration grace) override {
    if (server_ == nullptr) return;
    acceptor_.reset();
    stopper_.Stop();
    server_->Shutdown(gpr_time_add(
        gpr_now(GPR_CLOCK_MONOTONIC),
        gpr_time_from_millis(absl::ToInt64Milliseconds(grace), GPR_TIMESPAN)));
    server_->Wait();
    server_.reset();
  }

  std::vector<CallStats::Method> GetStats() const override {
    return calls_.Get();
  }

 private:
  const ServerOptions options_;
  Clock& clock_;
  CallStats calls_;
  Stopper stopper_;
  IdentityTable identities_;
  Members members_;
  const std::unique_ptr<AuditLog> own_audit_;
  AuditLog& audit_;
  const Gate gate_;
  SpecWriter writer_;
  StateBackup backup_;
  KeptContexts kept_;
  ResourcesService resources_;
  ServicesService services_;
  JobsService jobs_;
  SystemService system_;
  ContainersService containers_;
  Uploads uploads_;
  ContextsService contexts_;
  ImagesService images_;
  VolumesService volumes_;
  std::unique_ptr<SecretsService> secrets_;
  // Last: they use the rest.
  std::unique_ptr<grpc::Server> server_;
  std::unique_ptr<Acceptor> acceptor_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Server>> Server::Start(
    const ServerOptions& options, const ServerDependencies& dependencies) {
  auto server = std::make_unique<ServerImpl>(options, dependencies);
  RETURN_IF_ERROR(server->Serve());
  return server;
}

}  // namespace bulwark::api
