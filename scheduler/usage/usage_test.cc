#include "scheduler/usage/usage.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

namespace bulwark::scheduler {
namespace {

using ::testing::DoubleNear;
using ::testing::IsEmpty;

// One replica "u" with one container, at second `at`.
UsageSamplePtr Sample(double at, double cpu_seconds,
                      const std::string& id = "c") {
  auto sample = std::make_shared<UsageSample>();
  sample->steady = absl::Seconds(at);
  sample->time = absl::UnixEpoch() + absl::Seconds(at);
  ReplicaUsage replica;
  replica.uid = "u";
  replica.connections = 7;
  ContainerUsage container{id, "web", {}};
  container.stats.cpu_usage = absl::Seconds(cpu_seconds);
  container.stats.memory_bytes = 100;
  replica.containers.push_back(container);
  sample->replicas.push_back(replica);
  return sample;
}

double Cpu(const std::vector<UsageSamplePtr>& samples) {
  auto loads = LoadsOf(samples, samples.back()->steady);
  const auto& cpu = loads["u"].cpu_millicores;
  return cpu.contains("web") ? cpu.at("web") : -1;
}

TEST(LoadsOfTest, TellsTheMeanOverTheWindow) {
  EXPECT_THAT(Cpu({Sample(10, 1), Sample(12, 2)}), DoubleNear(500, 0.01));
  EXPECT_THAT(Cpu({Sample(10, 1), Sample(12, 2), Sample(14, 5)}),
              DoubleNear(1000, 0.01));
  // What is older than the window is forgotten.
  EXPECT_THAT(Cpu({Sample(1, 0), Sample(10, 1), Sample(12, 2)}),
              DoubleNear(500, 0.01));
}

TEST(LoadsOfTest, WhenSeenOnce_CpuIsNotKnownButTheRestIs) {
  auto loads = LoadsOf({Sample(10, 1)}, absl::Seconds(11));
  ASSERT_EQ(loads.size(), 1u);
  EXPECT_THAT(loads["u"].cpu_millicores, IsEmpty());
  EXPECT_EQ(loads["u"].window, absl::ZeroDuration());
  EXPECT_EQ(loads["u"].memory_bytes["web"], 100);
  EXPECT_EQ(loads["u"].connections, 7.0);
  // Nor from two samples that are next to each other.
  EXPECT_EQ(Cpu({Sample(10, 1), Sample(10.1, 2)}), -1);
}

TEST(LoadsOfTest, WhenTheContainerIsAnother_CountsAnew) {
  EXPECT_EQ(Cpu({Sample(10, 100), Sample(12, 1, "other")}), -1);
  EXPECT_THAT(
      Cpu({Sample(10, 100), Sample(12, 1, "other"), Sample(14, 2, "other")}),
      DoubleNear(500, 0.01));
  // A counter that went back says nothing.
  EXPECT_EQ(Cpu({Sample(10, 100), Sample(12, 1)}), -1);
}

TEST(LoadsOfTest, WhenSamplesAreOld_NothingIsKnown) {
  EXPECT_THAT(LoadsOf({}, absl::Seconds(1)), IsEmpty());
  EXPECT_THAT(LoadsOf({Sample(10, 1), Sample(12, 2)}, absl::Seconds(19)),
              IsEmpty());
}

}  // namespace
}  // namespace bulwark::scheduler
