#include "scheduler/autoscale/controller.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/entropy.h"
#include "base/testing/fake_clock.h"
#include "base/testing/status_matchers.h"
#include "scheduler/times.h"
#include "store/mem/mem_store.h"
#include "store/objects.h"

namespace bulwark::scheduler {
namespace {

using ::bulwark::testing::FakeClock;
using ::bulwark::testing::StatusIs;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr char kKey[] = "default/web";
constexpr int kLongAgo = 3600;

class AutoscaleControllerTest : public ::testing::Test {
 protected:
  AutoscaleControllerTest() { Restart(); }

  // Everything in the daemon's memory is lost.
  void Restart() {
    controller_ = std::make_unique<AutoscaleController>(
        store_, clock_, entropy_, events_, [this] { return samples_; },
        [this](const std::string& key) { changed_.push_back(key); });
  }

  void Put(const v1::Object& object) {
    ASSERT_OK(store_.Commit(
        store::Batch().Put(store::KeyOf(object), store::Encode(object))));
  }
  // Between 1 and 10 replicas at 50 % of 100m.
  void Declare(const std::string& uid = "service",
               const std::string& name = "web") {
    v1::Object object;
    v1::Service& service = *object.mutable_service();
    service.mutable_metadata()->set_name(name);
    service.mutable_metadata()->set_uid(uid);
    v1::ServiceSpec& spec = *service.mutable_spec();
    spec.set_replicas(2);
    v1::Container& c = *spec.add_containers();
    c.set_name("web");
    c.mutable_resources()->mutable_cpu()->set_request(100);
    spec.mutable_autoscale()->set_max_replicas(10);
    spec.mutable_autoscale()->add_metrics()->set_cpu(50);
    service_ = object;
    Put(object);
  }

  // Replicas 0 to count - 1 run, and use so much of a core each.
  // A second service's join those of the same samples.
  void Run(int count, double cores, const std::string& uid = "service",
           const std::string& name = "web") {
    const std::vector<UsageSamplePtr> before = std::move(samples_);
    samples_.clear();
    for (int s = 0; s < 2; ++s) {
      auto sample = std::make_shared<UsageSample>();
      sample->steady = clock_.Steady() - absl::Seconds(2 - 2 * s);
      sample->time = clock_.Now() - absl::Seconds(2 - 2 * s);
      sample->node = node_;
      if (name != "web") sample->replicas = before[s]->replicas;
      for (int i = 0; i < count; ++i) {
        ReplicaUsage usage;
        usage.uid = absl::StrCat(name, i);
        ContainerUsage container{absl::StrCat("c", i), "web", {}};
        container.stats.cpu_usage = absl::Seconds(2 * s * cores);
        usage.containers.push_back(container);
        sample->replicas.push_back(usage);
      }
      samples_.push_back(sample);
    }
    for (int i = 0; i < count; ++i) {
      v1::Object object;
      v1::Replica& r = *object.mutable_replica();
      r.mutable_metadata()->set_name(absl::StrCat(name, "-", i, "-x"));
      r.mutable_metadata()->set_uid(absl::StrCat(name, i));
      r.mutable_spec()->set_service(name);
      r.mutable_spec()->set_service_uid(uid);
      r.mutable_spec()->set_goal(v1::ReplicaSpec::RUN);
      r.mutable_status()->set_state(v1::ReplicaStatus::RUNNING);
      r.mutable_status()->set_ready(true);
      const absl::Time then = clock_.Now() - absl::Seconds(kLongAgo);
      SetTime(r.mutable_status()->mutable_start_time(), then);
      SetTime(r.mutable_status()->mutable_ready_time(), then);
      Put(object);
    }
  }

  void Reconcile() { ASSERT_OK(controller_->Reconcile(kKey)); }
  int CountOf(const std::string& name) {
    auto object = store::GetObject(store_, store::ObjectKey("scale", "", name));
    return object.ok() ? object->scale().replicas() : -1;
  }
  absl::StatusOr<v1::Object> Stored() {
    return store::GetObject(store_, store::ObjectKey("scale", "", "web"));
  }
  int Count() {
    auto object = Stored();
    return object.ok() ? object->scale().replicas() : -1;
  }

  FakeClock clock_;
  store::MemStore store_{clock_};
  SeededEntropy entropy_{1};
  EventRecorder events_{store_, clock_, entropy_};
  std::optional<NodeUsage> node_;
  std::vector<UsageSamplePtr> samples_;
  std::vector<std::string> changed_;
  v1::Object service_;
  std::unique_ptr<AutoscaleController> controller_;
};

TEST_F(AutoscaleControllerTest, RecordsTheFirstCountThenFollowsTheLoad) {
  Declare();
  Run(2, 0.05);
  Reconcile();
  ASSERT_OK_AND_ASSIGN(v1::Object object, Stored());
  EXPECT_EQ(object.scale().replicas(), 2);
  EXPECT_EQ(object.scale().service_uid(), "service");
  EXPECT_NE(object.scale().metadata().uid(), "");
  EXPECT_THAT(changed_, ElementsAre(kKey));

  Run(2, 0.1);
  Reconcile();
  EXPECT_EQ(Count(), 4);
  EXPECT_THAT(changed_, ElementsAre(kKey, kKey));
}

TEST_F(AutoscaleControllerTest, WhenNothingChanges_WritesNothing) {
  Declare();
  Run(2, 0.05);
  Reconcile();
  Reconcile();
  ASSERT_OK_AND_ASSIGN(v1::Object before, Stored());
  for (int i = 0; i < 50; ++i) {
    clock_.Advance(absl::Seconds(2));
    Run(2, 0.05);
    Reconcile();
  }
  ASSERT_OK_AND_ASSIGN(v1::Object after, Stored());
  EXPECT_EQ(before.scale().metadata().resource_version(),
            after.scale().metadata().resource_version());
}

// Decisions with a restart in between are those without.
TEST_F(AutoscaleControllerTest, WhenTheDaemonRestarts_TheWindowGoesOn) {
  Declare();
  Run(8, 0.05);
  service_.mutable_service()->mutable_spec()->set_replicas(8);
  Put(service_);
  Reconcile();
  ASSERT_EQ(Count(), 8);
  const absl::Time start = clock_.Now();
  while (clock_.Now() < start + absl::Seconds(300)) {
    Run(8, 0.01);
    if (clock_.Now() > start + absl::Seconds(200)) Restart();
    Reconcile();
    ASSERT_EQ(Count(), 8) << absl::FormatDuration(clock_.Now() - start);
    clock_.Advance(absl::Seconds(2));
  }
  Run(8, 0.01);
  Reconcile();
  EXPECT_EQ(Count(), 2);
}

TEST_F(AutoscaleControllerTest, AfterAStart_WaitsForSamples) {
  Declare();
  ASSERT_OK_AND_ASSIGN(Result result, controller_->Reconcile(kKey));
  EXPECT_TRUE(result.requeue_after.has_value());
  EXPECT_EQ(Count(), -1);
  Run(2, 0.05);
  samples_.pop_back();
  Reconcile();
  EXPECT_EQ(Count(), -1);
}

TEST_F(AutoscaleControllerTest, WhenAutoscaleIsTakenOut_ForgetsTheRecord) {
  Declare();
  Run(2, 0.05);
  Reconcile();
  changed_.clear();
  service_.mutable_service()->mutable_spec()->clear_autoscale();
  Put(service_);
  Reconcile();
  EXPECT_THAT(Stored(), StatusIs(absl::StatusCode::kNotFound));
  EXPECT_THAT(changed_, ElementsAre(kKey));
  Reconcile();
  EXPECT_EQ(changed_.size(), 1u);
}

TEST_F(AutoscaleControllerTest, WhenTheServiceIsAnotherOne_StartsAnew) {
  Declare();
  Run(2, 0.1);
  Reconcile();
  Reconcile();
  ASSERT_EQ(Count(), 4);
  ASSERT_OK_AND_ASSIGN(v1::Object first, Stored());
  Declare("another");
  Run(2, 0.05, "another");
  Reconcile();
  EXPECT_EQ(Count(), 2);
  ASSERT_OK_AND_ASSIGN(v1::Object second, Stored());
  EXPECT_EQ(second.scale().service_uid(), "another");
  EXPECT_NE(first.scale().metadata().uid(), second.scale().metadata().uid());
  // And goes with it.
  ASSERT_OK(store_.Commit(
      store::Batch().Delete(store::ObjectKey("service", "", "web"))));
  Reconcile();
  EXPECT_THAT(Stored(), StatusIs(absl::StatusCode::kNotFound));
}

TEST_F(AutoscaleControllerTest, WhenOthersRequestTheHost_StopsThere) {
  Declare();
  v1::Object other;
  other.mutable_service()->mutable_metadata()->set_name("db");
  other.mutable_service()->mutable_metadata()->set_uid("db");
  other.mutable_service()->mutable_spec()->set_replicas(2);
  other.mutable_service()
      ->mutable_spec()
      ->add_containers()
      ->mutable_resources()
      ->mutable_cpu()
      ->set_limit(800);
  Put(other);
  node_.emplace();
  node_->cpu_millicores = 2000;
  Run(2, 0.05);
  Reconcile();
  Run(2, 0.3);
  Reconcile();
  EXPECT_EQ(Count(), 4);
  ASSERT_OK_AND_ASSIGN(v1::Object object, Stored());
  EXPECT_THAT(object.scale().message(),
              ::testing::HasSubstr("wanted 12, got 4, because each requests "
                                   "100m of cpu, and others request 1600m"));
}

// What others ask for is read once for each sample.
TEST_F(AutoscaleControllerTest, WhenTwoDecideAtOneSample_TheHostIsGivenOnce) {
  node_.emplace();
  node_->cpu_millicores = 800;
  Declare();
  Declare("api", "api");
  const auto decide = [&](double cores) {
    Run(2, cores);
    Run(2, cores, "api", "api");
    Reconcile();
    ASSERT_OK(controller_->Reconcile("default/api"));
  };
  decide(0.05);
  EXPECT_EQ(CountOf("web"), 2);
  EXPECT_EQ(CountOf("api"), 2);
  decide(0.3);
  EXPECT_EQ(CountOf("web"), 6);
  EXPECT_EQ(CountOf("api"), 2);
}

TEST_F(AutoscaleControllerTest, WhenTheServiceIsDeleted_DecidesNothing) {
  Declare();
  Run(2, 0.05);
  SetTime(service_.mutable_service()->mutable_metadata()->mutable_delete_time(),
          clock_.Now());
  Put(service_);
  Reconcile();
  EXPECT_EQ(Count(), -1);
  EXPECT_THAT(changed_, IsEmpty());
}

}  // namespace
}  // namespace bulwark::scheduler
