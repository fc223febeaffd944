#include "scheduler/reap/plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "scheduler/times.h"

namespace bulwark::scheduler {
namespace {

using ::testing::IsEmpty;
using ::testing::SizeIs;
using ::testing::UnorderedElementsAre;

const absl::Time kNow = absl::FromUnixSeconds(1893456000);

v1::Service Web() {
  v1::Service s;
  s.mutable_metadata()->set_uid("web-uid");
  return s;
}

v1::Replica Ended(const std::string& name, int slot, absl::Duration ago,
                  v1::ReplicaStatus::State state = v1::ReplicaStatus::FAILED) {
  v1::Replica r;
  r.mutable_metadata()->set_name(name);
  r.mutable_spec()->set_service_uid("web-uid");
  r.mutable_spec()->set_slot(slot);
  r.mutable_spec()->set_goal(v1::ReplicaSpec::RUN);
  r.mutable_status()->set_state(state);
  SetTime(r.mutable_status()->mutable_finish_time(), kNow - ago);
  return r;
}

TEST(PlanReapTest, WhenReplicasStopped_TheyGoAtOnceAndLiveOnesStay) {
  const v1::Service web = Web();
  EXPECT_THAT(
      PlanReap(
          &web,
          {Ended("a", 0, absl::ZeroDuration(), v1::ReplicaStatus::STOPPED),
           Ended("b", 0, absl::ZeroDuration(), v1::ReplicaStatus::RUNNING)},
          kNow)
          .remove,
      UnorderedElementsAre("a"));
}

TEST(PlanReapTest, WhenReplicasFailed_TheNewestFiveOfASlotStayForAnHour) {
  const v1::Service web = Web();
  std::vector<v1::Replica> replicas;
  for (int i = 0; i < 8; ++i) {
    replicas.push_back(Ended(absl::StrCat("r", i), 0, absl::Minutes(i)));
  }
  replicas.push_back(Ended("other", 1, absl::Minutes(59)));
  replicas.push_back(Ended("old", 1, absl::Minutes(60)));
  const ReapPlan plan = PlanReap(&web, replicas, kNow);
  EXPECT_THAT(plan.remove, UnorderedElementsAre("r5", "r6", "r7", "old"));
  EXPECT_EQ(plan.wake_at, kNow + absl::Minutes(1));
}

TEST(PlanReapTest, WhenReplicasWereRolledBack_TheyStayLikeFailedOnes) {
  const v1::Service web = Web();
  const auto rolled_back = [](const char* name, absl::Duration ago) {
    v1::Replica r = Ended(name, 0, ago, v1::ReplicaStatus::STOPPED);
    r.mutable_status()->set_reason("RolledBack");
    return r;
  };
  const ReapPlan plan = PlanReap(
      &web,
      {rolled_back("new", absl::Minutes(1)), rolled_back("old", absl::Hours(1)),
       Ended("failed", 0, absl::Minutes(2))},
      kNow);
  EXPECT_THAT(plan.remove, UnorderedElementsAre("old"));
  EXPECT_EQ(plan.wake_at, kNow + absl::Minutes(58));
}

TEST(PlanReapTest, WhenThePolicyLeavesItAtThat_TheRecordStays) {
  v1::Service web = Web();
  web.mutable_spec()->mutable_restart()->set_policy(v1::Restart::NEVER);
  EXPECT_THAT(PlanReap(&web, {Ended("a", 0, absl::Hours(100))}, kNow).remove,
              IsEmpty());
}

v1::Replica WithAddress(v1::Replica r) {
  r.mutable_spec()->set_address("10.210.0.2");
  return r;
}

TEST(PlanReapTest, WhenNobodyComesBackToASlot_ItsAddressIsReleased) {
  const auto failed = [](const char* name, int slot) {
    return WithAddress(Ended(name, slot, absl::Minutes(1)));
  };
  const auto live = [](const char* name, int slot) {
    return WithAddress(
        Ended(name, slot, absl::Minutes(1), v1::ReplicaStatus::RUNNING));
  };
  const struct {
    const char* what;
    int replicas;
    std::vector<v1::Replica> records;
    std::vector<std::string> released;
  } cases[] = {
      {"the next comes to it", 1, {failed("a", 0)}, {}},
      {"the next comes to slot 0", 1, {failed("a", 1)}, {"a"}},
      {"two come: to slots 0 and 1",
       2,
       {failed("a", 1), failed("b", 2)},
       {"b"}},
      {"slot 0 is taken, the next comes to it",
       2,
       {live("a", 0), failed("b", 1)},
       {}},
      {"all live", 2, {live("a", 0), live("b", 2), failed("c", 1)}, {"c"}},
      {"a live one has the slot", 1, {live("a", 1), failed("b", 1)}, {}},
      {"each record of the slot",
       1,
       {live("a", 0), failed("b", 1), failed("c", 1)},
       {"b", "c"}},
      {"stopped", 0, {failed("a", 0)}, {"a"}},
      {"released before", 0, {Ended("a", 0, absl::Minutes(1))}, {}},
  };
  for (const auto& c : cases) {
    v1::Service web = Web();
    web.mutable_spec()->set_replicas(c.replicas);
    const ReapPlan plan = PlanReap(&web, c.records, kNow);
    EXPECT_THAT(plan.release, ::testing::ElementsAreArray(c.released))
        << c.what;
    EXPECT_THAT(plan.remove, IsEmpty()) << c.what;
  }
  v1::Service web = Web();
  web.mutable_spec()->set_replicas(1);
  web.mutable_spec()->mutable_restart()->set_policy(v1::Restart::NEVER);
  EXPECT_THAT(PlanReap(&web, {failed("a", 0)}, kNow).release,
              UnorderedElementsAre("a"));
}

// Its replacement waits for the back-off, and comes to the same slot.
TEST(PlanReapTest, WhenScaledByTheAutoscaler_ItsSlotsKeepTheirAddresses) {
  v1::Service web = Web();
  web.mutable_spec()->mutable_autoscale()->set_min_replicas(1);
  web.mutable_spec()->mutable_autoscale()->set_max_replicas(5);
  std::vector<v1::Replica> replicas;
  for (int slot = 0; slot < 4; ++slot) {
    replicas.push_back(
        WithAddress(Ended(absl::StrCat("r", slot), slot, absl::Minutes(1),
                          v1::ReplicaStatus::RUNNING)));
  }
  replicas.push_back(WithAddress(Ended("failed", 4, absl::Seconds(1))));
  EXPECT_THAT(PlanReap(&web, replicas, kNow, 5).release, IsEmpty());
  EXPECT_THAT(PlanReap(&web, replicas, kNow, 4).release,
              UnorderedElementsAre("failed"));
  EXPECT_THAT(PlanReap(&web, replicas, kNow).release,
              UnorderedElementsAre("failed"));
}

TEST(PlanReapTest, WhenTheServiceGoes_EverythingThatEndedGoes) {
  v1::Service web = Web();
  SetTime(web.mutable_metadata()->mutable_delete_time(), kNow);
  const std::vector<v1::Replica> replicas = {
      Ended("a", 0, absl::ZeroDuration()), Ended("b", 1, absl::ZeroDuration())};
  EXPECT_THAT(PlanReap(&web, replicas, kNow).remove, SizeIs(2));
  EXPECT_THAT(PlanReap(nullptr, replicas, kNow).remove, SizeIs(2));
  v1::Service again = Web();
  again.mutable_metadata()->set_uid("another");
  EXPECT_THAT(PlanReap(&again, replicas, kNow).remove, SizeIs(2));
}

}  // namespace
}  // namespace bulwark::scheduler
