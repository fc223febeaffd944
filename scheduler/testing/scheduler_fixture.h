// The controllers together, with their threads, over fakes.
#ifndef SCHEDULER_TESTING_SCHEDULER_FIXTURE_H_
#define SCHEDULER_TESTING_SCHEDULER_FIXTURE_H_

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "base/testing/await.h"
#include "base/testing/status_matchers.h"
#include "engine/fake/fake_engine.h"
#include "engine/fake/images/fake_images.h"
#include "netmesh/fake/fake_network.h"
#include "scheduler/scheduler.h"
#include "scheduler/services/reader.h"
#include "secrets/fake/fake_delivery.h"
#include "secrets/fake/fake_vault.h"
#include "store/mem/mem_store.h"
#include "store/objects.h"
#include "store/values.h"
#include "volumes/fake/fake_volumes.h"

namespace bulwark::scheduler {

using ::bulwark::testing::Await;

// Whoever drains is out at once and has no connection.
class NoDataPlane final : public Endpoints {
 public:
  bool IsOut(absl::string_view) const override { return true; }
  int64_t ActiveConnections(absl::string_view) const override { return 0; }
};

class SchedulerTest : public ::testing::Test {
 protected:
  // `clock`: of the scheduler and the fakes.
  explicit SchedulerTest(
      std::unique_ptr<Clock> clock = std::make_unique<RealClock>())
      : owned_clock_(std::move(clock)) {
    EXPECT_OK(network_.Recover());
    EXPECT_OK(network_.EnsureNetwork({"net0", "10.210.0.0/24", ""}));
    v1::Object object;
    v1::Network& n = *object.mutable_network();
    n.mutable_metadata()->set_name("default");
    n.mutable_metadata()->set_project("default");
    n.mutable_metadata()->set_uid("net0");
    n.mutable_status()->set_subnet("10.210.0.0/24");
    Put(object);
    engine::ImageConfig config;
    config.command = {"/app"};
    images_.Publish("app:1", 1, config);
    OpenVault();
    Begin();
  }
  ~SchedulerTest() override { End(); }

  void Begin(SchedulerOptions options = SchedulerOptions()) {
    scheduler_ = std::make_unique<Scheduler>(
        SchedulerPorts{store_, engine_, images_, network_, volumes_, vault_,
                       delivery_, data_plane_, clock_, entropy_},
        std::move(options));
    EXPECT_OK(engine_.Recover(
        [this](absl::string_view id) { scheduler_->OnEngineEvent(id); }));
    EXPECT_OK(scheduler_->Start());
  }
  void End() {
    scheduler_->Stop();
    EXPECT_OK(engine_.Recover([](absl::string_view) {}));
    scheduler_.reset();
  }

  void OpenVault() {
    const auto keyring = vault_.Load(std::nullopt, false);
    ASSERT_TRUE(keyring.has_value());
    EXPECT_FALSE(vault_.Load(keyring, true).has_value());
  }
  // As the API does it.
  void SetSecret(const std::string& name, int64_t version,
                 const std::string& text) {
    v1::Object object;
    object.mutable_secret()->mutable_metadata()->set_name(name);
    object.mutable_secret()->mutable_metadata()->set_project("default");
    object.mutable_secret()->mutable_status()->set_version(version);
    auto value = vault_.Accept({"secret", "default", name, version},
                               secrets::FakeVault::Seal(text));
    ASSERT_OK(value);
    EXPECT_OK(
        store_.Commit(store::Batch()
                          .Put(store::KeyOf(object), store::Encode(object))
                          .Put(store::ValueKey(store::kSecretValueKind,
                                               "default", name, version),
                               value->rows.value)
                          .Put(store::ValueKey(store::kSecretKeyKind, "default",
                                               name, version),
                               value->rows.key)));
  }
  // Whether a running replica finds this in /run/secrets.
  bool AnyHas(const std::string& service, const std::string& name,
              const std::string& text) {
    for (const v1::Replica& r : Running(service)) {
      if (r.status().containers().empty()) continue;
      if (delivery_.ContentOf(ContainerOf(r), "/run/secrets/" + name) == text) {
        return true;
      }
    }
    return false;
  }
  bool Status(const std::string& service, const std::string& word) {
    auto object = store::GetObject(
        store_, store::ObjectKey("service", "default", service));
    return object.ok() && absl::StrContains(object->ShortDebugString(), word);
  }
  size_t Revisions(const std::string& service) {
    return ListRevisions(store_, "default", service)->size();
  }
  void Read(const std::string& service, const std::string& secret,
            v1::ChangePolicy::Action action) {
    auto object = store::GetObject(
        store_, store::ObjectKey("service", "default", service));
    ASSERT_OK(object);
    v1::ServiceSpec& spec = *object->mutable_service()->mutable_spec();
    v1::SecretMount& mount = *spec.mutable_containers(0)->add_secrets();
    mount.set_name(secret);
    mount.set_path("/run/secrets/" + secret);
    spec.mutable_on_change()->set_action(action);
    spec.mutable_rollout()->mutable_min_healthy_time();
    Put(*object);
  }

  void Put(const v1::Object& object) {
    EXPECT_OK(store_.Commit(
        store::Batch().Put(store::KeyOf(object), store::Encode(object))));
  }
  void Apply(const std::string& name, int replicas,
             const std::string& needs = "",
             v1::Restart::Policy restart = v1::Restart::ALWAYS) {
    v1::Object object;
    v1::Service& s = *object.mutable_service();
    s.mutable_metadata()->set_name(name);
    s.mutable_metadata()->set_project("default");
    s.mutable_metadata()->set_uid(NewUid(entropy_));
    s.mutable_metadata()->set_generation(1);
    s.mutable_spec()->set_replicas(replicas);
    s.mutable_spec()->mutable_restart()->set_policy(restart);
    v1::Container& c = *s.mutable_spec()->add_containers();
    c.set_name(name);
    c.set_image("app:1");
    if (!needs.empty()) {
      v1::Dependency& d = *s.mutable_spec()->add_depends_on();
      d.set_service(needs);
      d.set_condition(v1::Dependency::STARTED);
    }
    Put(object);
  }
  std::vector<v1::Replica> Running(const std::string& service) {
    auto replicas = ListReplicas(store_, "default", service);
    EXPECT_OK(replicas);
    std::erase_if(*replicas, [](const v1::Replica& r) {
      return r.status().state() != v1::ReplicaStatus::RUNNING;
    });
    return *replicas;
  }
  bool AwaitRunning(const std::string& service, size_t n) {
    return Await([&] { return Running(service).size() == n; });
  }
  static std::string ContainerOf(const v1::Replica& r) {
    return r.status().containers(0).id();
  }

  const std::unique_ptr<Clock> owned_clock_;
  Clock& clock_{*owned_clock_};
  SeededEntropy entropy_{1};
  store::MemStore store_{clock_};
  engine::FakeEngine engine_{clock_};
  engine::FakeImages images_;
  netmesh::FakeNetwork network_;
  volumes::FakeVolumes volumes_;
  secrets::FakeVault vault_;
  secrets::FakeDelivery delivery_{vault_};
  NoDataPlane data_plane_;
  std::unique_ptr<Scheduler> scheduler_;
};

}  // namespace bulwark::scheduler

#endif  // SCHEDULER_TESTING_SCHEDULER_FIXTURE_H_
