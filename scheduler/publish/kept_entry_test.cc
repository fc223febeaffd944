#include "scheduler/publish/kept_entry.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "scheduler/publish/snapshot_builder.h"

namespace bulwark::scheduler {
namespace {

namespace dp = ::bulwark::dataplane::v1;
using State = v1::ReplicaStatus;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

v1::Service Service(const std::string& name, int host_port) {
  v1::Service service;
  service.mutable_metadata()->set_name(name);
  service.mutable_metadata()->set_project("shop");
  v1::Port& port = *service.mutable_spec()->add_ports();
  port.set_name("http");
  port.set_container_port(80);
  port.set_host_port(host_port);
  port.set_listen(v1::Port::LOCALHOST);
  service.mutable_status()->set_virtual_address(
      absl::StrCat("10.211.0.", host_port % 100));
  return service;
}

v1::Replica Replica(const std::string& service, int slot,
                    State::State state = State::RUNNING) {
  v1::Replica replica;
  replica.mutable_metadata()->set_project("shop");
  replica.mutable_metadata()->set_uid(absl::StrCat(service, slot));
  replica.mutable_spec()->set_service(service);
  replica.mutable_spec()->set_slot(slot);
  replica.mutable_spec()->set_goal(v1::ReplicaSpec::RUN);
  replica.mutable_spec()->set_address(absl::StrCat("10.210.0.", slot + 2));
  replica.mutable_status()->set_state(state);
  replica.mutable_status()->set_ready(true);
  return replica;
}

PublishView Shop() {
  PublishView view;
  view.services = {Service("web", 8001), Service("other", 8002)};
  view.replicas = {Replica("web", 0), Replica("web", 1), Replica("other", 0)};
  v1::Network network;
  network.mutable_metadata()->set_name("default");
  network.mutable_metadata()->set_project("shop");
  network.mutable_status()->set_gateway("10.210.0.1");
  view.networks = {network};
  return view;
}

// What is published once the record of web cannot be read.
dp::Snapshot Without(PublishView view) {
  const dp::Snapshot all = BuildSnapshot(Shop());
  view.services.erase(view.services.begin());
  dp::Snapshot out = BuildSnapshot(view);
  AddEntry(EntryOf(all, "shop/web"), view.replicas, out);
  return out;
}

std::vector<std::string> Listeners(const dp::Snapshot& snapshot) {
  std::vector<std::string> keys;
  for (const dp::Listener& l : snapshot.listeners()) keys.push_back(l.key());
  return keys;
}

// The names of the first network with their addresses.
std::vector<std::string> Names(const dp::Snapshot& snapshot) {
  std::vector<std::string> names;
  for (const dp::DnsRecord& r : snapshot.dns_views(0).records()) {
    names.push_back(
        absl::StrCat(r.name(), "=", r.ipv4().empty() ? "srv" : r.ipv4(0)));
  }
  return names;
}

std::vector<std::string> Endpoints(const dp::Snapshot& snapshot,
                                   const std::string& pool) {
  std::vector<std::string> endpoints;
  for (const dp::Pool& p : snapshot.pools()) {
    if (p.id() != pool) continue;
    for (const dp::Endpoint& e : p.endpoints()) {
      endpoints.push_back(
          absl::StrCat(e.id(), " ", dp::Endpoint::State_Name(e.state())));
    }
  }
  return endpoints;
}

TEST(KeptEntryTest, IsAllThatWasThereForTheServiceAndNothingElse) {
  const dp::Snapshot all = BuildSnapshot(Shop());
  const dp::Snapshot entry = EntryOf(all, "shop/web");
  EXPECT_THAT(Listeners(entry),
              ElementsAre("shop/web/http@vip", "shop/web/http@host4",
                          "shop/web/http@host6"));
  ASSERT_EQ(entry.pools_size(), 1);
  EXPECT_EQ(entry.pools(0).id(), "shop/web/http");
  EXPECT_THAT(Names(entry),
              UnorderedElementsAre("web=10.211.0.1", "web.shop=10.211.0.1",
                                   "web.shop.bulwark.internal=10.211.0.1",
                                   "_http._tcp.web.shop.bulwark.internal=srv",
                                   "0.web=10.210.0.2", "0.web.shop=10.210.0.2",
                                   "0.web.shop.bulwark.internal=10.210.0.2",
                                   "1.web=10.210.0.3", "1.web.shop=10.210.0.3",
                                   "1.web.shop.bulwark.internal=10.210.0.3"));
  EXPECT_EQ(EntryOf(all, "shop/we").ByteSizeLong(), 0);
  EXPECT_EQ(EntryOf(all, "hop/web").ByteSizeLong(), 0);
}

TEST(KeptEntryTest, WhenNothingHasChanged_AllIsServedAsBefore) {
  const dp::Snapshot before = BuildSnapshot(Shop());
  const dp::Snapshot after = Without(Shop());
  EXPECT_THAT(Listeners(after),
              ::testing::UnorderedElementsAreArray(Listeners(before)));
  EXPECT_THAT(Names(after),
              ::testing::UnorderedElementsAreArray(Names(before)));
  EXPECT_THAT(Endpoints(after, "shop/web/http"),
              ElementsAre("web0 READY", "web1 READY"));
}

TEST(KeptEntryTest, EndpointsFollowTheirReplicas) {
  PublishView view = Shop();
  view.replicas = {Replica("web", 0, State::DRAINING)};
  // The record of web1 may be unreadable, too: it stays.
  EXPECT_THAT(Endpoints(Without(view), "shop/web/http"),
              ElementsAre("web0 DRAINING", "web1 READY"));
  view.replicas = {Replica("web", 0, State::FAILED), Replica("web", 1)};
  view.replicas[1].mutable_spec()->set_goal(v1::ReplicaSpec::STOP);
  EXPECT_THAT(Endpoints(Without(view), "shop/web/http"),
              ElementsAre("web1 DRAINING"));
  // Nobody looks after its probes now.
  view.replicas = {Replica("web", 0), Replica("web", 1)};
  view.replicas[0].mutable_status()->set_ready(false);
  EXPECT_THAT(Endpoints(Without(view), "shop/web/http"),
              ElementsAre("web0 READY", "web1 READY"));
}

TEST(KeptEntryTest, WhatAnotherServiceHasTakenIsThatOnes) {
  PublishView view = Shop();
  view.services.push_back(Service("new", 8001));
  view.services.back().mutable_status()->set_virtual_address("10.211.0.9");
  const dp::Snapshot after = Without(view);
  EXPECT_THAT(
      Listeners(after),
      UnorderedElementsAre("shop/other/http@vip", "shop/other/http@host4",
                           "shop/other/http@host6", "shop/new/http@vip",
                           "shop/new/http@host4", "shop/new/http@host6",
                           "shop/web/http@vip"));
}

TEST(KeptEntryTest, WhenItsNetworkIsGone_ItHasNoNames) {
  PublishView view = Shop();
  view.networks.clear();
  EXPECT_THAT(Without(view).dns_views(), IsEmpty());
}

}  // namespace
}  // namespace bulwark::scheduler
