// Plans of applies and deletions over what the test says is stored.
#ifndef API_TESTING_PLAN_FIXTURE_H_
#define API_TESTING_PLAN_FIXTURE_H_

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "api/plan.h"
#include "base/testing/fake_clock.h"
#include "base/testing/status_matchers.h"
#include "google/protobuf/text_format.h"
#include "store/objects.h"

namespace bulwark::api {

inline v1::Object Parse(const std::string& text) {
  v1::Object object;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &object))
      << text;
  return object;
}

inline v1::Object Service(const std::string& name,
                          const std::string& rest = "") {
  return Parse("service { metadata { name: '" + name +
               "' } spec { containers { image: 'a:1' } " + rest + " } }");
}

class PlanTest : public ::testing::Test {
 protected:
  // As a controller would find it: applied, with a version.
  void Store(const v1::Object& object) {
    v1::ApplyRequest request;
    *request.add_objects() = object;
    const auto plan = Plan(request);
    ASSERT_OK(plan);
    StoreAsIs(plan->response.results(0).object());
  }
  // With what only bulwarkd writes: status, owner.
  void StoreAsIs(v1::Object object) {
    store::MutableMetadata(object).set_resource_version("7");
    stored_.objects[store::KeyOf(object)] = object;
  }

  absl::StatusOr<ApplyPlan> Plan(const v1::ApplyRequest& request) {
    v1::Identity caller;
    caller.set_name("alice");
    PlanContext context{stored_, normalize_, caller, clock_.Now(), entropy_};
    context.host_memory = host_memory_;
    return PlanApply(request, context);
  }
  absl::StatusOr<ApplyPlan> Plan(const std::vector<v1::Object>& objects) {
    v1::ApplyRequest request;
    for (const v1::Object& object : objects) *request.add_objects() = object;
    return Plan(request);
  }
  absl::StatusOr<DeletePlan> Remove(const std::string& kind,
                                    const std::string& name) {
    v1::DeleteRequest request;
    request.add_objects()->set_kind(kind);
    request.mutable_objects(0)->set_name(name);
    return PlanDelete(request,
                      {stored_, normalize_, {}, clock_.Now(), entropy_});
  }

  testing::FakeClock clock_;
  int64_t host_memory_ = 0;  // bytes; 0: not known
  SeededEntropy entropy_{1};
  NormalizeReference normalize_ = [](absl::string_view text) {
    return std::string(text);
  };
  StoredObjects stored_;
};

}  // namespace bulwark::api

#endif  // API_TESTING_PLAN_FIXTURE_H_
