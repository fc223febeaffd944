#include "absl/strings/str_cat.h"
#include "ctl/testing/fake_state.h"
#include "proto/bulwark/v1/api.grpc.pb.h"

namespace bulwark::ctl::testing {
namespace {

using grpc::ServerContext;
using grpc::Status;

class System final : public v1::System::Service {
 public:
  explicit System(FakeState& state) : state_(state) {}

  Status Version(ServerContext*, const v1::VersionRequest*,
                 v1::VersionResponse* response) override {
    if (Status s = state_.Take("Version"); !s.ok()) return s;
    response->set_version("1.2.3");
    response->set_instance("bulwark");
    response->set_pid(42);
    return Status::OK;
  }

  Status Doctor(ServerContext*, const v1::DoctorRequest*,
                v1::DoctorResponse* response) override {
    if (Status s = state_.Take("Doctor"); !s.ok()) return s;
    absl::MutexLock lock(&state_.mu);
    *response = state_.doctor;
    return Status::OK;
  }

  Status DiskUsage(ServerContext*, const v1::DiskUsageRequest*,
                   v1::DiskUsageResponse* response) override {
    if (Status s = state_.Take("DiskUsage"); !s.ok()) return s;
    absl::MutexLock lock(&state_.mu);
    *response = state_.disk_usage;
    return Status::OK;
  }

  Status Prune(ServerContext*, const v1::PruneRequest* request,
               v1::PruneResponse* response) override {
    state_.Note(absl::StrCat("Prune ", request->ShortDebugString()));
    if (Status s = state_.Take("Prune"); !s.ok()) return s;
    response->add_removed("image docker.io/library/old:1");
    response->set_freed_bytes(5200000);
    return Status::OK;
  }

  Status Shutdown(ServerContext*, const v1::ShutdownRequest* request,
                  v1::ShutdownResponse* response) override {
    state_.Note(absl::StrCat("Shutdown ", request->timeout().seconds(), "s"));
    if (Status s = state_.Take("Shutdown"); !s.ok()) return s;
    response->add_killed("default/stubborn");
    return Status::OK;
  }

 private:
  FakeState& state_;
};

}  // namespace

std::unique_ptr<grpc::Service> MakeFakeSystem(FakeState& state) {
  return std::make_unique<System>(state);
}

}  // namespace bulwark::ctl::testing
