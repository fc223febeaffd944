// Which applies may be seen before the disk has them: whatever has effects that
// outlive the machine waits.
#include <gtest/gtest.h>

#include "api/testing/plan_fixture.h"

namespace bulwark::api {
namespace {

class PlanEarlyTest : public PlanTest {
 protected:
  bool IsSeenEarly(const std::vector<v1::Object>& objects,
                   const std::string& prune = "") {
    v1::ApplyRequest request;
    for (const v1::Object& object : objects) *request.add_objects() = object;
    if (!prune.empty()) (*request.mutable_prune_labels())["app"] = prune;
    const auto plan = Plan(request);
    EXPECT_OK(plan);
    if (!plan.ok()) return false;
    // What is seen early is what a plan follows.
    EXPECT_EQ(plan->batch.followed(), plan->batch.seen_early());
    return plan->batch.seen_early();
  }
};

TEST_F(PlanEarlyTest, OnlyNewServicesAre) {
  const v1::Object volume = Parse("volume { metadata { name: 'data' } }");
  EXPECT_TRUE(IsSeenEarly({Service("web")}));
  EXPECT_TRUE(IsSeenEarly({Service("web"), Service("api")}));
  EXPECT_FALSE(IsSeenEarly({volume}));
  EXPECT_FALSE(IsSeenEarly({volume, Service("web")}));
  v1::Object old = Service("old");
  (*old.mutable_service()->mutable_metadata()->mutable_labels())["app"] =
      "shop";
  Store(old);
  EXPECT_FALSE(IsSeenEarly({Service("old", "replicas: 3")}));
  EXPECT_FALSE(IsSeenEarly({Service("old", "replicas: 3"), Service("web")}));
  EXPECT_FALSE(IsSeenEarly({Service("web")}, "shop"));
}

}  // namespace
}  // namespace bulwark::api
