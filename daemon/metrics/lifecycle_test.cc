#include "daemon/metrics/lifecycle.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/testing/fake_clock.h"
#include "base/testing/status_matchers.h"
#include "daemon/metrics/testing.h"
#include "store/mem/mem_store.h"
#include "store/objects.h"

namespace bulwark::daemon {
namespace {

using State = v1::ReplicaStatus;

class LifecycleTest : public ::testing::Test {
 protected:
  void SetUp() override {
    v1::Object object;
    object.mutable_service()->mutable_metadata()->set_name("web");
    Put(object);
    watcher_ = *store_.Watch(store_.CurrentRevision(), {});
  }

  void Put(const v1::Object& object) {
    ASSERT_OK(store_
                  .Commit(store::Batch().Put(store::KeyOf(object),
                                             store::Encode(object)))
                  .status());
  }
  void Delete(const v1::Object& object) {
    ASSERT_OK(
        store_.Commit(store::Batch().Delete(store::KeyOf(object))).status());
  }
  static v1::Object Replica(const std::string& uid, int slot,
                            State::State state,
                            const std::string& reason = "") {
    v1::Object object;
    v1::Replica& replica = *object.mutable_replica();
    replica.mutable_metadata()->set_name("web-" + uid);
    replica.mutable_metadata()->set_uid(uid);
    replica.mutable_spec()->set_service("web");
    replica.mutable_spec()->set_slot(slot);
    replica.mutable_status()->set_state(state);
    replica.mutable_status()->set_reason(reason);
    return object;
  }
  static v1::Object Revision(int64_t begun, const std::string& failure = "") {
    v1::Object object;
    v1::Revision& revision = *object.mutable_revision();
    revision.mutable_metadata()->set_name("web-1");
    revision.mutable_metadata()->set_uid("rev");
    revision.set_service("web");
    revision.mutable_rollout_time()->set_seconds(begun);
    revision.set_failure(failure);
    return object;
  }
  // Hands over what has changed since the last call.
  void Follow() {
    const auto changes = watcher_->Next(absl::ZeroDuration());
    ASSERT_OK(changes.status());
    ASSERT_OK(lifecycle_.Pass(&*changes));
  }
  double Value(const std::string& series, const std::string& more = "") {
    metrics::Samples samples;
    lifecycle_.AddTo(samples);
    const auto values = Values(std::move(samples));
    auto it = values.find("bulwark_service_" + series +
                          "{project=\"default\",service=\"web\"" + more + "}");
    return it == values.end() ? -1 : it->second;
  }

  testing::FakeClock clock_;
  store::MemStore store_{clock_};
  std::unique_ptr<store::Watcher> watcher_;
  Lifecycle lifecycle_{store_, clock_};
};

TEST_F(LifecycleTest, WhenAReplicaFailsAndIsReplaced_CountsBoth) {
  ASSERT_OK(lifecycle_.Pass(nullptr));
  EXPECT_EQ(Value("restarts_total"), 0);
  EXPECT_EQ(Value("replica_failures_total", ",reason=\"OOMKilled\""), 0);
  Put(Replica("a", 0, State::RUNNING));
  Put(Replica("b", 1, State::RUNNING));
  Follow();
  EXPECT_EQ(Value("restarts_total"), 0);
  Put(Replica("a", 0, State::FAILED, "OOMKilled"));
  Put(Replica("a", 0, State::FAILED, "OOMKilled"));  // another field changed
  Follow();
  EXPECT_EQ(Value("replica_failures_total", ",reason=\"OOMKilled\""), 1);
  EXPECT_EQ(Value("oom_kills_total"), 1);
  EXPECT_EQ(Value("restarts_total"), 0);
  Put(Replica("c", 0, State::PENDING));
  Put(Replica("c", 0, State::RUNNING));
  Follow();
  EXPECT_EQ(Value("restarts_total"), 1);
  // One that was told to stop has not failed, and its heir is no restart.
  Put(Replica("b", 1, State::STOPPED, "ScaledDown"));
  Put(Replica("d", 1, State::PENDING));
  Follow();
  EXPECT_EQ(Value("restarts_total"), 1);
  EXPECT_EQ(Value("replica_failures_total", ",reason=\"ScaledDown\""), -1);
}

TEST_F(LifecycleTest, WhenStarted_DoesNotCountWhatWas) {
  Put(Replica("a", 0, State::FAILED, "Error"));
  Put(Revision(100, "no progress"));
  ASSERT_OK(lifecycle_.Pass(nullptr));
  Follow();  // the same again, as a watch that began before the listing has it
  EXPECT_EQ(Value("replica_failures_total", ",reason=\"Error\""), 0);
  EXPECT_EQ(Value("rollbacks_total"), 0);
  EXPECT_EQ(Value("rollouts_total"), 0);
  // But its replacement comes now.
  Put(Replica("b", 0, State::PENDING));
  Follow();
  EXPECT_EQ(Value("restarts_total"), 1);
}

TEST_F(LifecycleTest, WhenARevisionIsRolledOutAndBack_CountsBoth) {
  ASSERT_OK(lifecycle_.Pass(nullptr));
  Put(Revision(0));
  Put(Revision(100));
  Put(Revision(100));
  Follow();
  EXPECT_EQ(Value("rollouts_total"), 1);
  Put(Revision(100, "no progress"));
  Follow();
  EXPECT_EQ(Value("rollbacks_total"), 1);
  Put(Revision(200));  // tried again
  Follow();
  EXPECT_EQ(Value("rollouts_total"), 2);
}

TEST_F(LifecycleTest, WhenTheWatchFallsBehind_KeepsItsCounts) {
  ASSERT_OK(lifecycle_.Pass(nullptr));
  Put(Replica("a", 0, State::RUNNING));
  Put(Replica("a", 0, State::FAILED, "Error"));
  Follow();
  ASSERT_OK(lifecycle_.Pass(nullptr));
  EXPECT_EQ(Value("replica_failures_total", ",reason=\"Error\""), 1);
}

TEST_F(LifecycleTest, WhenAServiceIsGone_SoAreItsSeries) {
  ASSERT_OK(lifecycle_.Pass(nullptr));
  v1::Object service;
  service.mutable_service()->mutable_metadata()->set_name("web");
  Delete(service);
  Put(Replica("late", 0, State::FAILED, "Error"));
  Follow();
  EXPECT_EQ(Value("restarts_total"), -1);
  Put(service);
  Follow();
  EXPECT_EQ(Value("restarts_total"), 0);
}

}  // namespace
}  // namespace bulwark::daemon
