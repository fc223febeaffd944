#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/testing/status_matchers.h"
#include "scheduler/services/addresses.h"
#include "scheduler/services/dependencies.h"

namespace bulwark::scheduler {
namespace {

using ::testing::HasSubstr;
using testing::StatusIs;

TEST(InSubnetTest, ComparesTheSubnetsBits) {
  EXPECT_TRUE(InSubnet("10.1.2.3", "10.1.2.0/24"));
  EXPECT_FALSE(InSubnet("10.1.3.3", "10.1.2.0/24"));
  EXPECT_TRUE(InSubnet("10.1.3.3", "10.1.2.0/23"));
  EXPECT_FALSE(InSubnet("10.1.4.3", "10.1.2.0/23"));
  EXPECT_TRUE(InSubnet("fd00:1::7", "fd00:1::/64"));
  EXPECT_FALSE(InSubnet("fd00:2::7", "fd00:1::/64"));
  EXPECT_FALSE(InSubnet("10.1.2.3", "fd00:1::/64"));
  EXPECT_FALSE(InSubnet("", "10.1.2.0/24"));
  EXPECT_FALSE(InSubnet("10.1.2.3", "10.1.2.0"));
  EXPECT_FALSE(InSubnet("10.1.2.3", "10.1.2.0/99"));
}

v1::Object Replica(int slot, const std::string& address) {
  v1::Object o;
  o.mutable_replica()->mutable_spec()->set_slot(slot);
  o.mutable_replica()->mutable_spec()->set_address(address);
  return o;
}

v1::NetworkStatus Network() {
  v1::NetworkStatus n;
  n.set_subnet("10.1.0.0/29");
  return n;
}

TEST(AddressTest, WhenTheSlotHadOne_ItKeepsIt) {
  std::vector<v1::Replica> replicas = {Replica(0, "10.1.0.5").replica(),
                                       Replica(1, "10.9.0.5").replica()};
  EXPECT_EQ(KeptAddress(replicas, 0, Network()).address, "10.1.0.5");
  EXPECT_EQ(KeptAddress(replicas, 1, Network()).address, "");  // moved
  EXPECT_EQ(KeptAddress(replicas, 2, Network()).address, "");
}

TEST(AddressTest, WhenNew_TheLowestThatNobodyHolds) {
  std::vector<SlotAddress> taken = {{"10.1.0.2", ""}, {"10.1.0.3", ""}};
  ASSERT_OK_AND_ASSIGN(SlotAddress a, FreeAddress(taken, Network()));
  EXPECT_EQ(a.address, "10.1.0.4");
  taken.push_back(a);
  ASSERT_OK_AND_ASSIGN(SlotAddress b, FreeAddress(taken, Network()));
  EXPECT_EQ(b.address, "10.1.0.5");
  for (int i = 5; i <= 6; ++i) {
    taken.push_back({"10.1.0." + std::to_string(i), ""});
  }
  EXPECT_THAT(FreeAddress(taken, Network()),
              StatusIs(absl::StatusCode::kResourceExhausted));
}

TEST(AddressTest, WhenARecordIsDamaged_ItsAddressesAreStillFound) {
  v1::Object object = Replica(1, "10.1.0.3");
  // The next field's tag is a digit as text.
  object.mutable_replica()->mutable_spec()->set_address6("fd00::3");
  std::string bytes = object.SerializeAsString();
  bytes[0] = '\xff';
  EXPECT_THAT(AddressesIn(bytes),
              ::testing::UnorderedElementsAre("10.1.0.3", "fd00::3"));
  EXPECT_THAT(AddressesIn(bytes.substr(0, bytes.size() - 4)),
              ::testing::Not(::testing::Contains("fd00::3")));
  EXPECT_THAT(AddressesIn("\x30\x08nonsense"), ::testing::IsEmpty());
}

TEST(DependencyTest, SaysWhatIsMissing) {
  v1::Dependency healthy;
  healthy.set_service("db");
  v1::Dependency started = healthy;
  started.set_condition(v1::Dependency::STARTED);
  v1::Service db;
  db.mutable_metadata()->set_uid("u");
  db.mutable_spec()->set_replicas(2);
  v1::Replica r;
  r.mutable_spec()->set_service_uid("u");
  r.mutable_spec()->set_goal(v1::ReplicaSpec::RUN);

  EXPECT_THAT(MissingOf(healthy, nullptr, {}), HasSubstr("does not exist"));
  EXPECT_THAT(MissingOf(started, &db, {r}), HasSubstr("to start"));
  r.mutable_status()->set_state(v1::ReplicaStatus::RUNNING);
  EXPECT_EQ(MissingOf(started, &db, {r}), "");
  EXPECT_THAT(MissingOf(healthy, &db, {r}), HasSubstr("0 of 2"));
  r.mutable_status()->set_ready(true);
  EXPECT_THAT(MissingOf(healthy, &db, {r}), HasSubstr("1 of 2"));
  EXPECT_EQ(MissingOf(healthy, &db, {r, r}), "");
  // Of a service of the same name that is gone.
  r.mutable_spec()->set_service_uid("other");
  EXPECT_THAT(MissingOf(healthy, &db, {r, r}), HasSubstr("0 of 2"));
}

}  // namespace
}  // namespace bulwark::scheduler
