#include "tests/integration/api/fixture.h"

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "api/errors.h"
#include "api/keyring_rows.h"
#include "base/testing/status_matchers.h"
#include "store/objects.h"

namespace bulwark::api {
namespace {

absl::StatusOr<std::string> Normalize(absl::string_view reference) {
  if (absl::StrContains(reference, " ")) {
    return absl::InvalidArgumentError(
        absl::StrCat("\"", reference, "\" is not an image reference"));
  }
  return std::string(reference);
}

}  // namespace

void ApiTest::StartServer() {
  if (options_.socket_path.empty()) {
    options_.socket_path = dir_ / "api.sock";
    options_.state_dir = dir_ / "state";
    options_.version = {"1.2.3", "abcdef", "test", clock_.Now()};
  }
  ServerDependencies dependencies{store_, *engine_pointer_, images_, clock_,
                                  entropy_};
  dependencies.normalize = Normalize;
  dependencies.unpack = unpack_;
  dependencies.shutdown = [](absl::Duration timeout) {
    return std::vector<std::string>{absl::FormatDuration(timeout)};
  };
  dependencies.volumes = volumes_;
  dependencies.access = &access_;
  dependencies.files = files_;
  dependencies.commits = commits_;
  dependencies.authorizer = authorizer_;
  dependencies.stats = [this](absl::Duration) { return Stats(); };
  if (vault_pointer_ == nullptr) {
    ASSERT_THAT(LoadKeyring(store_, vault_), testing::IsOk());
    vault_pointer_ = &vault_;
  }
  dependencies.vault = vault_pointer_;
  dependencies.registries.name =
      [](absl::string_view registry) -> absl::StatusOr<std::string> {
    if (registry.find('/') == absl::string_view::npos) {
      return std::string(registry);
    }
    return absl::InvalidArgumentError("not a registry");
  };
  dependencies.registries.reference = Normalize;
  dependencies.content = content_;
  dependencies.exchange = exchange_;
  // Takes the password "right" only.
  dependencies.registries.check = [](const std::string&,
                                     const engine::RegistryAuth& auth) {
    return auth.password.Reveal() == "right"
               ? absl::OkStatus()
               : absl::UnauthenticatedError("refused");
  };
  dependencies.unsealed = [this] { ++unsealed_; };
  auto server = Server::Start(options_, dependencies);
  ASSERT_THAT(server, testing::IsOk());
  server_ = *std::move(server);
  channel_ = Connect();
}

v1::StatsResponse ApiTest::Stats() {
  absl::MutexLock lock(&stats_mu_);
  for (v1::ContainerUsage& c : *stats_.mutable_containers()) {
    c.set_cpu_usec(c.cpu_usec() + 1);
  }
  return stats_;
}

std::shared_ptr<grpc::Channel> ApiTest::Connect() const {
  grpc::ChannelArguments arguments;
  // A connection of its own for each channel.
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  return grpc::CreateCustomChannel("unix:" + options_.socket_path,
                                   grpc::InsecureChannelCredentials(),
                                   arguments);
}

absl::StatusOr<v1::ApplyResponse> ApiTest::Apply(
    const std::vector<v1::Object>& objects, bool validate_only) {
  v1::ApplyRequest request;
  for (const v1::Object& object : objects) *request.add_objects() = object;
  request.set_validate_only(validate_only);
  grpc::ClientContext context;
  v1::ApplyResponse response;
  const absl::Status status = FromGrpc(
      v1::Resources::NewStub(channel_)->Apply(&context, request, &response));
  if (!status.ok()) return status;
  return response;
}

absl::StatusOr<v1::Object> ApiTest::Get(const std::string& kind,
                                        const std::string& name) {
  v1::GetRequest request;
  request.set_kind(kind);
  request.set_name(name);
  grpc::ClientContext context;
  v1::Object response;
  const absl::Status status = FromGrpc(
      v1::Resources::NewStub(channel_)->Get(&context, request, &response));
  if (!status.ok()) return status;
  return response;
}

absl::Status ApiTest::Delete(const std::string& kind, const std::string& name) {
  v1::DeleteRequest request;
  v1::ObjectReference& reference = *request.add_objects();
  reference.set_kind(kind);
  reference.set_name(name);
  grpc::ClientContext context;
  v1::DeleteResponse response;
  return FromGrpc(
      v1::Resources::NewStub(channel_)->Delete(&context, request, &response));
}

absl::StatusOr<v1::ListResponse> ApiTest::List(const v1::ListRequest& request) {
  grpc::ClientContext context;
  v1::ListResponse response;
  const absl::Status status = FromGrpc(
      v1::Resources::NewStub(channel_)->List(&context, request, &response));
  if (!status.ok()) return status;
  return response;
}

v1::Object ApiTest::Service(const std::string& name, const std::string& image) {
  v1::Object object;
  object.mutable_service()->mutable_metadata()->set_name(name);
  object.mutable_service()->mutable_spec()->add_containers()->set_image(image);
  return object;
}

void ApiTest::Put(const v1::Object& object) {
  ASSERT_THAT(store_.Commit(store::Batch().Put(store::KeyOf(object),
                                               store::Encode(object))),
              testing::IsOk());
}

v1::Object ApiTest::Replica(const std::string& service, int slot, bool ready,
                            const std::string& container_id) {
  v1::Object object;
  v1::Replica& replica = *object.mutable_replica();
  replica.mutable_metadata()->set_project("default");
  replica.mutable_metadata()->set_name(
      absl::StrCat(service, "-", slot, "-aaaaa"));
  replica.mutable_spec()->set_service(service);
  replica.mutable_spec()->set_slot(slot);
  replica.mutable_status()->set_state(v1::ReplicaStatus::RUNNING);
  replica.mutable_status()->set_ready(ready);
  v1::ContainerStatus& container = *replica.mutable_status()->add_containers();
  container.set_name(service);
  container.set_id(container_id);
  container.set_running(true);
  return object;
}

}  // namespace bulwark::api
