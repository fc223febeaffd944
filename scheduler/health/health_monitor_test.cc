#include "scheduler/health/health_monitor.h"

#include <gmock/gmock.h>

#include <map>
#include <vector>

#include "base/testing/status_matchers.h"
#include "engine/fake/images/fake_images.h"
#include "store/mem/mem_store.h"
#include "store/objects.h"

namespace bulwark::scheduler {
namespace {

using State = v1::ReplicaStatus;

// Answers by port, and counts.
class ScriptedProber final : public Prober {
 public:
  ProbeResult Run(const ProbeTarget& target) override {
    absl::MutexLock lock(&mu_);
    ++runs_[target.port];
    return {up_[target.port], up_[target.port] ? "" : "refused"};
  }
  void Set(int port, bool up) {
    absl::MutexLock lock(&mu_);
    up_[port] = up;
  }
  int runs(int port) {
    absl::MutexLock lock(&mu_);
    return runs_[port];
  }

 private:
  absl::Mutex mu_;
  std::map<int, bool> up_;
  std::map<int, int> runs_;
};

class HealthMonitorTest : public ::testing::Test {
 protected:
  void Put(const v1::Object& object) {
    ASSERT_OK(store_.Commit(
        store::Batch().Put(store::KeyOf(object), store::Encode(object))));
  }
  // A service "web" with probes as given, and its revision 1.
  void PutService(const v1::Container& container) {
    v1::Object service;
    service.mutable_service()->mutable_metadata()->set_name("web");
    Put(service);
    v1::Object revision;
    revision.mutable_revision()->mutable_metadata()->set_name("web-1");
    *revision.mutable_revision()->mutable_template_()->add_containers() =
        container;
    Put(revision);
  }
  void PutReplica(bool ready, State::State state = State::RUNNING) {
    v1::Object object;
    v1::Replica& replica = *object.mutable_replica();
    replica.mutable_metadata()->set_name("web-0-abcde");
    replica.mutable_metadata()->set_uid("u0");
    replica.mutable_spec()->set_service("web");
    replica.mutable_spec()->set_revision(1);
    replica.mutable_spec()->set_goal(v1::ReplicaSpec::RUN);
    replica.mutable_status()->set_state(state);
    replica.mutable_status()->set_ready(ready);
    Put(object);
  }
  static v1::Probe Tcp(int port) {
    v1::Probe probe;
    probe.mutable_tcp()->set_port(port);
    probe.mutable_period()->set_nanos(50000000);
    return probe;
  }
  // Waits until the replica's status satisfies `predicate`.
  bool Await(const std::function<bool(const State&)>& predicate) {
    const absl::Duration deadline = clock_.Steady() + absl::Seconds(10);
    while (clock_.Steady() < deadline) {
      auto object = store::GetObject(
          store_, store::ObjectKey("replica", "default", "web-0-abcde"));
      if (object.ok() && predicate(object->replica().status())) return true;
      clock_.Sleep(absl::Milliseconds(5));
    }
    return false;
  }

  RealClock clock_;
  store::MemStore store_{clock_};
  engine::FakeImages images_;
  ScriptedProber prober_;
  absl::Mutex mu_;
  std::vector<std::string> told_ ABSL_GUARDED_BY(mu_);
  HealthMonitor monitor_{
      store_,
      images_,
      prober_,
      clock_,
      2,
      [this](const v1::ObjectReference& subject, absl::string_view reason,
             absl::string_view message, v1::Event::Severity) {
        absl::MutexLock lock(&mu_);
        told_.push_back(
            absl::StrCat(subject.name(), " ", reason, ": ", message));
      }};
};

TEST_F(HealthMonitorTest, ReadinessFollowsTheProbe) {
  v1::Container c;
  *c.mutable_readiness() = Tcp(1);
  PutService(c);
  PutReplica(false);
  monitor_.Start();
  prober_.Set(1, true);
  EXPECT_TRUE(
      Await([](const State& s) { return s.ready() && s.has_ready_time(); }));
  prober_.Set(1, false);
  EXPECT_TRUE(Await([](const State& s) {
    return !s.ready() && !s.has_ready_time() && s.probe_message() == "refused";
  }));
}

TEST_F(HealthMonitorTest, WhenAProbeFails_TellsWhyAndWhenItIsOver) {
  v1::Container c;
  *c.mutable_readiness() = Tcp(1);
  PutService(c);
  PutReplica(false);
  prober_.Set(1, true);
  monitor_.Start();
  ASSERT_TRUE(Await([](const State& s) { return s.ready(); }));
  prober_.Set(1, false);
  ASSERT_TRUE(Await([](const State& s) { return !s.ready(); }));
  prober_.Set(1, true);
  ASSERT_TRUE(Await([](const State& s) { return s.ready(); }));
  monitor_.Stop();
  absl::MutexLock lock(&mu_);
  EXPECT_THAT(told_, ::testing::ElementsAre(
                         "web ProbeFailed: web-0-abcde is not ready: refused",
                         "web ReplicaRecovered: web-0-abcde is ready again"));
}

TEST_F(HealthMonitorTest, WithoutProbes_IsReadyAsSoonAsItRuns) {
  PutService({});
  monitor_.Start();
  PutReplica(false);
  EXPECT_TRUE(Await([](const State& s) { return s.ready(); }));
}

TEST_F(HealthMonitorTest, WhenLivenessFails_SaysSo) {
  v1::Container c;
  *c.mutable_liveness() = Tcp(2);
  PutService(c);
  PutReplica(false);
  monitor_.Start();
  EXPECT_TRUE(Await([](const State& s) { return s.liveness_failed(); }));
}

TEST_F(HealthMonitorTest, UntilStarted_TheOtherProbesDoNotRun) {
  v1::Container c;
  *c.mutable_startup() = Tcp(3);
  c.mutable_startup()->set_failure(1000);
  *c.mutable_readiness() = Tcp(1);
  prober_.Set(1, true);
  PutService(c);
  PutReplica(false);
  monitor_.Start();
  while (prober_.runs(3) < 3) clock_.Sleep(absl::Milliseconds(5));
  EXPECT_EQ(prober_.runs(1), 0);
  prober_.Set(3, true);
  EXPECT_TRUE(Await([](const State& s) { return s.ready(); }));
}

TEST_F(HealthMonitorTest, WhenItNeverBecomesReady_SaysWhy) {
  v1::Container c;
  *c.mutable_readiness() = Tcp(1);
  PutService(c);
  PutReplica(false);
  monitor_.Start();
  EXPECT_TRUE(
      Await([](const State& s) { return s.probe_message() == "refused"; }));
  // Once, not at each probe.
  const uint64_t revision = store_.CurrentRevision();
  const int runs = prober_.runs(1);
  while (prober_.runs(1) < runs + 5) clock_.Sleep(absl::Milliseconds(5));
  EXPECT_EQ(store_.CurrentRevision(), revision);
  prober_.Set(1, true);
  EXPECT_TRUE(Await(
      [](const State& s) { return s.ready() && s.probe_message().empty(); }));
}

TEST_F(HealthMonitorTest, WhenItWasReadyBefore_OneFailureChangesNothing) {
  v1::Container c;
  *c.mutable_readiness() = Tcp(1);
  c.mutable_readiness()->set_failure(5);
  PutService(c);
  PutReplica(true);
  monitor_.Start();
  while (prober_.runs(1) < 2) clock_.Sleep(absl::Milliseconds(5));
  EXPECT_TRUE(Await([](const State& s) { return s.ready(); }));
  EXPECT_TRUE(Await([](const State& s) { return !s.ready(); }));
}

TEST_F(HealthMonitorTest, WhenDraining_IsLeftAlone) {
  v1::Container c;
  *c.mutable_readiness() = Tcp(1);
  PutService(c);
  PutReplica(true, State::DRAINING);
  monitor_.Start();
  clock_.Sleep(absl::Milliseconds(100));
  EXPECT_EQ(prober_.runs(1), 0);
}

}  // namespace
}  // namespace bulwark::scheduler
