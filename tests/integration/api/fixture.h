// A real API server on a real socket, over the store in memory and fakes.
#ifndef TESTS_INTEGRATION_API_FIXTURE_H_
#define TESTS_INTEGRATION_API_FIXTURE_H_

#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "api/server.h"
#include "base/clock.h"
#include "base/entropy.h"
#include "base/testing/temp_dir.h"
#include "engine/fake/fake_engine.h"
#include "engine/fake/images/fake_images.h"
#include "proto/bulwark/v1/api.grpc.pb.h"
#include "secrets/fake/fake_vault.h"
#include "store/mem/mem_store.h"
#include "tests/integration/api/scripted_engine.h"

namespace bulwark::api {

class ApiTest : public ::testing::Test {
 protected:
  void SetUp() override { StartServer(); }

  void StartServer();
  std::shared_ptr<grpc::Channel> Connect() const;

  // The call's answer as a status, with its ErrorDetail.
  absl::StatusOr<v1::ApplyResponse> Apply(
      const std::vector<v1::Object>& objects, bool validate_only = false);
  absl::StatusOr<v1::Object> Get(const std::string& kind,
                                 const std::string& name);
  absl::Status Delete(const std::string& kind, const std::string& name);
  absl::StatusOr<v1::ListResponse> List(const v1::ListRequest& request);

  // A service that is right, with one container.
  static v1::Object Service(const std::string& name,
                            const std::string& image = "nginx:1.27");

  // Puts an object into the store as a controller would.
  void Put(const v1::Object& object);
  v1::Object Replica(const std::string& service, int slot, bool ready,
                     const std::string& container_id);

  // What is said to be used; the processor's counters grow with each answer.
  v1::StatsResponse Stats();

  testing::TempDir dir_;
  RealClock clock_;
  SeededEntropy entropy_{7};
  store::MemStore store_{clock_};
  ScriptedEngine engine_;
  engine::FakeEngine access_{clock_};
  // Of the server. What is null here it does not serve.
  engine::Engine* engine_pointer_ = &engine_;
  engine::ContainerFiles* files_ = nullptr;
  engine::ImageCommits* commits_ = nullptr;
  engine::ImageContent* content_ = nullptr;
  engine::ImageExchange* exchange_ = nullptr;
  engine::FakeImages images_;
  secrets::FakeVault vault_;
  int unsealed_ = 0;  // how often the server said so
  ServerOptions options_;
  Authorizer authorizer_ = AllowAll;
  secrets::Vault* vault_pointer_ = nullptr;  // then `vault_`, loaded
  std::function<absl::Status(int, const std::string&)> unpack_ =
      [](int, const std::string&) { return absl::OkStatus(); };
  absl::Mutex stats_mu_;
  v1::StatsResponse stats_ ABSL_GUARDED_BY(stats_mu_);
  VolumeActions volumes_;
  std::unique_ptr<Server> server_;
  std::shared_ptr<grpc::Channel> channel_;
};

}  // namespace bulwark::api

#endif  // TESTS_INTEGRATION_API_FIXTURE_H_
