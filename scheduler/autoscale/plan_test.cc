#include "scheduler/autoscale/plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <string>
#include <vector>

#include "scheduler/autoscale/world.h"
#include "scheduler/conditions.h"

namespace bulwark::scheduler {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

const v1::Condition& Of(const ScalePlan& plan, const char* type) {
  static const v1::Condition kNone;
  const v1::Condition* c = FindCondition(plan.scale.conditions(), type);
  return c == nullptr ? kNone : *c;
}

std::vector<double> Each(int count, double value) {
  return std::vector<double>(count, value);
}

TEST(PlanScaleTest, WhenNew_StartsWithTheDeclaredCountWithinTheBounds) {
  ScaleWorld world(2, 5);
  world.Cpu(50);
  EXPECT_EQ(world.Count(), 2);
  EXPECT_EQ(world.Plan().write, ScaleWrite::kDurable);
  world.view.service.mutable_spec()->set_replicas(4);
  EXPECT_EQ(world.Count(), 4);
  world.view.service.mutable_spec()->set_replicas(40);
  EXPECT_EQ(world.Count(), 5);
  world.view.service.mutable_spec()->set_replicas(0);
  EXPECT_EQ(world.Count(), 2);
}

TEST(PlanScaleTest, WhenLoadRises_GoesUpAtOnceAndSaysWhy) {
  ScaleWorld world(1, 10);
  world.Cpu(50).Has(4).Using(Each(4, 90));
  const ScalePlan plan = world.Plan();
  EXPECT_EQ(plan.scale.replicas(), 8);  // ceil(4 * 90/50)
  EXPECT_EQ(plan.scale.recommended(), 8);
  EXPECT_EQ(plan.write, ScaleWrite::kDurable);
  EXPECT_EQ(plan.scale.message(),
            "wanted 8: cpu is 90% of 50% with 4 replicas");
  ASSERT_EQ(plan.scale.metrics_size(), 1);
  EXPECT_EQ(plan.scale.metrics(0).value(), 90);
  EXPECT_EQ(plan.scale.metrics(0).recommended(), 8);
  ASSERT_EQ(plan.scale.changes_size(), 1);
  EXPECT_EQ(plan.scale.changes(0).change(), 4);
  EXPECT_EQ(ToTime(plan.scale.last_scale_time()), world.view.now);
  ASSERT_EQ(plan.events.size(), 1u);
  EXPECT_EQ(plan.events[0].reason, "Rescaled");
  EXPECT_THAT(plan.events[0].message, HasSubstr("from 4 to 8: wanted 8"));
  EXPECT_EQ(Of(plan, "AbleToScale").reason(), "SucceededRescale");
  EXPECT_EQ(Of(plan, "ScalingActive").reason(), "ValidMetricFound");
  EXPECT_EQ(Of(plan, "ScalingLimited").reason(), "DesiredWithinRange");
}

TEST(PlanScaleTest, WhenAPolicyHolds_GoesOnWhenItsPeriodIsOver) {
  ScaleWorld world(1, 100);
  world.Cpu(50).Has(2).Using(Each(2, 1000));
  const ScalePlan plan = world.Plan();
  EXPECT_EQ(plan.scale.recommended(), 40);
  EXPECT_EQ(plan.scale.replicas(), 6);  // 4 more, which is above 100 %
  EXPECT_EQ(Of(plan, "ScalingLimited").reason(), "ScaleUpLimit");
  EXPECT_THAT(plan.scale.message(),
              HasSubstr("wanted 40, got 6, because at most 100% in 15s or 4 "
                        "replicas in 15s"));
  world.Step(absl::Seconds(14));
  world.Using(Each(6, 1000));
  EXPECT_EQ(world.Step(absl::Seconds(2)), 6);
  world.Using(Each(6, 1000));
  EXPECT_EQ(world.Count(), 12);
}

TEST(PlanScaleTest, WhenLoadFalls_WaitsForTheWindow) {
  ScaleWorld world(1, 10);
  world.Cpu(50).Has(8);
  const absl::Time start = world.view.now;
  while (world.view.now < start + absl::Seconds(300)) {
    ASSERT_EQ(world.view.scale->replicas(), 8)
        << absl::FormatDuration(world.view.now - start);
    world.Using(Each(8, 10));
    EXPECT_EQ(world.Plan().scale.recommended(), 2);
    world.Step();
  }
  EXPECT_EQ(Of(world.Using(Each(8, 10)).Plan(), "AbleToScale").reason(),
            "SucceededRescale");
  EXPECT_EQ(world.Count(), 2);
}

TEST(PlanScaleTest, WhileTheWindowHolds_SaysSo) {
  ScaleWorld world(1, 10);
  world.Cpu(50).Has(8).Using(Each(8, 10));
  const ScalePlan plan = world.Plan();
  EXPECT_EQ(Of(plan, "AbleToScale").reason(), "ScaleDownStabilized");
  EXPECT_THAT(plan.scale.message(),
              HasSubstr("wanted 2, got 8, because more were wanted within the "
                        "last 5m"));
}

TEST(PlanScaleTest, WhenBoundsHold_SaysSo) {
  ScaleWorld world(2, 5);
  world.Cpu(50).Has(4).Using(Each(4, 90));
  ScalePlan plan = world.Plan();
  EXPECT_EQ(plan.scale.replicas(), 5);
  EXPECT_EQ(Of(plan, "ScalingLimited").reason(), "TooManyReplicas");
  world.Step();
  world.Using(Each(5, 90));
  plan = world.Plan();
  EXPECT_EQ(plan.scale.replicas(), 5);
  EXPECT_EQ(plan.scale.recommended(), 9);
  EXPECT_THAT(plan.scale.message(),
              HasSubstr("wanted 9, got 5, because maxReplicas is 5"));

  ScaleWorld idle(2, 5);
  idle.Window(idle.Rules().mutable_scale_down(), absl::ZeroDuration());
  idle.Cpu(50).Has(4).Using(Each(4, 0));
  plan = idle.Plan();
  EXPECT_EQ(plan.scale.recommended(), 0);
  EXPECT_EQ(plan.scale.replicas(), 2);
  EXPECT_EQ(Of(plan, "ScalingLimited").reason(), "TooFewReplicas");
}

TEST(PlanScaleTest, WhenBoundsChange_GoesIntoThemAtOnce) {
  ScaleWorld world(1, 3);
  world.Cpu(50).Has(8);
  EXPECT_EQ(world.Count(), 3);
  EXPECT_THAT(world.Plan().scale.message(), HasSubstr("maxReplicas is 3"));
  world.Rules().set_min_replicas(9);
  world.Rules().set_max_replicas(12);
  EXPECT_EQ(world.Count(), 9);
  EXPECT_EQ(world.Plan().write, ScaleWrite::kDurable);
}

TEST(PlanScaleTest, OfSeveralMetrics_TheLargestCounts) {
  ScaleWorld world(1, 10);
  world.Cpu(50).Memory(50).Connections(10).Has(2);
  world.Using(Each(2, 50)).UsingMemory({1000, 1000}).Connected({5, 5});
  const ScalePlan plan = world.Plan();
  EXPECT_EQ(plan.scale.replicas(), 4);
  ASSERT_EQ(plan.scale.metrics_size(), 3);
  EXPECT_EQ(plan.scale.metrics(0).recommended(), 2);
  EXPECT_EQ(plan.scale.metrics(1).recommended(), 4);
  EXPECT_EQ(plan.scale.metrics(2).recommended(), 1);
  EXPECT_EQ(plan.scale.message(),
            "wanted 4: cpu is 50% of 50%, memory is 100% of 50%, connections "
            "is 5 of 10 with 2 replicas");
}

TEST(PlanScaleTest, WhenAMetricIsNotKnown_OnlyGoesUp) {
  ScaleWorld world(1, 10);
  world.Window(world.Rules().mutable_scale_down(), absl::ZeroDuration());
  world.Cpu(50).Connections(10).Has(4).Using(Each(4, 10));
  ScalePlan plan = world.Plan();
  EXPECT_EQ(plan.scale.replicas(), 4);
  EXPECT_EQ(Of(plan, "ScalingActive").reason(), "FailedGetMetric");
  EXPECT_THAT(Of(plan, "ScalingActive").message(),
              AllOf(HasSubstr("connections is not known"),
                    HasSubstr("not scaled down meanwhile")));
  world.Using(Each(4, 100));
  EXPECT_EQ(world.Count(), 8);
  // The downward way is free again once it is known.
  world.Using(Each(4, 10)).Connected(Each(4, 1));
  EXPECT_EQ(world.Count(), 1);
}

TEST(PlanScaleTest, WhenNothingIsKnown_StaysAndRemembersNothing) {
  ScaleWorld world(1, 10);
  world.Cpu(50).Has(4);
  const ScalePlan plan = world.Plan();
  EXPECT_EQ(plan.scale.replicas(), 4);
  EXPECT_EQ(plan.scale.recommendations_size(), 1);
  EXPECT_THAT(plan.scale.message(),
              HasSubstr("stays at 4: cpu is not known (no replica has been "
                        "measured long enough)"));
}

TEST(PlanScaleTest, WhenAMetricGetsLost_WarnsOnce) {
  ScaleWorld world(1, 10);
  world.Cpu(50).Has(2).Using(Each(2, 50));
  world.Step();
  ScalePlan plan = world.Plan();
  ASSERT_EQ(plan.events.size(), 1u);
  EXPECT_EQ(plan.events[0].reason, "FailedGetMetric");
  EXPECT_EQ(plan.events[0].severity, v1::Event::WARNING);
  world.Step();
  EXPECT_THAT(world.Plan().events, IsEmpty());
}

TEST(PlanScaleTest, WhenReplicasStart_TheirCpuDoesNotCount) {
  ScaleWorld world(1, 10);
  world.Cpu(50).Has(2);
  world.Add(absl::Seconds(5), false);
  // The burst of a start: without the rule ceil(3 * 140/50) = 9.
  world.Using({60, 60, 300});
  EXPECT_EQ(world.Plan().scale.metrics(0).unready(), 1);
  EXPECT_EQ(world.Count(), 2);
  // Ready, but measured from before.
  world.view.replicas[2].mutable_status()->set_ready(true);
  SetTime(world.view.replicas[2].mutable_status()->mutable_ready_time(),
          world.view.now - absl::Seconds(3));
  EXPECT_EQ(world.Plan().scale.metrics(0).unready(), 1);
  SetTime(world.view.replicas[2].mutable_status()->mutable_ready_time(),
          world.view.now - absl::Seconds(6));
  EXPECT_EQ(world.Plan().scale.metrics(0).unready(), 0);
}

TEST(PlanScaleTest, WhenAReplicaIsNotReadyForLong_CountsOnlyIfItWasOnce) {
  ScaleWorld world(1, 10);
  world.Cpu(50).Has(2);
  world.Add(absl::Minutes(2), false);
  world.Using({60, 60, 300});
  EXPECT_EQ(world.Plan().scale.metrics(0).unready(), 1);
  // Overload has taken it out: that is load too.
  world.view.were_ready.insert("uid2");
  EXPECT_EQ(world.Plan().scale.metrics(0).unready(), 0);
}

TEST(PlanScaleTest, WhatLeavesOrHasEnded_DoesNotCount) {
  ScaleWorld world(1, 10);
  world.Cpu(50).Has(2);
  world.Add(absl::Hours(1), true)
      .mutable_spec()
      ->set_goal(v1::ReplicaSpec::STOP);
  world.Add(absl::Hours(1), false)
      .mutable_status()
      ->set_state(v1::ReplicaStatus::FAILED);
  world.Add(absl::ZeroDuration(), false)
      .mutable_status()
      ->set_state(v1::ReplicaStatus::PENDING);
  world.Using({50, 50, 1000, 1000});
  const v1::MetricSample sample = world.Plan().scale.metrics(0);
  EXPECT_EQ(sample.value(), 50);
  EXPECT_EQ(sample.missing(), 0);
  EXPECT_EQ(sample.unready(), 1);
}

TEST(PlanScaleTest, WhenASidecarIsNotMeasured_TheReplicaIsMissing) {
  ScaleWorld world(1, 10);
  v1::Container& sidecar = *world.view.service.mutable_spec()->add_sidecars();
  sidecar.set_name("log");
  sidecar.mutable_resources()->mutable_cpu()->set_limit(100);
  world.Cpu(50).Has(1).Using({100});
  EXPECT_EQ(world.Plan().scale.metrics(0).missing(), 1);
  world.LoadOfReplica(0).cpu_millicores["log"] = 100;
  EXPECT_EQ(world.Plan().scale.metrics(0).value(), 100);
}

TEST(PlanScaleTest, WhenTheHostIsFull_SaysWantedAndGot) {
  ScaleWorld world(1, 10);
  world.Cpu(50).Has(3).Using(Each(3, 100));
  world.view.capacity = CapacityFor({100, 0}, {1600, 0}, {2000, 0});
  ScalePlan plan = world.Plan();
  EXPECT_EQ(plan.scale.replicas(), 4);
  EXPECT_EQ(Of(plan, "ScalingLimited").reason(), "NodeCapacity");
  EXPECT_THAT(
      plan.scale.message(),
      HasSubstr("wanted 6, got 4, because each requests 100m of cpu, and "
                "others request 1600m of the host's 2000m"));
  // Never takes away what runs.
  world.view.capacity = CapacityFor({100, 0}, {1900, 0}, {2000, 0});
  EXPECT_EQ(world.Count(), 3);
}

TEST(PlanScaleTest, WhenStopped_StaysAsItIs) {
  ScaleWorld world(1, 10);
  world.Cpu(50).Has(4).Using(Each(4, 100));
  world.view.service.mutable_spec()->set_stopped(true);
  const ScalePlan plan = world.Plan();
  EXPECT_EQ(plan.scale.replicas(), 4);
  EXPECT_EQ(Of(plan, "ScalingActive").reason(), "Stopped");
}

TEST(PlanScaleTest, WhenNothingChanges_WritesNothing) {
  ScaleWorld world(1, 10);
  world.Cpu(50).Has(4).Using(Each(4, 50));
  world.Step();
  int writes = 0;
  for (int i = 0; i < 100; ++i) {
    world.Using(Each(4, 50));
    writes += world.Plan().write != ScaleWrite::kNone;
    world.Step();
  }
  EXPECT_EQ(writes, 0);
}

TEST(PlanScaleTest, WhenOnlyValuesMove_WritesNowAndThenAndNeverDurably) {
  ScaleWorld world(1, 10);
  world.Cpu(50).Has(4).Using(Each(4, 50));
  world.Step();
  int writes = 0;
  for (int i = 0; i < 100; ++i) {
    world.Using(Each(4, 48 + i % 5));
    const ScalePlan plan = world.Plan();
    EXPECT_NE(plan.write, ScaleWrite::kDurable);
    if (plan.write != ScaleWrite::kNone) {
      ++writes;
      world.view.scale = plan.scale;
    }
    world.view.now += absl::Seconds(2);
    world.Has(4);
  }
  EXPECT_LE(writes, 21);
  EXPECT_GE(writes, 10);
}

// Properties, over random loads, bounds and rules.
class RandomScaleTest : public ::testing::TestWithParam<int> {
 protected:
  std::mt19937 random_{static_cast<unsigned>(GetParam())};
  int Next(int low, int high) {
    return std::uniform_int_distribution<int>(low, high)(random_);
  }
};

TEST_P(RandomScaleTest, StaysInTheBoundsAndIsNeverFasterThanItsPolicies) {
  const int min = Next(1, 5), max = min + Next(0, 20);
  ScaleWorld world(min, max);
  world.Cpu(Next(20, 90)).Has(Next(min, max));
  const int up = Next(1, 4), down = Next(1, 4);
  const absl::Duration period = absl::Seconds(Next(5, 40));
  world.Policy(world.Rules().mutable_scale_up(), up, 0, period);
  world.Policy(world.Rules().mutable_scale_down(), down, 0, period);
  world.Window(world.Rules().mutable_scale_down(), absl::Seconds(Next(0, 30)));
  world.Window(world.Rules().mutable_scale_up(), absl::Seconds(Next(0, 30)));
  struct Point {
    absl::Time time;
    int count;
  };
  std::vector<Point> points = {{world.view.now, world.view.scale->replicas()}};
  for (int i = 0; i < 300; ++i) {
    std::vector<double> use;
    for (int r = 0; r < world.view.scale->replicas(); ++r) {
      use.push_back(Next(-20, 200));  // some are not known
    }
    world.Using(use);
    const absl::Time decided = world.view.now;
    const int count = world.Step(absl::Seconds(Next(1, 5)));
    ASSERT_GE(count, min);
    ASSERT_LE(count, max);
    points.push_back({decided, count});
    int least = count, largest = count;
    for (size_t p = points.size() - 1; p-- > 0;) {
      // What held at the start of a period that ends with this decision.
      least = std::min(least, points[p].count);
      largest = std::max(largest, points[p].count);
      if (points[p].time <= decided - period) break;
    }
    // What a period removes may come back in it, and the other way round.
    ASSERT_LE(count - largest, up);
    ASSERT_LE(least - count, down);
  }
}

TEST_P(RandomScaleTest, WhenNoiseIsWithinTheTolerance_NeverScales) {
  ScaleWorld world(1, 50);
  const int count = Next(1, 20);
  world.Cpu(100).Has(count);
  world.Window(world.Rules().mutable_scale_down(), absl::ZeroDuration());
  for (int i = 0; i < 200; ++i) {
    std::vector<double> use;
    for (int r = 0; r < count; ++r) use.push_back(Next(90, 110));
    world.Using(use);
    ASSERT_EQ(world.Step(), count);
  }
}

// Under a load that replicas share, it comes to rest, and at a count that
// carries the load.
TEST_P(RandomScaleTest, WhenLoadIsSteady_ComesToRest) {
  ScaleWorld world(1, 60);
  world.Window(world.Rules().mutable_scale_down(), absl::Seconds(20));
  const double load = Next(10, 2500), target = Next(30, 90);
  world.Cpu(static_cast<int>(target)).Has(Next(1, 60));
  int last = 0, changes = 0;
  for (int i = 0; i < 200; ++i) {
    const int count = world.view.scale->replicas();
    world.Using(Each(count, load / count));
    const int next = world.Step();
    if (i > 100 && next != last) ++changes;
    last = next;
  }
  EXPECT_EQ(changes, 0);
  const double use = load / last;
  if (last < 60) {
    EXPECT_LE(use, target * 1.1 + 0.01);
  }
  if (last > 1) {
    EXPECT_GT(load / (last - 1), target * 0.9);
  }
}

INSTANTIATE_TEST_SUITE_P(Seeds, RandomScaleTest, ::testing::Range(1, 40));

}  // namespace
}  // namespace bulwark::scheduler
