#include "scheduler/shutdown.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace bulwark::scheduler {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST(StopNextTest, WhenAChainLives_TheDependentGoesFirst) {
  const DependencyGraph graph = {{"web", {"app"}}, {"app", {"db"}}, {"db", {}}};
  EXPECT_THAT(StopNext(graph, {"web", "app", "db"}), ElementsAre("web"));
  EXPECT_THAT(StopNext(graph, {"app", "db"}), ElementsAre("app"));
  EXPECT_THAT(StopNext(graph, {"db"}), ElementsAre("db"));
}

TEST(StopNextTest, WhenTheMiddleHasNoReplicas_TheOrderHoldsOverIt) {
  const DependencyGraph graph = {{"web", {"app"}}, {"app", {"db"}}, {"db", {}}};
  EXPECT_THAT(StopNext(graph, {"web", "db"}), ElementsAre("web"));
}

TEST(StopNextTest, WhenIndependent_AllGoAtOnce) {
  EXPECT_THAT(StopNext({{"a", {}}, {"b", {}}}, {"a", "b"}),
              ElementsAre("a", "b"));
}

TEST(StopNextTest, WhenCyclic_AllOfTheCycleGo) {
  EXPECT_THAT(StopNext({{"a", {"b"}}, {"b", {"a"}}}, {"a", "b"}),
              ElementsAre("a", "b"));
}

TEST(StopNextTest, WhenNothingLives_IsEmpty) {
  EXPECT_THAT(StopNext({{"a", {}}}, {}), IsEmpty());
}

}  // namespace
}  // namespace bulwark::scheduler
