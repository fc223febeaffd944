// When what has changed is published: in fake time, which stands still unless a
// test lets it pass.
#include <gmock/gmock.h>

#include <string>
#include <vector>

#include "base/testing/status_matchers.h"
#include "base/testing/watched_clock.h"
#include "lb/fake/fake_proxy.h"
#include "scheduler/publish/publisher.h"
#include "store/mem/mem_store.h"
#include "store/objects.h"

namespace bulwark::scheduler {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr absl::Duration kGather = absl::Milliseconds(20);

class PublisherPaceTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_OK(proxy_.Start());
    publisher_.Start(nullptr);
    ASSERT_TRUE(SleepsUntil(clock_.Steady() + absl::Seconds(1)));
    before_ = proxy_.applied_count();
    begin_ = clock_.Steady();
  }
  void TearDown() override { publisher_.Stop(); }

  void Put(const v1::Object& object) {
    ASSERT_OK(store_.Commit(
        store::Batch().Put(store::KeyOf(object), store::Encode(object))));
  }
  void PutService(const std::string& name) {
    v1::Object object;
    v1::Service& service = *object.mutable_service();
    service.mutable_metadata()->set_name(name);
    v1::Port& port = *service.mutable_spec()->add_ports();
    port.set_name("http");
    port.set_container_port(80);
    Put(object);
  }
  void PutReplica(bool ready) {
    v1::Object object;
    v1::Replica& replica = *object.mutable_replica();
    replica.mutable_metadata()->set_name("web-0-abcde");
    replica.mutable_metadata()->set_uid("u0");
    replica.mutable_spec()->set_service("web");
    replica.mutable_spec()->set_address("10.210.0.2");
    replica.mutable_spec()->set_goal(v1::ReplicaSpec::RUN);
    replica.mutable_status()->set_state(v1::ReplicaStatus::RUNNING);
    replica.mutable_status()->set_ready(ready);
    Put(object);
  }

  // Whether it comes true soon enough.
  template <typename T>
  static bool Becomes(T condition) {
    RealClock real;
    const absl::Duration limit = real.Steady() + absl::Seconds(10);
    while (!condition()) {
      if (real.Steady() > limit) return false;
      real.Sleep(absl::Milliseconds(1));
    }
    return true;
  }
  bool SleepsUntil(absl::Duration deadline) const {
    return Becomes([&] { return clock_.deadline() == deadline; });
  }
  bool Applies(int count) const {
    return Becomes([&] { return Applied() == count; });
  }
  // Snapshots since the test began.
  int Applied() const { return proxy_.applied_count() - before_; }
  std::vector<std::string> Pools() const {
    std::vector<std::string> all;
    const dataplane::v1::Snapshot now = proxy_.snapshot();
    for (const dataplane::v1::Pool& pool : now.pools()) {
      all.push_back(pool.id());
    }
    return all;
  }
  int Endpoints() const {
    const dataplane::v1::Snapshot now = proxy_.snapshot();
    return now.pools_size() == 0 ? -1 : now.pools(0).endpoints_size();
  }

  testing::WatchedClock clock_;  // nobody else waits by it
  store::MemStore store_{clock_};
  lb::FakeProxy proxy_;
  Publisher publisher_{store_, proxy_, clock_, {{"192.0.2.53"}, {}, {}}};
  int before_ = 0;
  absl::Duration begin_;
};

TEST_F(PublisherPaceTest, WhenNobodyIsMoved_ChangesAreGatheredButNotForLong) {
  PutService("web");
  ASSERT_TRUE(SleepsUntil(begin_ + kGather));
  clock_.Sleep(absl::Milliseconds(15));
  const int waits = clock_.waits();
  PutService("db");
  ASSERT_TRUE(Becomes([&] { return clock_.waits() > waits; }));
  EXPECT_EQ(clock_.deadline(), begin_ + kGather);  // the second puts off none
  EXPECT_EQ(Applied(), 0);
  clock_.Sleep(absl::Milliseconds(5));
  ASSERT_TRUE(Applies(1));
  EXPECT_THAT(Pools(), ElementsAre("default/db/http", "default/web/http"));
  // And that was all.
  ASSERT_TRUE(SleepsUntil(begin_ + absl::Seconds(1)));
  EXPECT_EQ(Applied(), 1);
}

TEST_F(PublisherPaceTest, WhenAReplicaIsReady_ItIsToldAtOnceWithWhatWaited) {
  PutService("web");
  PutReplica(false);
  ASSERT_TRUE(SleepsUntil(begin_ + kGather));
  EXPECT_EQ(Applied(), 0);
  PutReplica(true);
  ASSERT_TRUE(Applies(1));
  EXPECT_EQ(clock_.Steady(), begin_);
  EXPECT_EQ(Endpoints(), 1);
  ASSERT_TRUE(SleepsUntil(begin_ + absl::Seconds(1)));
  PutReplica(false);
  ASSERT_TRUE(Applies(2));
  EXPECT_EQ(clock_.Steady(), begin_);
  EXPECT_EQ(Endpoints(), 0);
}

TEST_F(PublisherPaceTest, WhenOneTookLong_EvenTheUrgentRests) {
  const struct {
    absl::Duration took;
    absl::Duration rest;
  } kCases[] = {
      {absl::Milliseconds(40), absl::Milliseconds(120)},
      {absl::Seconds(2), absl::Milliseconds(250)},
  };
  PutService("web");
  ASSERT_TRUE(SleepsUntil(begin_ + kGather));
  int count = 0;
  for (const auto& c : kCases) {
    SCOPED_TRACE(c.took);
    const absl::Duration end = clock_.Steady() + c.took;
    proxy_.OnApply([&](const auto&) { clock_.Sleep(c.took); });
    PutReplica(true);
    ASSERT_TRUE(Applies(++count));
    proxy_.OnApply(nullptr);
    PutReplica(false);
    ASSERT_TRUE(SleepsUntil(end + c.rest));
    EXPECT_EQ(Applied(), count);
    clock_.Sleep(c.rest);
    ASSERT_TRUE(Applies(++count));
  }
}

TEST_F(PublisherPaceTest, WhenTellingFails_WhatWasGatheredIsToldLater) {
  PutService("web");
  ASSERT_TRUE(SleepsUntil(begin_ + kGather));
  proxy_.FailNext(absl::UnavailableError("restarting"));
  PutReplica(true);
  ASSERT_TRUE(SleepsUntil(begin_ + absl::Milliseconds(200)));
  EXPECT_EQ(Applied(), 0);
  EXPECT_THAT(Pools(), IsEmpty());
  clock_.Sleep(absl::Milliseconds(200));
  ASSERT_TRUE(Applies(1));
  EXPECT_EQ(Endpoints(), 1);
  // The same with what nobody hurried.
  ASSERT_TRUE(SleepsUntil(begin_ + absl::Milliseconds(1000)));
  const absl::Duration begin = clock_.Steady();
  PutService("db");
  ASSERT_TRUE(SleepsUntil(begin + kGather));
  proxy_.FailNext(absl::UnavailableError("restarting"));
  clock_.Sleep(kGather);
  ASSERT_TRUE(SleepsUntil(begin + kGather + absl::Milliseconds(200)));
  EXPECT_EQ(Applied(), 1);
  clock_.Sleep(absl::Milliseconds(200));
  ASSERT_TRUE(Applies(2));
  EXPECT_THAT(Pools(), ElementsAre("default/db/http", "default/web/http"));
}

}  // namespace
}  // namespace bulwark::scheduler
