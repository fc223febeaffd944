// What a controller looks at at once, and what it leaves for a moment. The
// clock stands still unless a test moves it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/testing/fake_clock.h"
#include "base/testing/status_matchers.h"
#include "scheduler/testing/scheduler_fixture.h"
#include "scheduler/times.h"
#include "store/objects.h"

namespace bulwark::scheduler {
namespace {

constexpr absl::Duration kMoment = absl::Milliseconds(20);
constexpr absl::Duration kLess = absl::Milliseconds(19);
// A count of replicas that no controller leaves as it is.
constexpr int kWrong = 42;

// Has two services without replicas, "a" and "b". What is due at one instant is
// looked at in this order.
class UnhurriedTest : public SchedulerTest {
 protected:
  UnhurriedTest() : SchedulerTest(std::make_unique<testing::FakeClock>()) {
    End();
    SchedulerOptions options;
    options.service_workers = 1;
    Begin(std::move(options));
    for (const char* name : {"a", "b"}) {
      Apply(name, 0);
      EXPECT_TRUE(Await([&] { return IsSeen(name); })) << name;
    }
    // Until only b tells of itself.
    for (int i = 0; i < 5; ++i) {
      Pass(kMoment);
      LookAtB();
    }
  }

  void Pass(absl::Duration d) {
    static_cast<testing::FakeClock&>(clock_).Advance(d);
  }
  v1::Object Get(const std::string& name) {
    auto object =
        store::GetObject(store_, store::ObjectKey("service", "default", name));
    EXPECT_OK(object);
    return object.value_or(v1::Object());
  }
  bool IsSeen(const std::string& name) {
    const v1::Service s = Get(name).service();
    return s.status().observed_generation() == s.metadata().generation();
  }
  int Count(const std::string& name) {
    return Get(name).service().status().replicas();
  }
  // As its controller tells, but for what it tells.
  void SetCount(const std::string& name, int count) {
    v1::Object object = Get(name);
    object.mutable_service()->mutable_status()->set_replicas(count);
    Put(object);
  }
  void DeclareAnew(const std::string& name) {
    v1::Object object = Get(name);
    v1::Metadata& metadata = *object.mutable_service()->mutable_metadata();
    metadata.set_generation(metadata.generation() + 1);
    Put(object);
  }
  // When this returns, whoever was to be looked at has been.
  void LookAtB() {
    DeclareAnew("b");
    EXPECT_TRUE(Await([&] { return IsSeen("b"); }));
  }
  // Of a service, and over, so that no other controller is at it.
  void PutReplica(const std::string& service, const std::string& message,
                  std::string uid = "") {
    if (uid.empty()) uid = Get(service).service().metadata().uid();
    v1::Object object;
    v1::Replica& r = *object.mutable_replica();
    r.mutable_metadata()->set_name(absl::StrCat(service, "-0"));
    r.mutable_metadata()->set_project("default");
    r.mutable_metadata()->set_uid(absl::StrCat(service, "-uid"));
    r.mutable_spec()->set_service(service);
    r.mutable_spec()->set_service_uid(uid);
    r.mutable_spec()->set_goal(v1::ReplicaSpec::STOP);
    r.mutable_status()->set_state(v1::ReplicaStatus::STOPPED);
    r.mutable_status()->set_message(message);
    Put(object);
  }
  bool Has(const std::string& replica) {
    return store_.Get(store::ObjectKey("replica", "default", replica)).ok();
  }
};

TEST_F(UnhurriedTest, WhenAServiceIsNew_ItRunsAtOnce) {
  Apply("web", 2);
  EXPECT_TRUE(AwaitRunning("web", 2));
}

TEST_F(UnhurriedTest, WhenAServiceIsDeclaredAnew_ItIsLookedAtAtOnce) {
  SetCount("a", kWrong);
  DeclareAnew("a");
  EXPECT_TRUE(Await([&] { return Count("a") == 0; }));
}

TEST_F(UnhurriedTest, WhenAServiceIsDeleted_ItGoesAtOnce) {
  v1::Object object = Get("a");
  SetTime(object.mutable_service()->mutable_metadata()->mutable_delete_time(),
          clock_.Now());
  Put(object);
  EXPECT_TRUE(Await([&] {
    return absl::IsNotFound(
        store_.Get(store::ObjectKey("service", "default", "a")).status());
  }));
}

TEST_F(UnhurriedTest, WhenAServiceTellsOfItself_ItIsLookedAtAMomentLater) {
  SetCount("a", kWrong);
  LookAtB();
  EXPECT_EQ(Count("a"), kWrong);
  Pass(kLess);
  LookAtB();
  EXPECT_EQ(Count("a"), kWrong);
  Pass(kMoment - kLess);
  EXPECT_TRUE(Await([&] { return Count("a") == 0; }));
}

TEST_F(UnhurriedTest, WhenAReplicaIsNew_ItsOwnerIsNotLookedAtAtOnce) {
  SetCount("a", kWrong);
  SetCount("b", kWrong);
  PutReplica("a", "new");
  PutReplica("b", "new");
  PutReplica("b", "changed");
  // By the third record, and so after the first.
  EXPECT_TRUE(Await([&] { return Count("b") == 0; }));
  EXPECT_EQ(Count("a"), kWrong);
}

TEST_F(UnhurriedTest, WhenAReplicaIsNew_ItsOwnerIsLookedAtAMomentLater) {
  // Of nobody: whoever looks at "a" has it taken away.
  PutReplica("a", "new", "another-uid");
  PutReplica("b", "new");
  PutReplica("b", "changed");
  EXPECT_TRUE(Await([&] { return !Has("b-0"); }));
  EXPECT_TRUE(Has("a-0"));
  Pass(kMoment);
  EXPECT_TRUE(Await([&] { return !Has("a-0"); }));
}

}  // namespace
}  // namespace bulwark::scheduler
