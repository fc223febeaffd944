#include "base/graph.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace bulwark {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST(SortTopologicallyTest, WhenAcyclic_DependenciesComeFirst) {
  const TopologicalOrder result = SortTopologically(
      {{"web", {"app"}}, {"app", {"db", "cache"}}, {"db", {}}, {"cache", {}}});
  EXPECT_THAT(result.order, ElementsAre("cache", "db", "app", "web"));
  EXPECT_THAT(result.cycle, IsEmpty());
}

TEST(SortTopologicallyTest, WhenDependencyIsUnknown_IsIgnored) {
  const TopologicalOrder result = SortTopologically({{"a", {"elsewhere"}}});
  EXPECT_THAT(result.order, ElementsAre("a"));
  EXPECT_THAT(result.cycle, IsEmpty());
}

TEST(SortTopologicallyTest, WhenDependencyIsNamedTwice_IsCountedTwice) {
  EXPECT_THAT(SortTopologically({{"a", {"b", "b"}}, {"b", {}}}).order,
              ElementsAre("b", "a"));
}

TEST(SortTopologicallyTest, WhenNodeNeedsItself_IsACycle) {
  EXPECT_THAT(SortTopologically({{"a", {"a"}}}).cycle, ElementsAre("a", "a"));
}

TEST(SortTopologicallyTest, WhenCyclic_NamesTheCycleAndOrdersTheRest) {
  // "x" only leads into the cycle.
  const TopologicalOrder result = SortTopologically(
      {{"a", {"x", "b"}}, {"b", {"c"}}, {"c", {"b"}}, {"x", {}}, {"y", {"x"}}});
  EXPECT_THAT(result.order, ElementsAre("x", "y"));
  EXPECT_THAT(result.cycle, ElementsAre("b", "c", "b"));
}

TEST(SortTopologicallyTest, WhenEmpty_IsEmpty) {
  EXPECT_THAT(SortTopologically({}).order, IsEmpty());
}

}  // namespace
}  // namespace bulwark
