#include "scheduler/usage/sampler.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "absl/strings/str_cat.h"
#include "base/testing/fake_clock.h"
#include "base/testing/status_matchers.h"
#include "engine/fake/fake_engine.h"
#include "lb/fake/fake_proxy.h"
#include "netmesh/fake/fake_network.h"
#include "scheduler/names.h"
#include "store/mem/mem_store.h"
#include "store/objects.h"

namespace bulwark::scheduler {
namespace {

using ::bulwark::testing::FakeClock;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class UsageSamplerTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_OK(engine_.Recover([](absl::string_view) {}));
    ASSERT_OK(network_.Recover());
    ASSERT_OK(proxy_.Start());
    ASSERT_OK(network_.EnsureNetwork({"n", "10.0.0.0/24", ""}));
  }

  // A replica of service "web" in `slot`, with a record, a sandbox and a
  // container that has used `cpu`.
  void Run(int slot, absl::Duration cpu) {
    const std::string uid = absl::StrCat("uid", slot);
    v1::Object object;
    v1::Replica& replica = *object.mutable_replica();
    replica.mutable_metadata()->set_name(absl::StrCat("web-", slot, "-x"));
    replica.mutable_metadata()->set_uid(uid);
    replica.mutable_spec()->set_service("web");
    replica.mutable_spec()->set_service_uid("service");
    replica.mutable_spec()->set_slot(slot);
    ASSERT_OK(store_.Commit(
        store::Batch().Put(store::KeyOf(object), store::Encode(object), 0)));
    ASSERT_OK(network_.EnsureSandbox({SandboxId("service", slot), "n",
                                      absl::StrCat("10.0.0.", 2 + slot), ""}));
    network_.SetTraffic(SandboxId("service", slot), {1000 + slot, 2000});
    Start(uid, replica.metadata().name(), cpu);
  }
  void Start(const std::string& uid, const std::string& replica,
             absl::Duration cpu) {
    engine::ContainerSpec spec;
    spec.id = uid + "-web";
    spec.args = {"/app"};
    spec.labels = {{kReplicaLabel, uid},
                   {kReplicaNameLabel, replica},
                   {kProjectLabel, "default"},
                   {kServiceLabel, "web"},
                   {kContainerLabel, "web"}};
    ASSERT_OK(engine_.Start(spec));
    engine::ContainerStats stats;
    stats.cpu_usage = cpu;
    ASSERT_OK(engine_.SetStats(spec.id, stats));
  }

  FakeClock clock_;
  store::MemStore store_{clock_};
  engine::FakeEngine engine_{clock_};
  netmesh::FakeNetwork network_;
  lb::FakeProxy proxy_;
  absl::StatusOr<NodeUsage> node_ = NodeUsage{absl::Seconds(5), 2000};
  UsageSampler sampler_{
      {store_, engine_, network_, proxy_, [this] { return node_; }, clock_}};
};

TEST_F(UsageSamplerTest, TellsWhatEachReplicaUses) {
  Run(1, absl::Seconds(3));
  Run(0, absl::Seconds(2));
  dataplane::v1::Snapshot snapshot;
  snapshot.set_version(1);
  dataplane::v1::Pool& pool = *snapshot.add_pools();
  pool.set_id("default/web/http");
  dataplane::v1::Endpoint& endpoint = *pool.add_endpoints();
  endpoint.set_id("uid1");
  endpoint.set_address("10.0.0.3");
  endpoint.set_port(80);
  endpoint.set_state(dataplane::v1::Endpoint::READY);
  ASSERT_OK(proxy_.Apply(snapshot, absl::Seconds(1)));
  dataplane::v1::PoolStats stats;
  stats.set_pool(pool.id());
  stats.add_endpoints()->set_id("uid1");
  stats.mutable_endpoints(0)->set_active(9);
  proxy_.SetStats(stats);

  const UsageSamplePtr sample = sampler_.Fresh(absl::ZeroDuration());
  EXPECT_THAT(sample->errors, IsEmpty());
  ASSERT_EQ(sample->replicas.size(), 2u);
  const ReplicaUsage& zero = sample->replicas[0];
  EXPECT_EQ(zero.name, "web-0-x");
  EXPECT_EQ(zero.service, "web");
  EXPECT_EQ(zero.connections, 0);
  const ReplicaUsage& one = sample->replicas[1];
  EXPECT_EQ(one.uid, "uid1");
  EXPECT_EQ(one.connections, 9);
  ASSERT_TRUE(one.traffic.has_value());
  EXPECT_EQ(one.traffic->receive_bytes, 1001);
  ASSERT_EQ(one.containers.size(), 1u);
  EXPECT_EQ(one.containers[0].name, "web");
  EXPECT_EQ(one.containers[0].stats.cpu_usage, absl::Seconds(3));
  EXPECT_EQ(sample->node->cpu_millicores, 2000);
  EXPECT_EQ(sample->proxy->version(), 1u);
}

TEST_F(UsageSamplerTest, WhenASourceFails_TellsTheRestAndWhy) {
  Run(0, absl::Seconds(2));
  proxy_.FailNext(absl::UnavailableError("it restarts"));
  network_.FailNext(absl::InternalError("no netlink"));
  node_ = absl::InternalError("no /proc");
  UsageSamplePtr sample = sampler_.Fresh(absl::ZeroDuration());
  ASSERT_EQ(sample->replicas.size(), 1u);
  EXPECT_FALSE(sample->replicas[0].connections.has_value());
  EXPECT_FALSE(sample->replicas[0].traffic.has_value());
  EXPECT_THAT(sample->errors,
              ElementsAre(HasSubstr("no netlink"), HasSubstr("it restarts"),
                          HasSubstr("no /proc")));
  clock_.Advance(absl::Seconds(1));
  node_ = NodeUsage{};
  sample = sampler_.Fresh(absl::ZeroDuration());
  EXPECT_THAT(sample->errors, IsEmpty());
}

TEST_F(UsageSamplerTest, LeavesOutWhatHasEndedOrHasNoRecord) {
  Run(0, absl::Seconds(2));
  Run(1, absl::Seconds(2));
  Start("stranger", "web-7-x", absl::Seconds(1));
  ASSERT_OK(engine_.Exit("uid0-web", 0));
  const UsageSamplePtr sample = sampler_.Fresh(absl::ZeroDuration());
  ASSERT_EQ(sample->replicas.size(), 1u);
  EXPECT_EQ(sample->replicas[0].uid, "uid1");
}

TEST_F(UsageSamplerTest, WhenASampleIsYoungEnough_TakesNoOther) {
  const UsageSamplePtr first = sampler_.Fresh(absl::ZeroDuration());
  clock_.Advance(absl::Seconds(1));
  EXPECT_EQ(sampler_.Fresh(absl::Seconds(1)), first);
  EXPECT_NE(sampler_.Fresh(absl::Milliseconds(999)), first);
  EXPECT_EQ(sampler_.History().size(), 2u);
  clock_.Advance(absl::Seconds(10));
  sampler_.Fresh(absl::ZeroDuration());
  EXPECT_EQ(sampler_.History().size(), 2u) << "the first is too old";
}

TEST_F(UsageSamplerTest, WhenNobodyAsks_NoneIsTaken) {
  sampler_.Start();
  RealClock real;
  const absl::Duration deadline = real.Steady() + absl::Seconds(10);
  while (sampler_.History().empty() && real.Steady() < deadline) {
    clock_.Advance(absl::Seconds(1));
    real.Sleep(absl::Milliseconds(1));
  }
  EXPECT_FALSE(sampler_.History().empty());
  // Half a minute later it has forgotten us.
  for (int i = 0; i < 100; ++i) {
    clock_.Advance(absl::Seconds(1));
    real.Sleep(absl::Milliseconds(1));
  }
  EXPECT_TRUE(sampler_.History().empty());
  sampler_.Stop();
}

TEST_F(UsageSamplerTest, WhenAskedForItsHistory_SamplesByItself) {
  sampler_.Start();
  RealClock real;
  const absl::Duration deadline = real.Steady() + absl::Seconds(10);
  while (sampler_.History().size() < 3 && real.Steady() < deadline) {
    clock_.Advance(absl::Seconds(1));
    real.Sleep(absl::Milliseconds(1));
  }
  EXPECT_GE(sampler_.History().size(), 3u);
  sampler_.Stop();
}

}  // namespace
}  // namespace bulwark::scheduler
