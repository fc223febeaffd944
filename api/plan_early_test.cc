// Which applies may be seen before the disk has them: whatever has effects that
// outlive the machine waits.
#include <gtest/gtest.h>

#include "api/plan.h"
#include "base/testing/fake_clock.h"
#include "base/testing/status_matchers.h"
#include "google/protobuf/text_format.h"
#include "store/objects.h"

namespace bulwark::api {
namespace {

v1::Object Parse(const std::string& text) {
  v1::Object object;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &object))
      << text;
  return object;
}

v1::Object Service(const std::string& name, int replicas) {
  v1::Object object = Parse("service { spec { containers { image: 'a:1' } } }");
  object.mutable_service()->mutable_metadata()->set_name(name);
  object.mutable_service()->mutable_spec()->set_replicas(replicas);
  return object;
}

class PlanEarlyTest : public ::testing::Test {
 protected:
  absl::StatusOr<ApplyPlan> Plan(const std::vector<v1::Object>& objects,
                                 const std::string& prune = "") {
    v1::ApplyRequest request;
    for (const v1::Object& object : objects) *request.add_objects() = object;
    if (!prune.empty()) (*request.mutable_prune_labels())["app"] = prune;
    return PlanApply(request,
                     {stored_, normalize_, {}, clock_.Now(), entropy_});
  }
  bool IsSeenEarly(const std::vector<v1::Object>& objects,
                   const std::string& prune = "") {
    const auto plan = Plan(objects, prune);
    EXPECT_OK(plan);
    return plan.ok() && plan->batch.seen_early();
  }
  void Store(const v1::Object& object) {
    const auto plan = Plan({object});
    ASSERT_OK(plan);
    v1::Object stored = plan->response.results(0).object();
    store::MutableMetadata(stored).set_resource_version("7");
    stored_.objects[store::KeyOf(stored)] = stored;
  }

  testing::FakeClock clock_;
  SeededEntropy entropy_{1};
  NormalizeReference normalize_ = [](absl::string_view text) {
    return std::string(text);
  };
  StoredObjects stored_;
};

TEST_F(PlanEarlyTest, OnlyNewServicesAre) {
  const v1::Object volume = Parse("volume { metadata { name: 'data' } }");
  EXPECT_TRUE(IsSeenEarly({Service("web", 1)}));
  EXPECT_TRUE(IsSeenEarly({Service("web", 1), Service("api", 2)}));
  EXPECT_FALSE(IsSeenEarly({volume}));
  EXPECT_FALSE(IsSeenEarly({volume, Service("web", 1)}));
  v1::Object old = Service("old", 1);
  (*old.mutable_service()->mutable_metadata()->mutable_labels())["app"] =
      "shop";
  Store(old);
  EXPECT_FALSE(IsSeenEarly({Service("old", 3)}));
  EXPECT_FALSE(IsSeenEarly({Service("old", 3), Service("web", 1)}));
  EXPECT_FALSE(IsSeenEarly({Service("web", 1)}, "shop"));
}

}  // namespace
}  // namespace bulwark::api
