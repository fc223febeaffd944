#include "scheduler/publish/snapshot_builder.h"

#include <gmock/gmock.h>
#include <google/protobuf/util/message_differencer.h>
#include <gtest/gtest.h>

#include <algorithm>

namespace bulwark::scheduler {
namespace {

namespace dp = ::bulwark::dataplane::v1;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

v1::Service Web() {
  v1::Service service;
  service.mutable_metadata()->set_name("web");
  service.mutable_metadata()->set_project("shop");
  v1::Port& port = *service.mutable_spec()->add_ports();
  port.set_name("http");
  port.set_container_port(80);
  port.set_port(8000);
  port.set_host_port(8080);
  port.set_listen(v1::Port::LOCALHOST);
  service.mutable_status()->set_virtual_address("10.211.0.7");
  return service;
}

v1::Replica Replica(int slot, v1::ReplicaStatus::State state, bool ready,
                    v1::ReplicaSpec::Goal goal = v1::ReplicaSpec::RUN) {
  v1::Replica replica;
  replica.mutable_metadata()->set_project("shop");
  replica.mutable_metadata()->set_uid("uid" + std::to_string(slot));
  replica.mutable_spec()->set_service("web");
  replica.mutable_spec()->set_slot(slot);
  replica.mutable_spec()->set_goal(goal);
  replica.mutable_spec()->set_address("10.210.0." + std::to_string(slot + 2));
  replica.mutable_status()->set_state(state);
  replica.mutable_status()->set_ready(ready);
  return replica;
}

v1::Network Default() {
  v1::Network network;
  network.mutable_metadata()->set_name("default");
  network.mutable_metadata()->set_project("shop");
  network.mutable_status()->set_gateway("10.210.0.1");
  return network;
}

std::vector<std::string> Keys(const dp::Snapshot& snapshot) {
  std::vector<std::string> keys;
  for (const dp::Listener& l : snapshot.listeners()) {
    keys.push_back(l.key() + "=" + l.address() + ":" +
                   std::to_string(l.port()));
  }
  return keys;
}

std::vector<std::string> Addresses(const dp::DnsView& view,
                                   const std::string& name) {
  std::vector<std::string> found;
  for (const dp::DnsRecord& r : view.records()) {
    if (r.name() != name) continue;
    found.insert(found.end(), r.ipv4().begin(), r.ipv4().end());
  }
  return found;
}

TEST(SnapshotBuilderTest, PublishesOnTheVirtualAddressAndOnLoopback) {
  EXPECT_THAT(Keys(BuildSnapshot({{Web()}, {}, {}, {}})),
              ElementsAre("shop/web/http@vip=10.211.0.7:8000",
                          "shop/web/http@host4=127.0.0.1:8080",
                          "shop/web/http@host6=::1:8080"));
}

TEST(SnapshotBuilderTest, WhenListenIsAll_EveryHostAddressIsUsed) {
  v1::Service web = Web();
  web.mutable_spec()->mutable_ports(0)->set_listen(v1::Port::ALL);
  EXPECT_THAT(Keys(BuildSnapshot({{web}, {}, {}, {}})),
              ElementsAre("shop/web/http@vip=10.211.0.7:8000",
                          "shop/web/http@host4=0.0.0.0:8080",
                          "shop/web/http@host6=:::8080"));
}

TEST(SnapshotBuilderTest, EndpointStatesFollowTheReplica) {
  using S = v1::ReplicaStatus;
  dp::Snapshot snapshot = BuildSnapshot(
      {{Web()},
       {Replica(0, S::RUNNING, true), Replica(1, S::RUNNING, false),
        Replica(2, S::RUNNING, true, v1::ReplicaSpec::STOP),
        Replica(3, S::DRAINING, false), Replica(4, S::STOPPING, true),
        Replica(5, S::FAILED, true), Replica(6, S::STARTING, true),
        Replica(7, S::STOPPED, true)},
       {},
       {}});
  ASSERT_THAT(snapshot.pools(), SizeIs(1));
  std::vector<std::string> states;
  for (const dp::Endpoint& e : snapshot.pools(0).endpoints()) {
    states.push_back(e.id() + " " + dp::Endpoint::State_Name(e.state()));
  }
  EXPECT_THAT(states, ElementsAre("uid0 READY", "uid2 DRAINING",
                                  "uid3 DRAINING", "uid4 DRAINING"));
  EXPECT_EQ(snapshot.pools(0).endpoints(0).port(), 80);
}

TEST(SnapshotBuilderTest, WhenStoppedOrDeleted_NothingListens) {
  v1::Service stopped = Web();
  stopped.mutable_spec()->set_stopped(true);
  v1::Service deleted = Web();
  deleted.mutable_metadata()->mutable_delete_time()->set_seconds(1);
  EXPECT_THAT(Keys(BuildSnapshot({{stopped, deleted}, {}, {}, {}})), IsEmpty());
}

TEST(SnapshotBuilderTest, NamesResolveInTheServicesNetworkOnly) {
  v1::Network other = Default();
  other.mutable_metadata()->set_name("back");
  other.mutable_status()->set_gateway("10.210.1.1");
  dp::Snapshot snapshot =
      BuildSnapshot({{Web()},
                     {Replica(0, v1::ReplicaStatus::RUNNING, true)},
                     {Default(), other},
                     {}});
  ASSERT_THAT(snapshot.dns_views(), SizeIs(2));
  const dp::DnsView& view = snapshot.dns_views(0);
  for (const char* name : {"web", "web.shop", "web.shop.bulwark.internal"}) {
    EXPECT_THAT(Addresses(view, name), ElementsAre("10.211.0.7")) << name;
  }
  for (const char* name : {"0.web", "0.web.shop.bulwark.internal"}) {
    EXPECT_THAT(Addresses(view, name), ElementsAre("10.210.0.2")) << name;
  }
  EXPECT_THAT(snapshot.dns_views(1).records(), IsEmpty());
}

TEST(SnapshotBuilderTest, WhenTwoReplicasShareASlot_TheNameMeansTheFirst) {
  v1::Replica old = Replica(0, v1::ReplicaStatus::DRAINING, false);
  v1::Replica fresh = Replica(0, v1::ReplicaStatus::RUNNING, true);
  fresh.mutable_spec()->set_address("10.210.0.9");
  dp::Snapshot snapshot =
      BuildSnapshot({{Web()}, {old, fresh}, {Default()}, {}});
  EXPECT_THAT(Addresses(snapshot.dns_views(0), "0.web"),
              ElementsAre("10.210.0.2"));
}

TEST(SnapshotBuilderTest, ListenerKeysNameTheirService) {
  EXPECT_EQ(ServiceOfListener("shop/web/http@vip"), "shop/web");
}

TEST(SnapshotBuilderTest, WhenAReplicaEndsBeforeTheNext_ConnectionsWaitLonger) {
  PublishView view;
  view.services = {Web()};
  v1::VolumeMount& mount =
      *view.services[0].mutable_spec()->add_containers()->add_volumes();
  mount.set_volume("data");
  EXPECT_FALSE(BuildSnapshot(view).pools(0).has_hold_timeout());
  v1::Volume volume;
  volume.mutable_metadata()->set_name("data");
  volume.mutable_metadata()->set_project("other");
  view.single_writer = {volume};
  EXPECT_FALSE(BuildSnapshot(view).pools(0).has_hold_timeout());
  view.single_writer[0].mutable_metadata()->set_project("shop");
  EXPECT_EQ(BuildSnapshot(view).pools(0).hold_timeout().seconds(), 60);
  view.services[0]
      .mutable_spec()
      ->mutable_stop()
      ->mutable_timeout()
      ->set_seconds(5);
  EXPECT_EQ(BuildSnapshot(view).pools(0).hold_timeout().seconds(), 36);
  view.services[0]
      .mutable_spec()
      ->mutable_load_balancer()
      ->mutable_hold_timeout()
      ->set_seconds(3);
  EXPECT_EQ(BuildSnapshot(view).pools(0).hold_timeout().seconds(), 3);
}

}  // namespace
}  // namespace bulwark::scheduler
