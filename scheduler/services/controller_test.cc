// When the controller of services looks again by itself.
#include "scheduler/services/controller.h"

#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <vector>

#include "base/entropy.h"
#include "base/testing/await.h"
#include "base/testing/fake_clock.h"
#include "base/testing/status_matchers.h"
#include "scheduler/control/runner.h"
#include "scheduler/services/reader.h"
#include "scheduler/services/revisions.h"
#include "store/mem/mem_store.h"
#include "store/objects.h"

namespace bulwark::scheduler {
namespace {

using ::bulwark::testing::Await;

constexpr char kKey[] = "default/web";
constexpr absl::Duration kMoment = absl::Milliseconds(20);

// Nobody tells the controller of anything: it sees what it looks at itself.
class ServiceControllerTest : public ::testing::Test {
 protected:
  ServiceControllerTest() {
    v1::Object network;
    v1::Network& n = *network.mutable_network();
    n.mutable_metadata()->set_name("default");
    n.mutable_metadata()->set_project("default");
    n.mutable_metadata()->set_uid("net0");
    n.mutable_status()->set_subnet("10.210.0.0/24");
    Put(network);
    v1::Object service;
    v1::Service& s = *service.mutable_service();
    s.mutable_metadata()->set_name("web");
    s.mutable_metadata()->set_project("default");
    s.mutable_metadata()->set_uid("uid");
    s.mutable_metadata()->set_generation(1);
    s.mutable_spec()->set_replicas(2);
    v1::Container& c = *s.mutable_spec()->add_containers();
    c.set_name("web");
    c.set_image("app:1");
    Put(service);
  }

  ServiceController::Hooks Hooks() {
    const auto none = [](const std::string&) {};
    ServiceController::Hooks hooks;
    hooks.replica_changed = none;
    hooks.wake_dependents = none;
    hooks.reap = none;
    hooks.resolve = [](const std::string&, bool) {};
    hooks.is_down = [](const std::string&) { return false; };
    hooks.at_hand = [this](const v1::Object& service,
                           const std::vector<v1::Revision>& known,
                           const v1::Template& declared) {
      v1::Revision revision =
          NextRevision(service, known, declared, {{"app:1", "sha256:1"}});
      Complete(revision, clock_, entropy_);
      return std::optional<v1::Revision>(revision);
    };
    return hooks;
  }
  void Put(const v1::Object& object) {
    ASSERT_OK(store_.Commit(
        store::Batch().Put(store::KeyOf(object), store::Encode(object))));
  }
  size_t Replicas() { return ListReplicas(store_, "default", "web")->size(); }
  // As the service's status has it.
  int Counted() {
    const auto object =
        store::GetObject(store_, store::ObjectKey("service", "default", "web"));
    return object.ok() ? object->service().status().replicas() : -1;
  }

  testing::FakeClock clock_;
  SeededEntropy entropy_{1};
  store::MemStore store_{clock_};
  EventRecorder events_{store_, clock_, entropy_};
  AddressAssigner addresses_{store_};
  ServiceController controller_{store_,     clock_,  entropy_, events_,
                                addresses_, Hooks(), {}};
};

TEST_F(ServiceControllerTest, WhenItHasMadeReplicas_TheNextPlanIsAMomentLater) {
  ASSERT_OK_AND_ASSIGN(Result result, controller_.Reconcile(kKey));
  EXPECT_EQ(Replicas(), 2u);
  EXPECT_EQ(Counted(), 0);
  EXPECT_EQ(result.requeue_after, kMoment);
  // Which has nothing to make.
  ASSERT_OK_AND_ASSIGN(result, controller_.Reconcile(kKey));
  EXPECT_EQ(Replicas(), 2u);
  EXPECT_EQ(Counted(), 2);
  EXPECT_NE(result.requeue_after, kMoment);
}

TEST_F(ServiceControllerTest, WhenNobodyTellsOfItsReplicas_ItLooksAgain) {
  Runner runner(
      RunnerOptions(), clock_, entropy_,
      [this](const std::string& key) { return controller_.Reconcile(key); },
      [] { return std::vector<std::string>(); });
  runner.Start();
  runner.Add(kKey);
  ASSERT_TRUE(Await([&] { return runner.queue().Delayed() == 1; }));
  EXPECT_EQ(Replicas(), 2u);
  EXPECT_EQ(Counted(), 0);
  clock_.Advance(kMoment);
  EXPECT_TRUE(Await([&] { return Counted() == 2; }));
  runner.Stop();
}

}  // namespace
}  // namespace bulwark::scheduler
