#include "tests/sim/sim.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <string>

#include "absl/strings/numbers.h"

namespace bulwark::sim {
namespace {

// SEEDS: how many histories. SEED: the first of them; with SEEDS=1 it replays
// a failure.
int FromEnvironment(const char* name, int otherwise) {
  const char* value = std::getenv(name);
  int number = 0;
  return value != nullptr && absl::SimpleAtoi(value, &number) ? number
                                                              : otherwise;
}

TEST(SimulationTest, WhenHistoriesAreRandom_TheInvariantsHold) {
  const int first = FromEnvironment("SEED", 1);
  const int seeds = FromEnvironment("SEEDS", 200);
  Coverage coverage;
  for (int seed = first; seed < first + seeds; ++seed) {
    const std::string violation = RunHistory(seed, coverage);
    ASSERT_EQ(violation, "") << "replay with SEED=" << seed << " SEEDS=1";
  }
  for (const auto& [what, count] : coverage) {
    std::printf("%8d  %s\n", count, what.c_str());
  }
  if (seeds < 100) return;
  for (const char* fault :
       {"container crash", "start refused", "start delayed", "pull failure",
        "commit failure", "daemon crash", "daemon crash in the middle",
        "reboot", "lingering connections", "bad rollout", "rollback", "delete",
        "scale", "stop or start", "autoscaled"}) {
    EXPECT_GT(coverage[fault], 0) << fault;
  }
}

TEST(SimulationTest, WhenTheSeedIsTheSame_SoIsTheHistory) {
  Coverage a, b;
  EXPECT_EQ(RunHistory(42, a), RunHistory(42, b));
  EXPECT_EQ(a, b);
}

// A simulator that cannot find a planted bug would not find a real one.
struct Planted {
  scheduler::PlannerBug bug;
  const char* found;  // in the violation's text
};

class PlantedBugTest : public ::testing::TestWithParam<Planted> {};

TEST_P(PlantedBugTest, IsFoundWithin500Seeds) {
  Coverage coverage;
  std::string last;
  for (int seed = 1; seed <= 500; ++seed) {
    const std::string violation = RunHistory(seed, coverage, GetParam().bug);
    if (violation.empty()) continue;
    last = violation;
    if (violation.find(GetParam().found) != std::string::npos) return;
  }
  FAIL() << "not found; last: " << last;
}

INSTANTIATE_TEST_SUITE_P(
    Bugs, PlantedBugTest,
    ::testing::Values(
        Planted{scheduler::PlannerBug::kIgnoresUnavailable, "was stopped ("},
        Planted{scheduler::PlannerBug::kDoublesSlots, "is held twice"},
        Planted{scheduler::PlannerBug::kForgetsSurge, " replicas of "},
        Planted{scheduler::PlannerBug::kNeverRollsBack, "is not rolled back"}));

}  // namespace
}  // namespace bulwark::sim
