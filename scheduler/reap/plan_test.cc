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

TEST(PlanReapTest, WhenThePolicyLeavesItAtThat_TheRecordStays) {
  v1::Service web = Web();
  web.mutable_spec()->mutable_restart()->set_policy(v1::Restart::NEVER);
  EXPECT_THAT(PlanReap(&web, {Ended("a", 0, absl::Hours(100))}, kNow).remove,
              IsEmpty());
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
