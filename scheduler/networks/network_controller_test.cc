#include "scheduler/networks/network_controller.h"

#include "base/testing/fake_clock.h"
#include "base/testing/status_matchers.h"
#include "netmesh/fake/fake_network.h"
#include "scheduler/conditions.h"
#include "store/mem/mem_store.h"
#include "store/objects.h"

namespace bulwark::scheduler {
namespace {

using ::testing::IsEmpty;
using ::testing::SizeIs;

class NetworkControllerTest : public ::testing::Test {
 protected:
  void SetUp() override { ASSERT_OK(network_.Recover()); }

  void Put(const v1::Object& object) {
    ASSERT_OK(store_.Commit(
        store::Batch().Put(store::KeyOf(object), store::Encode(object))));
  }
  v1::Network Get(const std::string& project, const std::string& name) {
    auto object =
        store::GetObject(store_, store::ObjectKey("network", project, name));
    EXPECT_OK(object);
    return object.ok() ? object->network() : v1::Network();
  }
  static v1::Object Declared(const std::string& name, const std::string& uid) {
    v1::Object object;
    object.mutable_network()->mutable_metadata()->set_name(name);
    object.mutable_network()->mutable_metadata()->set_uid(uid);
    return object;
  }
  static v1::Object Service(const std::string& project,
                            const std::string& network) {
    v1::Object object;
    object.mutable_service()->mutable_metadata()->set_name("web");
    object.mutable_service()->mutable_metadata()->set_project(project);
    object.mutable_service()->mutable_spec()->set_network(network);
    return object;
  }

  testing::FakeClock clock_;
  SeededEntropy entropy_{1};
  store::MemStore store_{clock_};
  netmesh::FakeNetwork network_;
  NetworkController controller_{store_, network_, clock_, entropy_, {}};
};

TEST_F(NetworkControllerTest, MakesTheDefaultNetworkOfEachUsedProject) {
  Put(Service("shop", ""));
  ASSERT_OK(controller_.ReconcileOnce());
  v1::Network first = Get("default", "default");
  v1::Network second = Get("shop", "default");
  EXPECT_EQ(first.status().subnet(), "10.210.0.0/22");
  EXPECT_EQ(first.status().gateway(), "10.210.0.1");
  EXPECT_EQ(second.status().subnet(), "10.210.4.0/22");
  EXPECT_EQ(FindCondition(first.status().conditions(), "Ready")->status(),
            v1::Condition::TRUE);
  EXPECT_THAT(network_.ListNetworks(), SizeIs(2));
}

TEST_F(NetworkControllerTest, KeepsASubnetOnceGiven) {
  ASSERT_OK(controller_.ReconcileOnce());
  const uint64_t revision = store_.CurrentRevision();
  ASSERT_OK(controller_.ReconcileOnce());
  EXPECT_EQ(store_.CurrentRevision(), revision);
}

TEST_F(NetworkControllerTest, WhenASubnetIsDeclared_OthersAvoidIt) {
  v1::Object wanted = Declared("back", "aaaa");
  wanted.mutable_network()->mutable_spec()->set_subnet("10.210.0.0/24");
  Put(wanted);
  ASSERT_OK(controller_.ReconcileOnce());
  EXPECT_EQ(Get("default", "back").status().subnet(), "10.210.0.0/24");
  EXPECT_EQ(Get("default", "default").status().subnet(), "10.210.4.0/22");
}

TEST_F(NetworkControllerTest, WhenTwoWantOneSubnet_TheSecondSaysSo) {
  for (const char* name : {"one", "two"}) {
    v1::Object o = Declared(name, std::string("u") + name);
    o.mutable_network()->mutable_spec()->set_subnet("10.9.0.0/24");
    Put(o);
  }
  EXPECT_FALSE(controller_.ReconcileOnce().ok());
  EXPECT_EQ(FindCondition(Get("default", "one").status().conditions(), "Ready")
                ->status(),
            v1::Condition::TRUE);
  const v1::Network two = Get("default", "two");
  const v1::Condition* ready =
      FindCondition(two.status().conditions(), "Ready");
  EXPECT_EQ(ready->status(), v1::Condition::FALSE);
  EXPECT_FALSE(ready->message().empty());
}

TEST_F(NetworkControllerTest, WhenDeleted_GoesOnlyAfterItsLastService) {
  v1::Object back = Declared("back", "aaaa");
  Put(back);
  Put(Service("default", "back"));
  ASSERT_OK(controller_.ReconcileOnce());
  ASSERT_OK_AND_ASSIGN(back, store::GetObject(store_, store::KeyOf(back)));
  back.mutable_network()
      ->mutable_metadata()
      ->mutable_delete_time()
      ->set_seconds(1);
  Put(back);
  ASSERT_OK(controller_.ReconcileOnce());
  EXPECT_OK(store_.Get(store::KeyOf(back)));
  ASSERT_OK(store_.Commit(
      store::Batch().Delete(store::ObjectKey("service", "default", "web"))));
  ASSERT_OK(controller_.ReconcileOnce());
  EXPECT_TRUE(absl::IsNotFound(store_.Get(store::KeyOf(back)).status()));
  EXPECT_THAT(network_.ListNetworks(), SizeIs(1));  // the default one
}

}  // namespace
}  // namespace bulwark::scheduler
