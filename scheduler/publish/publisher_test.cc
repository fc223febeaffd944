#include "scheduler/publish/publisher.h"

#include <gmock/gmock.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "base/testing/fake_clock.h"
#include "base/testing/status_matchers.h"
#include "lb/fake/fake_proxy.h"
#include "scheduler/conditions.h"
#include "store/mem/mem_store.h"
#include "store/objects.h"

namespace bulwark::scheduler {
namespace {

using State = v1::ReplicaStatus;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

class PublisherTest : public ::testing::Test {
 protected:
  void SetUp() override { ASSERT_OK(proxy_.Start()); }

  void Put(const v1::Object& object) {
    ASSERT_OK(store_.Commit(
        store::Batch().Put(store::KeyOf(object), store::Encode(object))));
  }
  static v1::Object Web() {
    v1::Object object;
    v1::Service& web = *object.mutable_service();
    web.mutable_metadata()->set_name("web");
    v1::Port& port = *web.mutable_spec()->add_ports();
    port.set_name("http");
    port.set_container_port(80);
    port.set_host_port(8080);
    port.set_listen(v1::Port::LOCALHOST);
    web.mutable_status()->set_desired_replicas(1);
    return object;
  }
  static v1::Object Replica(State::State state) {
    v1::Object object;
    v1::Replica& replica = *object.mutable_replica();
    replica.mutable_metadata()->set_name("web-0-abcde");
    replica.mutable_metadata()->set_uid("u0");
    replica.mutable_spec()->set_service("web");
    replica.mutable_spec()->set_address("10.210.0.2");
    replica.mutable_spec()->set_goal(v1::ReplicaSpec::RUN);
    replica.mutable_status()->set_state(state);
    replica.mutable_status()->set_ready(true);
    return object;
  }
  void FailListener(const std::string& key, int error,
                    const std::string& message) {
    dataplane::v1::ListenerError failure;
    failure.set_key(key);
    failure.set_error_number(error);
    failure.set_message(message);
    proxy_.SetListenerErrors({failure});
  }
  v1::Condition Ports() {
    auto web =
        store::GetObject(store_, store::ObjectKey("service", "default", "web"));
    EXPECT_OK(web);
    const v1::Condition* c =
        FindCondition(web->service().status().conditions(), "PortsOpen");
    return c == nullptr ? v1::Condition() : *c;
  }

  testing::FakeClock clock_;
  store::MemStore store_{clock_};
  lb::FakeProxy proxy_;
  Publisher publisher_{store_, proxy_, clock_, {{"192.0.2.53"}, {}}};
};

TEST_F(PublisherTest, PublishesOnceForEachDifference) {
  Put(Web());
  ASSERT_OK(publisher_.PublishOnce());
  const uint64_t version = proxy_.snapshot().version();
  EXPECT_GT(version, 0);
  EXPECT_EQ(proxy_.snapshot().dns_upstreams(0), "192.0.2.53");
  ASSERT_OK(publisher_.PublishOnce());
  EXPECT_EQ(proxy_.snapshot().version(), version);
  Put(Replica(State::RUNNING));
  ASSERT_OK(publisher_.PublishOnce());
  EXPECT_EQ(proxy_.snapshot().version(), version + 1);
}

TEST_F(PublisherTest, ANewPublisherGoesOnFromTheDataPlanesVersion) {
  Put(Web());
  ASSERT_OK(publisher_.PublishOnce());
  const uint64_t version = proxy_.snapshot().version();
  Publisher next(store_, proxy_, clock_, {});
  ASSERT_OK(next.PublishOnce());
  EXPECT_GT(proxy_.snapshot().version(), version);
}

TEST_F(PublisherTest, WhenAServicesRecordIsBad_ItIsServedAsBefore) {
  const auto listeners = [this] {
    std::vector<std::string> keys;
    const dataplane::v1::Snapshot now = proxy_.snapshot();
    for (const auto& l : now.listeners()) keys.push_back(l.key());
    return keys;
  };
  const auto ready = [this] {
    return proxy_.snapshot().pools_size() == 1
               ? proxy_.snapshot().pools(0).endpoints_size()
               : -1;
  };
  Put(Web());
  Put(Replica(State::RUNNING));
  ASSERT_OK(publisher_.PublishOnce());
  const std::vector<std::string> before = listeners();
  EXPECT_THAT(before, ::testing::SizeIs(2));
  const uint64_t version = proxy_.snapshot().version();

  const store::Key key = store::ObjectKey("service", "default", "web");
  ASSERT_OK(store_.Commit(store::Batch().Put(key, "\xff\xff")));
  ASSERT_OK(publisher_.PublishOnce());
  EXPECT_EQ(proxy_.snapshot().version(), version);
  // One that did not see the good record asks the data plane.
  Publisher next(store_, proxy_, clock_, {{"192.0.2.53"}, {}});
  proxy_.FailNext(absl::UnavailableError("cannot be read now"));
  EXPECT_FALSE(next.PublishOnce().ok());
  ASSERT_OK(next.PublishOnce());
  EXPECT_EQ(listeners(), before);
  EXPECT_EQ(ready(), 1);
  // What ends is no longer served, what is read again counts.
  Put(Replica(State::FAILED));
  ASSERT_OK(next.PublishOnce());
  EXPECT_EQ(listeners(), before);
  EXPECT_EQ(ready(), 0);
  v1::Object web = Web();
  web.mutable_service()->mutable_spec()->mutable_ports(0)->clear_host_port();
  Put(web);
  ASSERT_OK(next.PublishOnce());
  EXPECT_THAT(listeners(), IsEmpty());
}

TEST_F(PublisherTest, WhenNothingWasServedOfABadOne_TheOthersAre) {
  ASSERT_OK(store_.Commit(store::Batch().Put(
      store::ObjectKey("service", "default", "bad"), "\xff\xff")));
  proxy_.FailNext(absl::DataLossError("read proxy.snapshot: not a snapshot"));
  Put(Web());
  ASSERT_OK(publisher_.PublishOnce());
  EXPECT_EQ(proxy_.snapshot().pools_size(), 1);
}

TEST_F(PublisherTest, AReplicaIsOutOnlyOnceItsDrainIsAcknowledged) {
  Put(Web());
  Put(Replica(State::RUNNING));
  ASSERT_OK(publisher_.PublishOnce());
  EXPECT_FALSE(publisher_.IsOut("u0"));
  Put(Replica(State::DRAINING));
  EXPECT_FALSE(publisher_.IsOut("u0"));
  proxy_.FailNext(absl::UnavailableError("restarting"));
  EXPECT_FALSE(publisher_.PublishOnce().ok());
  EXPECT_FALSE(publisher_.IsOut("u0"));
  ASSERT_OK(publisher_.PublishOnce());
  EXPECT_TRUE(publisher_.IsOut("u0"));
}

TEST_F(PublisherTest, ActiveConnectionsAreUnknownUntilSampled) {
  Put(Web());
  Put(Replica(State::DRAINING));
  ASSERT_OK(publisher_.PublishOnce());
  EXPECT_EQ(publisher_.ActiveConnections("u0"), -1);
  ASSERT_OK(publisher_.SampleOnce());
  EXPECT_EQ(publisher_.ActiveConnections("u0"), 0);
}

TEST_F(PublisherTest, WhenNobodyIsReady_TellsSoAndHowManyWaited) {
  std::vector<std::string> told;
  Publisher publisher(
      store_, proxy_, clock_,
      {{},
       {},
       [&](const v1::ObjectReference& subject, absl::string_view reason,
           absl::string_view message, v1::Event::Severity) {
         told.push_back(
             absl::StrCat(subject.name(), " ", reason, ": ", message));
       }});
  auto count = [&](uint64_t held) {
    dataplane::v1::PoolStats stats;
    stats.set_pool("default/web/http");
    stats.set_held_total(held);
    proxy_.SetStats(stats);
  };
  Put(Web());
  ASSERT_OK(publisher.PublishOnce());
  Put(Replica(State::RUNNING));
  ASSERT_OK(publisher.PublishOnce());
  EXPECT_THAT(told, IsEmpty());
  count(5);
  Put(Replica(State::FAILED));
  ASSERT_OK(publisher.PublishOnce());
  count(8);
  Put(Replica(State::RUNNING));
  ASSERT_OK(publisher.PublishOnce());
  EXPECT_THAT(told,
              ElementsAre("web ConnectionsHeld: no replica is ready: new "
                          "connections wait",
                          "web ConnectionsReleased: a replica is ready again; "
                          "3 connections waited"));

  // It is meant to have none: nobody is told.
  told.clear();
  v1::Object none = Web();
  none.mutable_service()->mutable_status()->set_desired_replicas(0);
  Put(none);
  Put(Replica(State::STOPPED));
  ASSERT_OK(publisher.PublishOnce());
  Put(Replica(State::RUNNING));
  ASSERT_OK(publisher.PublishOnce());
  EXPECT_THAT(told, IsEmpty());
}

TEST_F(PublisherTest, WhenAPortIsTaken_TheServiceSaysSoUntilItIsFree) {
  Put(Web());
  FailListener("default/web/http@host4", EADDRINUSE,
               "bind 127.0.0.1:8080: Address already in use");
  ASSERT_OK(publisher_.PublishOnce());
  EXPECT_EQ(Ports().status(), v1::Condition::FALSE);
  EXPECT_EQ(Ports().reason(), "PortInUse");
  EXPECT_THAT(Ports().message(), ::testing::HasSubstr("127.0.0.1:8080"));
  proxy_.SetListenerErrors({});
  Put(Replica(State::RUNNING));
  ASSERT_OK(publisher_.PublishOnce());
  EXPECT_EQ(Ports().status(), v1::Condition::TRUE);
}

TEST_F(PublisherTest, WhenTheHostHasNoIpv6_PortsCountAsOpen) {
  Put(Web());
  FailListener("default/web/http@host6", EAFNOSUPPORT, "socket: no");
  ASSERT_OK(publisher_.PublishOnce());
  EXPECT_EQ(Ports().status(), v1::Condition::TRUE);
}

TEST_F(PublisherTest, WhenTellingOnceTookLong_TheNextIsNotLate) {
  RealClock clock;
  store::MemStore store(clock);
  const auto put = [&](const v1::Object& object) {
    ASSERT_OK(store.Commit(
        store::Batch().Put(store::KeyOf(object), store::Encode(object))));
  };
  put(Web());
  proxy_.OnApply([&, first = true](const auto&) mutable {
    if (std::exchange(first, false)) clock.Sleep(absl::Seconds(2));
  });
  Publisher publisher(store, proxy_, clock, {});
  publisher.Start(nullptr);
  const absl::Duration begin = clock.Steady();
  const auto await = [&](auto condition) {
    while (!condition() && clock.Steady() - begin < absl::Seconds(20)) {
      clock.Sleep(absl::Milliseconds(5));
    }
    return clock.Steady();
  };
  await([&] { return proxy_.applied_count() > 0; });
  put(Replica(State::RUNNING));
  const absl::Duration told = await([&] {
    const dataplane::v1::Snapshot now = proxy_.snapshot();
    return now.pools_size() == 1 && now.pools(0).endpoints_size() == 1;
  });
  publisher.Stop();
  // Three times two seconds otherwise.
  EXPECT_LT(told - begin, absl::Seconds(6));
}

TEST_F(PublisherTest, WhenMuchChanges_MostOfTheTimeIsNotSpentOnTelling) {
  constexpr absl::Duration kTook = absl::Milliseconds(20);
  RealClock clock;
  store::MemStore store(clock);
  const auto put = [&](const v1::Object& object) {
    ASSERT_OK(store.Commit(
        store::Batch().Put(store::KeyOf(object), store::Encode(object))));
  };
  // As long as with some thousand replicas.
  proxy_.OnApply([&](const auto&) { clock.Sleep(kTook); });
  Publisher publisher(store, proxy_, clock, {});
  put(Web());
  publisher.Start(nullptr);
  const absl::Duration begin = clock.Steady();
  int count = 0;
  while (clock.Steady() - begin < absl::Milliseconds(500)) {
    v1::Object object = Replica(State::RUNNING);
    v1::Metadata& metadata = *object.mutable_replica()->mutable_metadata();
    metadata.set_name(absl::StrCat("web-", count, "-abcde"));
    metadata.set_uid(absl::StrCat("u", count));
    put(object);
    ++count;
    clock.Sleep(absl::Milliseconds(1));
  }
  const auto served = [&] {
    const dataplane::v1::Snapshot now = proxy_.snapshot();
    return now.pools_size() == 1 ? now.pools(0).endpoints_size() : 0;
  };
  const absl::Duration deadline = clock.Steady() + absl::Seconds(10);
  while (served() < count && clock.Steady() < deadline) {
    clock.Sleep(absl::Milliseconds(5));
  }
  const absl::Duration all = clock.Steady() - begin;
  publisher.Stop();
  EXPECT_EQ(served(), count);
  EXPECT_LE(proxy_.applied_count(), all / (4 * kTook) + 2);
}

}  // namespace
}  // namespace bulwark::scheduler
