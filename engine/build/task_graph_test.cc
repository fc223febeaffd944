#include "engine/build/task_graph.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "base/testing/status_matchers.h"

namespace bulwark::engine::build {
namespace {

using ::bulwark::testing::StatusIs;
using ::testing::ElementsAre;
using ::testing::UnorderedElementsAre;

// Notes the order of what ran.
class RunGraphTest : public ::testing::Test {
 protected:
  absl::Status Note(size_t task) {
    absl::MutexLock lock(&mu_);
    order_.push_back(task);
    return absl::OkStatus();
  }
  absl::Mutex mu_;
  std::vector<size_t> order_;
  int failures_ = 0;
  const std::function<void()> on_failure_ = [this] { ++failures_; };
};

TEST_F(RunGraphTest, WhenOneAtATime_RunsInTheOrderOfNeeds) {
  EXPECT_OK(RunGraph(
      {{0, {2}}, {1, {}}, {2, {1}}}, 1, [this](size_t i) { return Note(i); },
      on_failure_));
  EXPECT_THAT(order_, ElementsAre(1, 2, 0));
}

TEST_F(RunGraphTest, WhenIndependent_RunsSideBySide) {
  absl::Notification first;
  absl::Notification second;
  EXPECT_OK(RunGraph(
      {{0, {}}, {1, {}}, {2, {0, 1}}}, 2,
      [&](size_t i) {
        // Each waits for the other.
        if (i == 0) first.Notify();
        if (i == 1) second.Notify();
        first.WaitForNotification();
        second.WaitForNotification();
        return Note(i);
      },
      on_failure_));
  EXPECT_THAT(order_, UnorderedElementsAre(0, 1, 2));
  EXPECT_EQ(order_.back(), 2);
  EXPECT_EQ(failures_, 0);
}

TEST_F(RunGraphTest, WhenOneFails_NothingElseBeginsAndTheOthersAreTold) {
  absl::Notification failed;
  const std::function<void()> on_failure = [&] { failed.Notify(); };
  EXPECT_THAT(RunGraph(
                  {{0, {}}, {1, {}}, {2, {0}}, {3, {1}}}, 2,
                  [&](size_t i) -> absl::Status {
                    if (i == 0) return absl::DataLossError("first");
                    failed.WaitForNotification();
                    return absl::CancelledError("told to end");
                  },
                  on_failure),
              StatusIs(absl::StatusCode::kDataLoss));
}

TEST_F(RunGraphTest, WhenTasksNeedEachOther_SaysSo) {
  EXPECT_THAT(RunGraph(
                  {{0, {1}}, {1, {0}}, {2, {}}}, 4,
                  [this](size_t i) { return Note(i); }, on_failure_),
              StatusIs(absl::StatusCode::kFailedPrecondition));
  EXPECT_THAT(order_, ElementsAre(2));
  EXPECT_OK(RunGraph(
      {}, 4, [this](size_t i) { return Note(i); }, on_failure_));
}

}  // namespace
}  // namespace bulwark::engine::build
