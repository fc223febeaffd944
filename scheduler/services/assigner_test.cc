#include "scheduler/services/assigner.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>

#include "base/testing/fake_clock.h"
#include "base/testing/status_matchers.h"
#include "store/mem/mem_store.h"
#include "store/objects.h"

namespace bulwark::scheduler {
namespace {

using bulwark::testing::StatusIs;

constexpr char kPool[] = "10.211.0.0/24";

class AssignerTest : public ::testing::Test {
 protected:
  AssignerTest() {
    v1::Object object;
    v1::Network& network = *object.mutable_network();
    network.mutable_metadata()->set_project("shop");
    network.mutable_metadata()->set_name("default");
    network.mutable_status()->set_subnet("10.1.0.0/29");
    Put(object);
  }
  void Put(const v1::Object& object) {
    ASSERT_OK(store_.Commit(
        store::Batch().Put(store::KeyOf(object), store::Encode(object))));
  }
  v1::Object Replica(const std::string& owner, int slot,
                     const std::string& address) {
    v1::Object object;
    v1::Replica& replica = *object.mutable_replica();
    replica.mutable_metadata()->set_project("shop");
    replica.mutable_metadata()->set_name(owner + std::to_string(slot));
    replica.mutable_spec()->set_service_uid(owner);
    replica.mutable_spec()->set_slot(slot);
    replica.mutable_spec()->set_address(address);
    return object;
  }
  // What a session of its own gives.
  std::string ForSlot(const std::string& owner, int slot) {
    AddressAssigner::Session session(assigner_, "shop");
    const auto address = session.ForSlot("", owner, slot);
    return address.ok() ? address->address : address.status().ToString();
  }

  testing::FakeClock clock_;
  store::MemStore store_{clock_};
  AddressAssigner assigner_{store_, [] {
                              return std::vector<SlotAddress>{{"10.1.0.5", ""}};
                            }};
};

TEST_F(AssignerTest, WhenOthersWereCommittedSince_TheirAddressesAreTaken) {
  EXPECT_EQ(ForSlot("web", 0), "10.1.0.2");
  EXPECT_EQ(ForSlot("web", 0), "10.1.0.2");  // it was not recorded
  Put(Replica("web", 0, "10.1.0.2"));
  EXPECT_EQ(ForSlot("db", 0), "10.1.0.3");
  EXPECT_EQ(ForSlot("web", 0), "10.1.0.2");  // the slot keeps it
  Put(Replica("web", 0, "10.1.0.4"));
  EXPECT_EQ(ForSlot("db", 0), "10.1.0.2");
  ASSERT_OK(store_.Commit(
      store::Batch().Delete(store::KeyOf(Replica("web", 0, "")))));
  EXPECT_EQ(ForSlot("web", 0), "10.1.0.2");
}

TEST_F(AssignerTest, WhenOneSessionGivesSeveral_EachIsAnother) {
  AddressAssigner::Session session(assigner_, "shop");
  EXPECT_EQ(session.ForSlot("", "web", 0)->address, "10.1.0.2");
  EXPECT_EQ(session.ForSlot("", "web", 1)->address, "10.1.0.3");
  EXPECT_THAT(session.ForSlot("back", "web", 2),
              StatusIs(absl::StatusCode::kUnavailable));
}

TEST_F(AssignerTest, WhenARecordCannotBeRead_NothingOfItIsGiven) {
  v1::Object bad = Replica("web", 0, "10.1.0.2");
  std::string bytes = store::Encode(bad);
  bytes[0] = '\xff';
  ASSERT_OK(store_.Commit(store::Batch().Put(store::KeyOf(bad), bytes)));
  Put(Replica("web", 1, "10.1.0.3"));
  EXPECT_EQ(ForSlot("db", 0), "10.1.0.4");
  Put(Replica("web", 2, "10.1.0.4"));
  // A namespace has the next one.
  EXPECT_EQ(ForSlot("db", 0), "10.1.0.6");
}

TEST_F(AssignerTest, WhenAServiceHasAVirtualAddress_NobodyElseGetsIt) {
  std::string first;
  {
    AddressAssigner::Session session(assigner_, "shop");
    ASSERT_OK_AND_ASSIGN(first, session.ForService(kPool));
  }
  v1::Object service;
  service.mutable_service()->mutable_metadata()->set_name("web");
  service.mutable_service()->mutable_status()->set_virtual_address(first);
  Put(service);
  AddressAssigner::Session session(assigner_, "shop");
  ASSERT_OK_AND_ASSIGN(const std::string second, session.ForService(kPool));
  EXPECT_NE(first, second);
}

}  // namespace
}  // namespace bulwark::scheduler
